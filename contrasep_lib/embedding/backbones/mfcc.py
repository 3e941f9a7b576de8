"""Mel-frequency cepstral coefficients, without anything that learns (Davis and Mermelstein 1980)."""

from __future__ import annotations

from typing import Any

import torch

from contrasep_lib.embedding.backbones.base import SampleBackbone
from contrasep_lib.embedding.backbones.spectrum import normalised
from contrasep_lib.nodes.options import FeatureOptions

# models hear 8 kHz
SAMPLE_RATE = 8000
# of power in a band, for waveforms of mean square 1: about 50 dB under white noise
_FLOOR = 1e-3


class MFCC(SampleBackbone):
    """Cepstral coefficients 1 to dim of each frame, of mean 0 and deviation 1 over the recording; without weights.

    Coefficient 0, the level, is left out. Frames of zeros alone (padding, digital silence) do not count in mean and
    deviation.

    Args:
        features: framing.
        dim: dimension of the embeddings, which is the number of coefficients.
        bands: mel bands.

    Raises:
        ValueError: as many coefficients as bands, or more.
    """

    bank: torch.Tensor
    cosines: torch.Tensor

    def __init__(self, features: FeatureOptions, dim: int, bands: int = 40) -> None:
        super().__init__()
        from torchaudio.functional import create_dct, melscale_fbanks

        if dim >= bands:
            raise ValueError(f"embedding_dim: expected less than {bands}, the bands of backbone 'mfcc', got {dim}")
        self.win, self.hop = features.win, features.hop
        # constants: no part of a checkpoint
        bank = melscale_fbanks(features.win // 2 + 1, 0.0, SAMPLE_RATE / 2, bands, SAMPLE_RATE)
        self.register_buffer("bank", bank, persistent=False)
        self.register_buffer("cosines", create_dct(dim + 1, bands, norm="ortho")[:, 1:], persistent=False)

    @classmethod
    def from_options(cls, options: Any, features: FeatureOptions, dim: int) -> MFCC:
        """See `contrasep_lib.embedding.backbones.base.Backbone`."""
        return cls(features, dim, options.bands)

    def forward(self, padded: torch.Tensor) -> torch.Tensor:
        """See `contrasep_lib.embedding.backbones.base.SampleBackbone`."""
        frames = padded.unfold(-1, self.win, self.hop)
        shape = torch.hann_window(self.win, dtype=padded.dtype, device=padded.device)
        power = torch.fft.rfft(frames * shape).abs().square()
        coefficients = (power @ self.bank).clamp_min(_FLOOR).log() @ self.cosines
        return normalised(coefficients, frames.ne(0).any(-1))
