"""The speaker encoder that the package Resemblyzer brings (Apache-2.0), by its weights alone.

Three layers of LSTM over mel powers, a linear layer, ReLU, unit norm: the encoder of generalised end-to-end loss (Wan,
Wang, Papir and Lopez Moreno, ICASSP 2018, arXiv 1710.10467), trained on VoxCeleb 1 and 2 and LibriSpeech
train-other-500 at 16 kHz. The package itself is not imported, so that neither webrtcvad nor librosa is needed. Speech
at 8 kHz, as Contrasep's models have it, is resampled: the bands above 4 kHz are empty, which the encoder was not
trained on.
"""

from __future__ import annotations

import hashlib
import importlib.util
import pickle
from pathlib import Path

import numpy as np
import torch

from contrasep_lib.errors import ContrasepError
from contrasep_lib.extras import missing_extra
from contrasep_lib.speakers.base import SpeakerEncoder
from contrasep_lib.speakers.mel import mel_bands

_PACKAGE, _WEIGHTS = "resemblyzer", "pretrained.pt"
# samples of a frame and from one to the next, bands
_FRAME, _HOP, _BANDS = 400, 160, 40
# mean power to which windows are brought: -30 dB of full scale, as the package does to quiet recordings
_POWER = 1e-3
_AT_ONCE = 64


class Resemblyzer(SpeakerEncoder):
    """Encodes windows of 1.6 s.

    Raises:
        ContrasepError: the package is not installed, or its weights are damaged.
    """

    name, rate, seconds, dim = "resemblyzer", 16000, 1.6, 256

    def __init__(self) -> None:
        self.lstm = torch.nn.LSTM(_BANDS, 256, 3, batch_first=True)
        self.linear = torch.nn.Linear(256, self.dim)
        path = _weights()
        try:
            states = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
            for name in ("lstm", "linear"):
                own = {key.partition(".")[2]: value for key, value in states.items() if key.startswith(f"{name}.")}
                getattr(self, name).load_state_dict(own)
        except (OSError, RuntimeError, KeyError, TypeError, AttributeError, EOFError, pickle.UnpicklingError):
            raise ContrasepError(f"{path}: not the weights of Resemblyzer 0.1.4; install it again") from None

    def weights(self) -> str:
        """SHA-256 of the package's file."""
        return hashlib.sha256(_weights().read_bytes()).hexdigest()

    def _encode(self, signal: np.ndarray, starts: np.ndarray, size: int, power: np.ndarray) -> np.ndarray:
        mel = _mel_powers(signal)
        # from the frame at a window's first sample on; frames are centred, so one more than hops may be there
        number = max(size // _HOP, 1)
        first = np.minimum(starts // _HOP, len(mel) - number)
        windows = np.lib.stride_tricks.sliding_window_view(mel, number, axis=0)
        found = []
        with torch.inference_mode():
            for begin in range(0, len(first), _AT_ONCE):
                some = slice(begin, begin + _AT_ONCE)
                batch = windows[first[some]].transpose(0, 2, 1) * (_POWER / power[some])[:, None, None]
                _, (hidden, _) = self.lstm(torch.from_numpy(np.ascontiguousarray(batch, np.float32)))
                found.append(torch.nn.functional.normalize(self.linear(hidden[-1]).relu(), dim=1).numpy())
        return np.concatenate(found)


def _mel_powers(signal: np.ndarray) -> np.ndarray:
    """Powers in mel bands of frames centred at multiples of the hop, ``(1 + samples // hop, bands)``."""
    padded = np.pad(signal, _FRAME // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[::_HOP]
    # periodic Hann window
    spectrum = np.fft.rfft(frames * np.hanning(_FRAME + 1)[:-1])
    return np.square(np.abs(spectrum)) @ mel_bands(Resemblyzer.rate, _FRAME, _BANDS).T


def _weights() -> Path:
    """Where the package has its weights; it is found and not imported."""
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        error = ModuleNotFoundError(name=_PACKAGE)
        raise ContrasepError(f"speaker encoder '{Resemblyzer.name}': {missing_extra(error)}")
    return Path(next(iter(found.submodule_search_locations))) / _WEIGHTS
