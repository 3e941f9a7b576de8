"""The name of the range in logs and arguments, and words as a log shows them."""

from __future__ import annotations

import os
import re
import shlex

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def whole_word(name: str) -> re.Pattern[str]:
    """The name between characters other than letters, digits and ``_``."""
    return re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")


def stands_in_log(name: str, log: str, marked: int | None) -> bool:
    """Whether numbers make different logs of it."""
    return name in log if marked is None else bool(whole_word(name).search(os.path.basename(log)))


def substitute(
    name: str | None, number: int, log: str, command: list[str], marked: int | None
) -> tuple[str, list[str]]:
    """Log and command of one number.

    Args:
        name: of the range, None without one.
        number: what takes its place.
        log: path with the name.
        command: words.
        marked: None: the name is replaced wherever it stands, within words and folders too, as in Kaldi. Otherwise
            it is replaced as a whole word, in the last component of the log and in so many last words of the command.
    """
    if name is None:
        return log, command
    if marked is None:
        return log.replace(name, str(number)), [word.replace(name, str(number)) for word in command]
    pattern, first = whole_word(name), len(command) - marked
    folder, last = os.path.split(log)
    return os.path.join(folder, pattern.sub(str(number), last)), [
        *command[:first],
        *(pattern.sub(str(number), word) for word in command[first:]),
    ]


def quoted(command: list[str]) -> str:
    """A command in one line that a shell reads back as the same words."""
    return " ".join(map(_quoted, command))


def _quoted(word: str) -> str:
    if not _CONTROL.search(word):
        return shlex.quote(word)
    word = word.replace("\\", "\\\\").replace("'", "\\'")
    return "$'" + _CONTROL.sub(lambda found: _ESCAPES.get(found[0], f"\\x{ord(found[0]):02x}"), word) + "'"


def ranges(numbers: list[int]) -> str:
    """Numbers in few characters: ``1-3,7``."""
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)
