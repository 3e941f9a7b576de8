"""Word and unit error rates of scored sets as lines of one table, and their picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contrasep_lib.asr.scoring import COLUMNS as PARTS
from contrasep_lib.asr.scoring import KINDS
from contrasep_lib.errors import ContrasepError
from contrasep_lib.report.plots import TALKER_COLOURS, new_figure, save_figure

OF = ("word", "unit")
COLUMNS = ("speech", "of", "heard", "rate", "low", "high", *PARTS)


def lines_of(word: str) -> list[dict[str, Any]]:
    """The lines of ``SPEECH,SYSTEM=exp/TAG/score_SET/wer.json``; ``heard`` is clean, mixed, or the system.

    Raises:
        ContrasepError: of another form, no such file, or one without rates.
    """
    names, equals, path = word.partition("=")
    speech, comma, system = names.partition(",")
    if not (equals and comma and speech and system and path):
        raise ContrasepError(f"--files: expected SPEECH,SYSTEM=FILE, got '{word}'")
    try:
        summed = json.loads(Path(path).read_text(encoding="utf-8"))
        made = []
        for of in OF:
            for kind in KINDS:
                found = summed[f"{of}_error_rate"][kind]
                if found["rate"] is None:
                    raise ContrasepError(f"{path}: no {of} error rate of '{kind}': its transcripts hold no word; name another file")
                low, high = found["ci95"] or ("", "")
                parts = {name: found[name] for name in PARTS}
                heard = system if kind == "separated" else kind
                made.append({"speech": speech, "of": of, "heard": heard, "rate": float(found["rate"]), "low": low, "high": high, **parts})
    except OSError as error:
        raise ContrasepError(f"{path}: {error.strerror}; contrasep score --wer writes it") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ContrasepError(f"{path}: not what contrasep score --wer writes ({error})") from None
    return made


def collected(words: Sequence[str]) -> list[dict[str, Any]]:
    """The lines of all files; clean and mixed speech, which all systems of one speech share, stand once.

    Raises:
        ContrasepError: see `lines_of`; or systems whose clean speech differs, which are of other sets or recognisers.
    """
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for word in words:
        for line in lines_of(word):
            key = line["speech"], line["of"], line["heard"]
            if found.setdefault(key, line) != line:
                raise ContrasepError(f"{word}: '{key[2]}' of '{key[0]}' differs from that of an earlier file; name one set and recogniser")
    order = {name: place for place, name in enumerate(KINDS)}
    return sorted(found.values(), key=lambda line: (line["speech"], OF.index(line["of"]), order.get(line["heard"], len(order))))


def draw(lines: Sequence[dict[str, Any]], path: Path) -> None:
    """Word error rates in %, with 95 % intervals over speakers."""
    shown = [line for line in lines if line["of"] == "word"]
    speech = list(dict.fromkeys(line["speech"] for line in shown))
    figure = new_figure(7.0, 1.2 + 0.35 * len(shown))
    axes = figure.add_subplot()
    for place, line in enumerate(shown):
        colour = TALKER_COLOURS[speech.index(line["speech"]) % len(TALKER_COLOURS)]
        axes.plot([100 * float(line["rate"])], [place], "o", color=colour)
        if line["low"] != "":
            axes.plot([100 * float(line["low"]), 100 * float(line["high"])], [place, place], color=colour, linewidth=1.5)
    axes.set_yticks(range(len(shown)), [f"{line['speech']}: {line['heard']}" for line in shown])
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_xlabel("word error rate, %; line: 95 % over speakers")
    axes.grid(axis="x", alpha=0.3)
    save_figure(figure, path)
