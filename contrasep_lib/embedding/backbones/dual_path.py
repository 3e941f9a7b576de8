"""Paths over frequency and over time, and the backbone made of them."""

from __future__ import annotations

import torch

from contrasep_lib.embedding.backbones.base import PLACE_STD, SpectralBackbone, run_recurrent, shorter
from contrasep_lib.embedding.inputs import frame_mask


class _RecurrentPath(torch.nn.Module):
    """Residual bidirectional LSTM along the second axis of ``(batch, steps, width)``."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = torch.nn.LayerNorm(width)
        self.recurrent = torch.nn.LSTM(width, width, batch_first=True, bidirectional=True)
        self.output = torch.nn.Linear(2 * width, width)
        self.dropout = torch.nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        return x + self.dropout(self.output(run_recurrent(self.recurrent, self.norm(x), lengths)))


class _AttentionPath(torch.nn.Module):
    """Residual self-attention with rotary positions (Su et al., 2021) and feed-forward layer."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm = torch.nn.LayerNorm(width)
        self.project = torch.nn.Linear(width, 3 * width)
        self.output = torch.nn.Linear(width, width)
        self.forward_norm = torch.nn.LayerNorm(width)
        self.expand = torch.nn.Linear(width, 2 * width)
        self.reduce = torch.nn.Linear(2 * width, width)
        self.dropout = torch.nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        split = self.project(self.norm(x)).unflatten(-1, (3, self.heads, -1))
        query, key, value = split.transpose(1, 3).unbind(2)
        seen = None
        if lengths is not None:
            seen = frame_mask(lengths.to(x.device), x.shape[1])[:, None, None, :]
        mixed = torch.nn.functional.scaled_dot_product_attention(
            _rotate(query), _rotate(key), value, attn_mask=seen
        )
        x = x + self.dropout(self.output(mixed.transpose(1, 2).flatten(2)))
        wide = torch.nn.functional.gelu(self.expand(self.forward_norm(x)))
        return x + self.dropout(self.reduce(wide))


def _rotate(x: torch.Tensor) -> torch.Tensor:
    """Rotary positions along the steps of ``(batch, heads, steps, channels)``."""
    steps, half = x.shape[2], x.shape[3] // 2
    rates = 1000.0 ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angle = torch.arange(steps, device=x.device, dtype=torch.float32)[:, None] * rates
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


class Paths(torch.nn.Module):
    """Blocks that go over frequency, within a frame, and over time, within a band.

    Args:
        layers: blocks.
        width: channels, and cells of the LSTMs in each direction.
        dropout: after each path.
        path: ``rnn`` or ``attention``.
        heads: of the attention; ``width / heads`` is even.
    """

    def __init__(self, layers: int, width: int, dropout: float = 0.0, path: str = "rnn", heads: int = 4) -> None:
        super().__init__()

        def make() -> torch.nn.Module:
            if path == "attention":
                return _AttentionPath(width, heads, dropout)
            return _RecurrentPath(width, dropout)

        self.over_freq = torch.nn.ModuleList([make() for _ in range(layers)])
        self.over_time = torch.nn.ModuleList([make() for _ in range(layers)])

    def walk(self, index: int, x: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        """Block ``index`` over ``(batch, frames, bands, width)``.

        Args:
            lengths: frames of each utterance, on the CPU, or None for all; see `shorter`.
        """
        batch, count, bands = x.shape[:3]
        x = self.over_freq[index](x.reshape(batch * count, bands, -1), None).unflatten(0, (batch, count))
        x = x.transpose(1, 2).reshape(batch * bands, count, -1)
        if lengths is not None:
            lengths = lengths.repeat_interleave(bands)
        return self.over_time[index](x, lengths).unflatten(0, (batch, bands)).transpose(1, 2)


class BandStem(torch.nn.Conv2d):
    """Each band's input: three frames of its own frequencies and of half a band to either side.

    Args:
        inputs: channels of each unit.
        freq: frequencies.
        width: channels of each band.
        band: frequencies in a band.
    """

    def __init__(self, inputs: int, freq: int, width: int, band: int) -> None:
        edge = band // 2
        super().__init__(inputs, width, (3, band + 2 * edge), (1, band), (1, edge))
        self.missing = -freq % band

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(batch, inputs, frames, freq)`` to ``(batch, frames, bands, width)``."""
        return super().forward(torch.nn.functional.pad(x, (0, self.missing))).permute(0, 2, 3, 1)


class DualPath(SpectralBackbone, Paths):
    """Alternates over frequency, within a frame, and over time, within a band.

    Dual-path processing (Luo et al., ICASSP 2020) along the axes of the spectrum, as in
    TF-GridNet (Wang et al., ICASSP 2023), on bands of neighbouring frequencies, which divides
    the steps by their number; the last layer gives each frequency of a band its own embedding.

    Args:
        freq: frequencies.
        dim: dimension of the embeddings.
        layers: blocks, each over frequency and over time.
        width: channels, and cells of the LSTMs in each direction.
        dropout: after each path.
        path: ``rnn`` or ``attention``.
        heads: of the attention; ``width / heads`` is even.
        band: frequencies in a band.
    """

    def __init__(
        self,
        freq: int,
        dim: int,
        layers: int,
        width: int,
        dropout: float = 0.0,
        path: str = "rnn",
        heads: int = 4,
        band: int = 4,
    ) -> None:
        super().__init__(layers, width, dropout, path, heads)
        self.freq, self.band, self.dim = freq, band, dim
        self.places, self.channels = -(-freq // band), width
        self.stem = BandStem(1, freq, width, band)
        self.place = torch.nn.Parameter(PLACE_STD * torch.randn(self.places, width))
        self.norm = torch.nn.LayerNorm(width)
        self.output = torch.nn.Linear(width, band * dim)

    def hidden(self, x: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """``(batch, frames, freq)`` to ``(batch, frames, bands, width)``."""
        return self.blocks(self.begin(x), shorter(frames, x.shape[1]))

    def begin(self, x: torch.Tensor) -> torch.Tensor:
        """Spectra ``(batch, frames, freq)`` to what the first block takes, ``(batch, frames, bands, width)``."""
        return self.stem(x.unsqueeze(1)) + self.place

    def blocks(self, x: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        """All blocks over ``(batch, frames, bands, width)``; ``lengths`` as for `walk`."""
        for index in range(len(self.over_freq)):
            x = self.walk(index, x, lengths)
        return x

    def units(self, hidden: torch.Tensor) -> torch.Tensor:
        """``(batch, frames, freq, dim)`` of `hidden`."""
        units = self.output(self.norm(hidden)).unflatten(-1, (self.band, self.dim)).flatten(2, 3)
        return units[:, :, : self.freq]
