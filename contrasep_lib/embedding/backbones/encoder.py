"""The paper's encoder: strided convolutions that map each frame of samples to an embedding."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch

from contrasep_lib.embedding.backbones.base import SampleBackbone
from contrasep_lib.nodes.options import FeatureOptions


def encoder_shape(layers: int, win: int, hop: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Kernels and strides whose receptive field is exactly ``win`` and whose stride is ``hop``.

    The prime factors of the hop are dealt out to the layers as evenly as they go, larger strides
    first; layers left without one have stride 1. With ``r = win / hop``, a layer of stride s has
    kernel ``1 + r (s - 1)``, and the first one ``r - 1`` more. The receptive field is
    ``1 + sum_i (k_i - 1) P_i`` with ``P_i`` the product of the strides before layer i; as
    ``(s_i - 1) P_i = P_{i+1} - P_i``, the sum telescopes to ``1 + r (hop - 1) + r - 1 = win``.
    For 6 layers, 256 and 64 this gives the paper's kernels 8, 5, 5, 5, 5, 5 with strides of 2
    (arXiv 2305.10652).

    Args:
        layers: number of convolutions.
        win, hop: samples.

    Returns:
        ``layers`` kernels and ``layers`` strides, input side first.

    Raises:
        ValueError: no layers, or ``win`` is no multiple of ``hop``.
    """
    if layers < 1:
        raise ValueError(f"layers: expected at least 1, got {layers}")
    if hop < 1 or win < hop or win % hop:
        raise ValueError(f"win: expected a multiple of hop ({hop}), so that frames fit the encoder, got {win}")
    strides = [1] * layers
    for factor in sorted(_prime_factors(hop), reverse=True):
        strides[strides.index(min(strides))] *= factor
    strides.sort(reverse=True)
    ratio = win // hop
    kernels = [1 + ratio * (stride - 1) for stride in strides]
    kernels[0] += ratio - 1
    return tuple(kernels), tuple(strides)


def _prime_factors(number: int) -> list[int]:
    factors, candidate = [], 2
    while number > 1:
        if candidate * candidate > number:
            candidate = number
        while number % candidate == 0:
            factors.append(candidate)
            number //= candidate
        candidate += 1
    return factors


class _Convolution(torch.nn.Conv1d):
    """Convolution over the steps of ``(batch, steps, channels)``, the order in which the channels are normalised.

    As a convolution of two dimensions, which takes that order as it is; changing it takes most of the time on CPUs.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        image = x.transpose(1, 2).unsqueeze(2).contiguous(memory_format=torch.channels_last)
        out = torch.nn.functional.conv2d(image, self.weight.unsqueeze(2), self.bias, (1, self.stride[0]))
        return out.squeeze(2).transpose(1, 2)


class ConvEncoder(SampleBackbone):
    """Frames of samples to embeddings; each sees its own ``win`` samples and nothing else.

    Args:
        win, hop: frame length and shift, samples.
        layers: number of convolutions; see `encoder_shape`.
        width: channels.
        dim: dimension of the embeddings.
        dropout: between layers.

    Attributes:
        receptive_field, stride: in samples, equal to ``win`` and ``hop``.

    Raises:
        ValueError: see `encoder_shape`.
    """

    def __init__(self, win: int, hop: int, layers: int, width: int, dim: int, dropout: float = 0.0) -> None:
        super().__init__()
        kernels, strides = encoder_shape(layers, win, hop)
        before = [math.prod(strides[:index]) for index in range(layers)]
        self.receptive_field = 1 + sum((kernel - 1) * step for kernel, step in zip(kernels, before))
        self.stride = math.prod(strides)
        modules: list[torch.nn.Module] = []
        channels = 1
        for kernel, stride in zip(kernels, strides):
            modules += [
                _Convolution(channels, width, kernel, stride),
                # over the channels of a step: no look aside
                torch.nn.LayerNorm(width),
                torch.nn.GELU(),
                torch.nn.Dropout(dropout),
            ]
            channels = width
        self.layers = torch.nn.Sequential(*modules)
        self.output = torch.nn.Linear(width, dim)

    @classmethod
    def from_options(cls, options: Any, features: FeatureOptions, dim: int) -> ConvEncoder:
        """See `contrasep_lib.embedding.backbones.base.Backbone`."""
        return cls(features.win, features.hop, dim=dim, **dataclasses.asdict(options))

    def forward(self, padded: torch.Tensor) -> torch.Tensor:
        """Embed a signal padded by `contrasep_lib.nodes.stft.pad`.

        Args:
            padded: ``(batch, samples)``, at least ``win`` of them.

        Returns:
            ``(batch, frames, dim)``, the frames of the short-time Fourier transform; no unit
            norm yet.
        """
        return self.output(self.layers(padded.unsqueeze(2)))
