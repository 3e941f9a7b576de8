"""Timbre of frames: the envelope of their spectrum, as mel-frequency cepstral coefficients."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from contrasep_lib.prosody.frames import HOP, RATE, WIN, count_frames

# coefficients 1 to 12; the first of all, 0, is the level and no timbre
COEFFICIENTS = 12
BANDS = 26


@functools.cache
def _transform() -> Any:
    import torchaudio

    spectrum = {"n_fft": WIN, "hop_length": HOP, "n_mels": BANDS, "center": True, "pad_mode": "constant"}
    return torchaudio.transforms.MFCC(RATE, COEFFICIENTS + 1, melkwargs=spectrum)


def timbre(samples: np.ndarray) -> np.ndarray:
    """Mel-frequency cepstral coefficients 1 to 12 of each frame (Davis and Mermelstein 1980), by torchaudio.

    The spectral envelope in 26 mel bands, in dB, cut at 80 dB under the largest value of the signal; orthonormal DCT.
    A factor on the signal does not change them.

    Args:
        samples: ``(samples,)`` at `RATE` Hz.

    Returns:
        ``(frames, 12)`` float64.

    Raises:
        ImportError: torchaudio is not installed.
    """
    import torch

    # dB of the power of any recording lie above the floor of the logarithm
    peak = float(np.abs(samples).max(initial=0.0)) or 1.0
    with torch.inference_mode():
        found = _transform()(torch.from_numpy(np.asarray(samples / peak, dtype=np.float32)))
    return found[1:, : count_frames(len(samples))].T.double().numpy()
