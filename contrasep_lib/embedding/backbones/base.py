"""What backbones share: their interface, and recurrences over padded sequences.

A backbone maps recordings to embeddings, not yet of unit norm. An utterance gets the same embeddings whatever it is
padded with: recurrences stop at its end, convolutions see zeros behind it as they do at the end of the longest,
attention does not look there.
"""

from __future__ import annotations

import abc
import dataclasses
from typing import Any

import torch

from contrasep_lib.nodes.options import FeatureOptions

# vectors that tell frequencies apart begin about half as large as what they are added to:
# from zero, contrastive losses would collapse before the network knows where it is
PLACE_STD = 0.3
# on a CPU a recurrence over more sequences goes in parts, whose states stay in the cache
SEQUENCES = 512


class Backbone(torch.nn.Module, abc.ABC):
    """Maps recordings to embeddings of their nodes.

    Attributes:
        reads_samples: whether `forward` maps waveforms to embeddings of frames; otherwise the backbone is a
            `SpectralBackbone`.
        places, channels: of the features that a decoder or counter may read; 0 without any.
    """

    reads_samples: bool = False
    places: int = 0
    channels: int = 0

    @classmethod
    @abc.abstractmethod
    def from_options(cls, options: Any, features: FeatureOptions, dim: int) -> Backbone:
        """Build a backbone.

        Args:
            options: of the backbone's own dataclass.
            features: framing.
            dim: dimension of the embeddings.

        Raises:
            ValueError: the options do not fit the framing.
        """


class SampleBackbone(Backbone):
    """A backbone over waveforms: ``forward`` maps padded samples to embeddings of frames."""

    reads_samples = True

    @abc.abstractmethod
    def forward(self, padded: torch.Tensor) -> torch.Tensor:
        """A signal padded by `contrasep_lib.nodes.stft.pad`, ``(batch, samples)``, to ``(batch, frames, dim)``."""


class SpectralBackbone(Backbone):
    """A backbone over log-magnitude spectra.

    The way has two parts: `hidden` gives features ``(batch, frames, places, channels)``, which a decoder may read too,
    and `units` the embeddings. A place is a frequency, a band of them, or all.

    Attributes:
        supervision: share of the embeddings after earlier passes, where `passes` gives any, in the loss of objectives
            that shape embeddings.
    """

    supervision: float = 0.0

    @classmethod
    def from_options(cls, options: Any, features: FeatureOptions, dim: int) -> SpectralBackbone:
        """``cls(freq, dim, **options)``: constructors have the names of the options."""
        return cls(features.win // 2 + 1, dim, **dataclasses.asdict(options))  # type: ignore[call-arg]

    @abc.abstractmethod
    def hidden(self, x: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """Spectra ``(batch, frames, freq)`` to features ``(batch, frames, places, channels)``."""

    @abc.abstractmethod
    def units(self, hidden: torch.Tensor) -> torch.Tensor:
        """Features ``(batch, frames, places, channels)`` to embeddings ``(batch, frames, freq, dim)``.

        A backbone that serves frames alone may give ``(batch, frames, 1, dim)``.
        """

    def frames(self, hidden: torch.Tensor) -> torch.Tensor:
        """Embeddings of frames, ``(batch, frames, 1, dim)``: the mean of `units` over those of each frame."""
        return self.units(hidden).float().mean(2, keepdim=True)

    def passes(self, x: torch.Tensor, frames: torch.Tensor) -> list[torch.Tensor]:
        """What `hidden` gives, last, and before it features of its form that are supervised too: none by default."""
        return [self.hidden(x, frames)]

    def forward(self, x: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """Spectra ``(batch, frames, freq)`` of ``frames (batch,)`` each to ``(batch, frames, freq, dim)``."""
        return self.units(self.hidden(x, frames))


def shorter(frames: torch.Tensor, count: int) -> torch.Tensor | None:
    """Lengths ``(batch,)`` on the CPU, or None where no utterance is shorter than ``count`` frames."""
    lengths = frames.cpu()
    return None if bool((lengths == count).all()) else lengths


def run_recurrent(layer: torch.nn.LSTM, x: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
    """A bidirectional recurrence over ``(batch, steps, channels)``: ``(batch, steps, 2 cells)``, zeros behind each end.

    Args:
        layer: batch first.
        lengths: ``(batch,)`` on the CPU; None for all steps.
    """
    if lengths is not None and x.device.type != "cpu":
        return packed(layer, x, lengths)
    if x.device.type == "cpu" and len(x) > SEQUENCES:
        ends = [None] * -(-len(x) // SEQUENCES) if lengths is None else lengths.split(SEQUENCES)
        return torch.cat([run_recurrent(layer, part, end) for part, end in zip(x.split(SEQUENCES), ends)])
    return layer(x)[0] if lengths is None else _both_ways(layer, x, lengths)


def packed(layer: torch.nn.LSTM, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """`run_recurrent` by PyTorch's packing, which is fast on GPUs."""
    sequences = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    unpack = torch.nn.utils.rnn.pad_packed_sequence
    return unpack(layer(sequences)[0], batch_first=True, total_length=x.shape[1])[0]


def _both_ways(layer: torch.nn.LSTM, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Padded sequences without packing: the second direction is a recurrence over each sequence turned round.

    PyTorch runs packed sequences on a CPU step by step, which takes several times as long.
    """
    count = x.shape[1]
    steps = torch.arange(count)
    inside = steps < lengths[:, None]
    turned = torch.where(inside, lengths[:, None] - 1 - steps, steps)
    order = (turned + count * torch.arange(len(x))[:, None]).flatten()
    start = x.new_zeros(1, len(x), layer.hidden_size)
    for index in range(layer.num_layers):
        ways = []
        for name in ("", "_reverse"):
            parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            weights = [getattr(layer, f"{part}_l{index}{name}") for part in parts]
            y = _Turned.apply(x, order) if name else x
            y = torch._VF.lstm(y, (start, start), weights, True, 1, 0.0, layer.training, False, True)[0]
            ways.append(_Turned.apply(y, order) if name else y)
        x = torch.cat(ways, -1)
        if index + 1 < layer.num_layers:
            x = torch.nn.functional.dropout(x, layer.dropout, layer.training)
    return x.masked_fill(~inside[..., None], 0)


class _Turned(torch.autograd.Function):
    """Steps of ``(batch, steps, channels)`` in another order, one that undoes itself; so its gradient needs no sum."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(order)
        return x.flatten(0, 1).index_select(0, order).view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:  # type: ignore[override]
        (order,) = ctx.saved_tensors
        return grad.flatten(0, 1).index_select(0, order).view(grad.shape), None
