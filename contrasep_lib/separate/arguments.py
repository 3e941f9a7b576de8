"""Arguments of separation from Python: the bounds of the command line, and one line for a value outside of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from contrasep_lib.config.bounds import Range, scalar, shown
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.audio import LEAST_RATE, MOST_RATE

# seconds; shorter ones leave no room for the passage from one to the next
WINDOW = Range(1, 86400)
Window = Annotated[float, WINDOW]
MOST_CHANNELS = 1024
Channel = Annotated[int, Range(1, MOST_CHANNELS)]
Threads = Annotated[int, Range(1, 1024)]
# of samples, Hz
SamplesRate = Annotated[int, Range(LEAST_RATE, MOST_RATE)]


def number(name: str, kind: Any, value: Any) -> Any:
    """A number of a kind within its bounds, as Python's own type.

    Example:
        >>> number("window", Window, np.int64(30))
        30.0

    Raises:
        ContrasepError: another value; names the argument.
    """
    try:
        return scalar(kind, value)
    except ValueError as error:
        raise ContrasepError(f"{name}: {error}") from None


def number_or_none(name: str, kind: Any, value: Any) -> Any:
    """As `number`, or None."""
    return None if value is None else number(name, kind, value)


def flag(name: str, value: Any) -> bool:
    """A truth value; ContrasepError for any other, as ``"no"`` would be taken for true."""
    if not isinstance(value, (bool, np.bool_)):
        raise ContrasepError(f"{name}: expected True or False, got {shown(value)}")
    return bool(value)


def one_of(name: str, values: Sequence[str], value: Any) -> Any:
    """One of some texts; ContrasepError for any other value."""
    if not isinstance(value, str) or value not in values:
        raise ContrasepError(f"{name}: expected one of {', '.join(values)}, got {shown(value)}")
    return value


def text_or_none(name: str, value: Any) -> str | None:
    """A text or None; ContrasepError for any other value."""
    if value is not None and not isinstance(value, str):
        raise ContrasepError(f"{name}: expected text or None, got {shown(value)}")
    return value


def path(name: str, value: Any, words: str = "a path") -> Path:
    """A path, which may be absent; ContrasepError, with words for what is expected, for a value that is none."""
    text = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(text, str) or not text or "\0" in text:
        raise ContrasepError(f"{name}: expected {words}, got {shown(value)}")
    return Path(text)


def stem(value: Any) -> str:
    """What files are named after: a name without folders, of text that a file system takes."""
    plain = isinstance(value, str) and value not in ("", "..") and value == Path(value).name and "\0" not in value
    if not plain or value != value.encode("utf-8", "ignore").decode():
        raise ContrasepError(f"name: expected a name without folders, in UTF-8, got {shown(value)}")
    return value


def samples(values: Any) -> np.ndarray:
    """Samples as an array; ContrasepError for what makes none: rows of unequal length, channels before samples."""
    expected = "samples: expected numbers (samples,) or (samples, channels)"
    try:
        made = np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ContrasepError(f"{expected}, got {type(values).__name__} ({shown(str(error))})") from None
    if made.ndim == 2 and len(made) and not 1 <= made.shape[1] <= MOST_CHANNELS:
        raise ContrasepError(f"{expected}, 1 to {MOST_CHANNELS} of them, got {made.shape}")
    if made.dtype.kind == "f" and made.size:
        peak = max(float(made.max()), -float(made.min()))
        # what is not finite has an error of its own
        if float(np.finfo(np.float32).max) < peak < np.inf:
            raise ContrasepError(f"samples: expected 1 for full scale, got {peak:g}, beyond 32-bit floats; scale them")
    return made
