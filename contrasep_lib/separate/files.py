"""Separation of a user's own recordings: names, errors, audio and evidence.

Of a recording ``NAME.wav`` the folder gets ``NAME_spk1.wav``, ``NAME_spk2.wav``, .. (mono, PCM16 unless another format
is asked for), ``NAME_rest.wav`` on request, ``NAME.rttm`` and, last, ``NAME.json``. What JSON has no number for (the
conductance of one speaker) is null there. Nothing in it depends on time or machine.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from contrasep_lib.counting.counters.base import number_words
from contrasep_lib.errors import ContrasepError, is_out_of_memory
from contrasep_lib.io.atomic import write_text
from contrasep_lib.io.recording import FileSource, Recording, read_recording, seconds_by_header
from contrasep_lib.io.rttm import Turn, write_rttm
from contrasep_lib.separate.cautions import Caution, cautions_of, count_probabilities
from contrasep_lib.separate.earlier import outputs_of, recordings_kept, require_replaceable
from contrasep_lib.separate.excerpt import Excerpt
from contrasep_lib.separate.inputs import Input
from contrasep_lib.separate.long import LongSeparation, Part
from contrasep_lib.separate.outputs import Format, Levels, gains_of, names_of, write_blocks
from contrasep_lib.separate.recorded import RecordedSeparation
from contrasep_lib.separate.shipped import NamedSeparator

# decimals of what is measured
DECIMALS = 6


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        out: folder of the outputs; made.
        num_spk: speakers of each recording, or None to estimate them.
        channel: which to take, from 1; None takes the mean of all.
        window: seconds; longer recordings are separated by windows of this length.
        overwrite: whether earlier outputs are replaced.
        form: format of the outputs, see `contrasep_lib.separate.outputs.FORMATS`.
        original: outputs have the recording's rate, not the model's.
        normalize: each output is brought to a peak of 0.9.
        rest: what no output holds is written too.
        kept: files that outputs never replace beside the recordings, resolved, and what they are.
    """

    out: str | os.PathLike
    num_spk: int | None = None
    channel: int | None = None
    window: float = 30
    overwrite: bool = False
    form: Format = "wav"
    original: bool = False
    normalize: bool = False
    rest: bool = False
    kept: Mapping[Path, str] = dataclasses.field(default_factory=dict)


def seconds_in(inputs: Iterable[Input]) -> float:
    """Seconds by the headers; files that cannot be read count as none."""
    return sum(seconds_by_header(each.path) for each in inputs)


def separate_files(
    separator: NamedSeparator,
    inputs: Sequence[Input],
    request: Request,
    report: Callable[[str, bool], object],
    advance: Callable[[float], object] = lambda seconds: None,
    warn: Callable[[str], object] = lambda line: None,
) -> int:
    """Separate recordings, each by itself; an error in one does not stop the others.

    Args:
        separator: trained model.
        inputs: recordings.
        request: what is asked for.
        report: takes a line for each recording, and whether it is an error.
        advance: takes seconds of audio as they are processed.
        warn: takes a line for each warning.

    Returns:
        how many could not be separated.
    """
    taken: dict[Path, str] = {}
    kept = {**request.kept, **recordings_kept(inputs)}
    failed = 0
    for each in inputs:
        label = each.label.encode("utf-8", "backslashreplace").decode()
        try:
            if label != each.label:
                raise ContrasepError(f"{label}: its name is not UTF-8; rename it")
            place = each.folder / each.name
            if place in taken:
                raise ContrasepError(
                    f"{label}: its outputs would have the names of {taken[place]}'s; separate it into another --out"
                )
            taken[place] = label
            written, note, cautions = _separate_file(separator, each, request, kept, advance)
            for caution in cautions:
                warn(f"{label}: {caution.words}")
            report(f"{label}: {note}: {' '.join(map(str, written))}", False)
        except ContrasepError as error:
            report(str(error), True)
            failed += 1
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            report(f"{label}: out of memory with windows of {request.window:g} s; use a smaller --window", True)
            failed += 1
    return failed


def _separate_file(
    separator: NamedSeparator, each: Input, request: Request, kept: Mapping[Path, str],
    advance: Callable[[float], object],
) -> tuple[list[Path], str, list[Caution]]:
    """Separate one recording; the files that were written, how many speakers, and warnings."""
    out, name = Path(request.out) / each.folder, each.name
    earlier = outputs_of(out, name)
    require_replaceable(earlier, kept, request.overwrite, where=f"{each.label}: ")
    require_at_most(separator, request.num_spk, each.label)
    recording = read_recording(FileSource(each.path, each.label), separator.rate, request.channel)
    work = out / f".{name}.windows"
    with separated(separator, recording, request.num_spk, request.window, advance, work) as done:
        cautions = cautions_of(done, request.num_spk)
        blocks = functools.partial(done.blocks, request.original)
        levels = Levels.of(blocks())
        content = evidence_of(separator, done, request.num_spk, cautions, levels.shares)
        # a temporary file's own name says nothing
        content["file"] = each.path.name if each.label == str(each.path) else each.name
        content["rate"] = recording.rate if request.original else separator.rate
        written = write_separation(out, name, blocks(), levels, content, done.done.turns(), request, earlier)
    return written, number_words(done.num_spk) + _note(done.done), cautions


