"""Which noise a mixture has: drawn once, written into the list, so that the noise can be made again bit by bit.

A line of a list has it behind its talkers as ``| noise=KIND:WHAT offset=SAMPLES snr=DB``; WHAT is a file below the
folder of noise, the utterances of a babble joined by commas, or the seed of coloured noise.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.mix.noise.options import NoiseOptions

COLOURS = ("white", "pink", "brown", "speech")
KINDS = ("folder", "babble", *COLOURS)
# offsets are taken modulo what a recording leaves
MOST_OFFSET = 2**31
LEAST_SNR, MOST_SNR = -60.0, 100.0


@dataclasses.dataclass(frozen=True)
class Noise:
    """The noise of one mixture.

    Attributes:
        kind: see `NoiseOptions`.
        what: file, utterances or seed.
        offset: first sample at the rate of the mixture, modulo what the recording leaves.
        snr: dB, as printed in the list.
    """

    kind: str
    what: str
    offset: int
    snr: str

    def fields(self) -> list[str]:
        """Words of a line of a list."""
        return [f"noise={self.kind}:{self.what}", f"offset={self.offset}", f"snr={self.snr}"]


def draw_noise(
    options: NoiseOptions, files: Sequence[str], by_speaker: Mapping[str, Sequence[str]], talkers: Collection[str],
    rng: np.random.Generator,
) -> Noise:
    """Draw the noise of a mixture.

    Args:
        options: with one kind at least.
        files: recordings of the kind ``folder``.
        by_speaker: speaker -> utterances, for babble.
        talkers: speakers of the mixture, who take no part in babble.

    Raises:
        ContrasepError: no files, or too few other speakers.
    """
    kind = options.kinds[int(rng.integers(len(options.kinds)))]
    if kind == "folder":
        if not files:
            raise ContrasepError(f"noise.folder {options.folder}: no recordings for this set; name another folder")
        what = files[int(rng.integers(len(files)))]
    elif kind == "babble":
        others = sorted(by_speaker.keys() - set(talkers))
        if len(others) < options.babble_talkers:
            raise ContrasepError(
                f"noise.babble_talkers: expected at most {len(others)}, the set's other speakers, "
                f"got {options.babble_talkers}"
            )
        chosen = [by_speaker[others[index]] for index in rng.choice(len(others), options.babble_talkers, replace=False)]
        what = ",".join(utterances[int(rng.integers(len(utterances)))] for utterances in chosen)
    else:
        what = str(int(rng.integers(MOST_OFFSET)))
    return Noise(kind, what, int(rng.integers(MOST_OFFSET)), f"{rng.uniform(*options.snr):.5g}")


def parse_noise(words: Mapping[str, str]) -> Noise:
    """Noise of the words behind the talkers of a line.

    Raises:
        ValueError: what is wrong, in words that follow the number of the line.
    """
    kind, colon, what = words.get("noise", "").partition(":")
    if kind not in KINDS or not colon or not what or (kind in COLOURS and not re.fullmatch("[0-9]{1,10}", what)):
        raise ValueError(f"expected noise=KIND:WHAT with a kind of {', '.join(KINDS)}")
    if kind == "folder" and (what.startswith("/") or ".." in what.split("/")):
        raise ValueError("expected a file of noise below the folder of noise")
    if not re.fullmatch("[0-9]{1,10}", words.get("offset", "")):
        raise ValueError("expected offset=SAMPLES of noise")
    return Noise(kind, what, int(words["offset"]), parse_snr(words.get("snr", "")))


def parse_snr(text: str) -> str:
    """A signal-to-noise ratio as it was printed; ValueError for anything but a number of dB within bounds."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not LEAST_SNR <= value <= MOST_SNR:
        raise ValueError(f"expected snr=DB from {LEAST_SNR:g} to {MOST_SNR:g}")
    return text
