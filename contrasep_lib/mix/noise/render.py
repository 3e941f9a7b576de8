"""The samples of a mixture's noise."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.mix.noise.babble import babble
from contrasep_lib.mix.noise.coloured import TILTS, speech_noise, tilted_noise
from contrasep_lib.mix.noise.draw import Noise
from contrasep_lib.mix.noise.folder import cut, read_noise


def render_noise(
    noise: Noise, samples: int, rate: int, folder: str | os.PathLike | None, speech: Sequence[np.ndarray],
    utterance: Callable[[str], np.ndarray],
) -> tuple[np.ndarray, bool]:
    """Noise of mean square 1.

    Args:
        noise: as the list has it.
        samples: of the mixture.
        folder: of the recordings.
        speech: the mixture's talkers, each ``(own samples,)``, for noise of their spectrum.
        utterance: gives the samples of an utterance of a babble, of active level 1.

    Returns:
        ``(samples,)`` float64, and whether a recording was shorter and looped.

    Raises:
        ContrasepError: a recording that is not there or not usable.
    """
    looped = False
    if noise.kind == "folder":
        if folder is None:
            raise ContrasepError(f"noise '{noise.what}' of the list: name its folder by mix.noise.folder")
        made, looped = cut(read_noise(folder, noise.what, rate), samples, noise.offset, rate)
    elif noise.kind == "babble":
        made = babble([utterance(name) for name in noise.what.split(",")], samples, noise.offset, rate)
    elif noise.kind == "speech":
        return speech_noise(samples, speech, rate, np.random.default_rng(int(noise.what))), False
    else:
        return tilted_noise(samples, TILTS[noise.kind], rate, np.random.default_rng(int(noise.what))), False
    power = np.square(made).mean()
    if not power > 0:
        raise ContrasepError(f"noise '{noise.what}': all zero within the mixture; take it out of the list")
    return made / np.sqrt(power), looped


def noise_gain(gains_db: Sequence[float], snr_db: float) -> float:
    """Factor of a noise of mean square 1 for a ratio of the sum of the talkers' active levels to it.

    Args:
        gains_db: of talkers of active level 1, dB.
    """
    return float(np.sqrt(sum(10 ** (gain / 10) for gain in gains_db) * 10 ** (-snr_db / 10)))