def write_separation(
    out: Path, name: str, blocks: Iterable[np.ndarray], levels: Levels, content: dict[str, Any], turns: Sequence[Turn],
    request: Request, earlier: Sequence[Path],
) -> list[Path]:
    """Write audio, RTTM and JSON of a separation, all at once.

    Args:
        out: folder; made.
        name: of the recording.
        blocks: outputs and the rest, see `RecordedSeparation.blocks`.
        levels: of them.
        content: what NAME.json holds but for names and gains; its ``rate`` is that of the audio.
        turns: who is heard when.
        request: ``form``, ``normalize`` and ``rest`` are read.
        earlier: files that these replace.

    Returns:
        The files of the outputs.
    """
    gains = gains_of(levels, request.form, request.normalize, request.rest)
    names = names_of(name, len(gains) - 1, request.form, request.rest)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=out) as folder:
        made = [Path(folder) / each for each in names]
        write_blocks(made, blocks, gains, content["rate"], request.form)
        for path in earlier:
            path.unlink()
        for path in made:
            path.replace(out / path.name)
    write_rttm(out / f"{name}.rttm", name, turns)
    said = {
        **content, "format": request.form, "gain": float(gains[-1]), "gains": gains[: len(names)].tolist(),
        "outputs": names[: len(gains) - 1], "rest": names[-1] if request.rest else None,
    }
    write_text(out / f"{name}.json", json.dumps(_plain(said), indent=1, ensure_ascii=False) + "\n")
    return [out / each for each in names]


def require_at_most(separator: NamedSeparator, num_spk: int | None, label: str) -> None:
    """Raise ContrasepError where more speakers are asked for than a model separates."""
    k_max = separator.separator.modularity.k_max
    if num_spk and num_spk > k_max:
        raise ContrasepError(
            f"{label}: --num-spk {num_spk}: the model '{separator.name}' separates at most {k_max} speakers"
        )


def separated(
    separator: NamedSeparator, recording: Recording, num_spk: int | None, window: float,
    advance: Callable[[float], object] = lambda seconds: None, work: Path | None = None,
) -> RecordedSeparation:
    """`RecordedSeparation`, whose errors begin with the recording's name."""
    try:
        return RecordedSeparation(separator, recording, num_spk, window, advance, work)
    except ContrasepError as error:
        # the key, which stands in quotes before the message, is in the name
        words = str(error).partition("': ")[2] or str(error)
        raise ContrasepError(f"{recording.source.label}: {words}") from None


def _note(done: LongSeparation) -> str:
    """Says where another solver took the place of the configured one."""
    windows = [part.separation for part in done.parts if part.separation and part.separation.fallback]
    if not windows:
        return ""
    where = f" in {len(windows)} of {len(done.parts)} windows" if len(done.parts) > 1 else ""
    return f" ({windows[0].fallback} in place of {windows[0].solver}, which found too few communities{where})"


def evidence_of(
    separator: NamedSeparator, done: RecordedSeparation, num_spk: int | None, cautions: Sequence[Caution],
    shares: Sequence[float],
) -> dict[str, Any]:
    """What NAME.json holds of a separation, but for the names and gains of files."""
    recording = done.recording
    return {
        "file": recording.source.label,
        "file_rate": recording.rate,
        "file_channels": recording.channels,
        "channel": recording.channel or "mean",
        "seconds": recording.seconds,
        "mean": recording.mean,
        "model": separator.name,
        "model_rate": separator.rate,
        "speaker_encoder": None if separator.separator.speakers is None else separator.separator.speakers.name,
        "num_spk": done.num_spk,
        "count": "given" if num_spk else "estimated",
        "probabilities": count_probabilities(done.done.parts),
        "warnings": [dataclasses.asdict(each) for each in cautions],
        "energy_shares": list(shares),
        "windows": [_window(part, done.done.excerpt, separator.rate) for part in done.done.parts],
    }


def _window(part: Part, excerpt: Excerpt, rate: int) -> dict[str, Any]:
    found = part.separation
    # an excerpt may begin within the first hop
    start = excerpt.place(part.start) if part.start else 0
    content: dict[str, Any] = {
        "start": start / rate, "stop": (excerpt.place(part.stop - 1) + 1) / rate,
        "speakers": [speaker + 1 for speaker in part.speakers],
    }
    if found is None:
        return {**content, "words": "silence"}
    return {
        **content,
        "count": "given" if found.num_spk_given else "estimated",
        "modularity": found.modularity,
        "normalised_modularity": found.normalised_modularity,
        "conductance": found.conductance,
        "sizes": list(found.sizes),
        "solver": found.solver,
        "fallback": found.fallback,
        "words": " ".join(found.words.split()),
        "probabilities": list(found.probabilities),
        "evidence": [dataclasses.asdict(entry) for entry in found.evidence],
    }


def _plain(value: Any) -> Any:
    """As JSON has it: rounded, and null for what is no number."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return round(value, DECIMALS) if math.isfinite(value) else None
    return value
