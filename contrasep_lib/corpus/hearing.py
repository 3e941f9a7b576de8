"""Reading the recordings of a corpus whole, whatever their coding, and listing what is wrong with it."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from contrasep_lib.errors import ContrasepError, one_line
from contrasep_lib.io.atomic import write_text
from contrasep_lib.io.audio import read_audio, resample_audio, write_wav
from contrasep_lib.io.datadir import audio_length
from contrasep_lib.io.decode import decode_audio

NAMED = 3
ERRORS_SHOWN = 20


@dataclasses.dataclass(frozen=True)
class Heard:
    """A clip that was read.

    Attributes:
        path: audio file that libsndfile reads whole: the clip, or what was decoded from it.
        samples: length, samples at ``rate``.
        rate: Hz.
        error: why it cannot be used, in one line; empty if it can.
    """

    path: str = ""
    samples: int = 0
    rate: int = 0
    error: str = ""


def counted(names: Sequence[str], what: str) -> str:
    """A note: how many, what, and the first few names."""
    more = ", .." if len(names) > NAMED else ""
    return f"{len(names)} {what}: {', '.join(names[:NAMED])}{more}"


def hear_clip(path: str, decoded: str, rate: int) -> Heard:
    """Read a clip; decode it to a 16-bit wav file where libsndfile does not read all of it.

    Args:
        path: the clip.
        decoded: wav file to make if need be; one that is there is whole and kept.
        rate: highest rate of such a file, Hz.
    """
    import soundfile

    if os.path.isfile(decoded):
        return Heard(decoded, *audio_length(decoded))
    try:
        try:
            # the length of an MP3 is a guess of libsndfile's, which may stop there
            if path.lower().endswith(".mp3") or soundfile.info(path).format == "MP3":
                raise ContrasepError(f"{path}: MP3")
            samples, own_rate = read_audio(path)
            made_of = path
        except (ContrasepError, soundfile.LibsndfileError, RuntimeError):
            samples, own_rate = decode_audio(path)
            made_of = decoded
        if not samples.any():
            return Heard(error=f"{path}: all zero")
        if made_of == decoded:
            samples, own_rate = resample_audio(samples, own_rate, min(own_rate, rate)), min(own_rate, rate)
            write_wav(decoded, samples, own_rate)
        return Heard(made_of, len(samples), own_rate)
    except ContrasepError as error:
        return Heard(error=str(error))


def raise_all(path: Path, errors: Sequence[str], hint: str = "") -> None:
    """Raise ContrasepError if there are errors, after printing the first of them and writing all to ``path``.

    Args:
        path: of the file.
        errors: one line each.
        hint: another way than to fix them.
    """
    path.unlink(missing_ok=True)
    if not errors:
        return
    write_text(path, "".join(f"{one_line(error)}\n" for error in errors))
    for error in errors[:ERRORS_SHOWN]:
        print(one_line(error), file=sys.stderr)
    more = f", {len(errors) - ERRORS_SHOWN} more are not shown" if len(errors) > ERRORS_SHOWN else ""
    plural = "" if len(errors) == 1 else "s"
    raise ContrasepError(
        f"{len(errors)} error{plural}{more}; all are in {path}; fix them and run again, what is decoded is kept"
        f"{hint and f'; {hint}'}"
    )
