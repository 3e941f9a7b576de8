"""Room on disk for mixtures, asked for before mixing begins."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from contrasep_lib.errors import ContrasepError
from contrasep_lib.mix.lists import Mixture
from contrasep_lib.mix.options import MixOptions

WAV_HEADER = 44
# audio files take whole blocks of the file system
BLOCK = 4096


def mixture_bytes(mixtures: Sequence[Mixture], seconds: Mapping[str, float], options: MixOptions) -> int:
    """Bytes that the mixtures of a list and their sources take as wav files.

    Args:
        mixtures: the list.
        seconds: utterance id -> duration.
        options: section ``mix``.
    """
    length = min if options.mode == "min" else max
    total = 0
    for mixture in mixtures:
        samples = round(length(seconds[utterance] for utterance in mixture.utterances) * options.rate)
        tracks = len(mixture.sources) + 1 + (mixture.noise is not None or mixture.room is not None)
        total += tracks * (-(-(2 * samples + WAV_HEADER) // BLOCK) * BLOCK)
    return total


def cache_bytes(mixtures: Sequence[Mixture], seconds: Mapping[str, float], options: MixOptions) -> int:
    """Bytes that the resampled sources of a list take while it is mixed (8 for each sample)."""
    utterances = {utterance for mixture in mixtures for utterance in mixture.utterances}
    return round(8 * options.rate * sum(seconds[utterance] for utterance in utterances))


def require_space(folder: str | os.PathLike, needed: int) -> None:
    """Refuse to begin what cannot end.

    Args:
        folder: where the bytes go; what it holds already counts as done.
        needed: bytes of all that it will hold.

    Raises:
        ContrasepError: less is free.
    """
    folder = Path(folder)
    held = sum(
        os.stat(os.path.join(place, name)).st_blocks * 512 for place, _, names in os.walk(folder) for name in names
    )
    place = folder
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if needed - held > free:
        raise ContrasepError(
            f"{folder}: the mixtures need {(needed - held) / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; "
            "make room there or name another folder by --mixdir"
        )
