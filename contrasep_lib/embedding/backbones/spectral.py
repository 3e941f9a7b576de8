"""Backbones from log-magnitude spectra to embeddings of time-frequency units.

All map ``(batch, frames, freq)`` and the frames of each utterance ``(batch,)`` to
``(batch, frames, freq, dim)``, not yet of unit norm. An utterance gets the same embeddings
whatever it is padded with: recurrences stop at its end, convolutions see zeros behind it as
they do at the end of the longest, attention does not look there.

The way there has two parts: ``hidden`` gives features ``(batch, frames, places, channels)``, which a
decoder may read too, and ``units`` the embeddings. A place is a frequency, a band of them, or all.
"""

from __future__ import annotations

import abc

import torch

from contrasep_lib.embedding.inputs import frame_mask

# vectors that tell frequencies apart begin about half as large as what they are added to:
# from zero, contrastive losses would collapse before the network knows where it is
_PLACE_STD = 0.3
# on a CPU a recurrence over more sequences goes in parts, whose states stay in the cache
SEQUENCES = 512


def shorter(frames: torch.Tensor, count: int) -> torch.Tensor | None:
    """Lengths ``(batch,)`` on the CPU, or None where no utterance is shorter than ``count`` frames."""
    lengths = frames.cpu()
    return None if bool((lengths == count).all()) else lengths


def run_recurrent(layer: torch.nn.RNNBase, x: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
    """A bidirectional recurrence over ``(batch, steps, channels)``.

    Args:
        layer: batch first.
        lengths: ``(batch,)`` on the CPU; None for all steps, which saves the packing.
    """
    if lengths is None:
        if x.device.type == "cpu" and len(x) > SEQUENCES:
            return torch.cat([layer(part)[0] for part in x.split(SEQUENCES)])
        return layer(x)[0]
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    unpack = torch.nn.utils.rnn.pad_packed_sequence
    return unpack(layer(packed)[0], batch_first=True, total_length=x.shape[1])[0]


class Backbone(torch.nn.Module, abc.ABC):
    """What all backbones over spectra share.

    Attributes:
        places, channels: of the features that `hidden` gives.
    """

    places: int
    channels: int

    @abc.abstractmethod
    def hidden(self, x: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """Spectra ``(batch, frames, freq)`` to features ``(batch, frames, places, channels)``."""

    @abc.abstractmethod
    def units(self, hidden: torch.Tensor) -> torch.Tensor:
        """Features ``(batch, frames, places, channels)`` to embeddings ``(batch, frames, freq, dim)``."""

    def forward(self, x: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """``(batch, frames, freq)`` to ``(batch, frames, freq, dim)``."""
        return self.units(self.hidden(x, frames))


class BLSTM(Backbone):
    """Stacked bidirectional LSTM and a linear layer per frame (Hershey et al., ICASSP 2016).

    Args:
        freq: frequencies.
        dim: dimension of the embeddings.
        layers: LSTM layers.
        width: cells in each direction.
        dropout: between layers.
    """

    def __init__(self, freq: int, dim: int, layers: int, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.recurrent = torch.nn.LSTM(
            freq, width, layers, batch_first=True, bidirectional=True, dropout=dropout if layers > 1 else 0.0
        )
        self.dropout = torch.nn.Dropout(dropout)
        self.output = torch.nn.Linear(2 * width, freq * dim)
        self.freq, self.places, self.channels = freq, 1, 2 * width

    def hidden(self, x: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """``(batch, frames, freq)`` to ``(batch, frames, 1, 2 width)``."""
        return self.dropout(run_recurrent(self.recurrent, x, shorter(frames, x.shape[1]))).unsqueeze(2)

    def units(self, hidden: torch.Tensor) -> torch.Tensor:
        """``(batch, frames, freq, dim)`` of `hidden`."""
        return self.output(hidden.squeeze(2)).unflatten(-1, (self.freq, -1))


class _ConvBlock(torch.nn.Module):
    """Residual dilated 3 x 3 convolution, normalised over the channels of each unit."""

    def __init__(self, width: int, dilation: tuple[int, int], dropout: float) -> None:
        super().__init__()
        self.norm = torch.nn.LayerNorm(width)
        self.conv = torch.nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)
        self.dropout = torch.nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        """``(batch, frames, freq, width)``, channels last; ``inside (batch, frames, 1, 1)`` bool."""
        seen = torch.nn.functional.gelu(self.norm(x)) * inside
        return x + self.dropout(self.conv(seen.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))


class Conv(Backbone):
    """Dilated convolutions over time and frequency, without stride.

    Block i is dilated by ``2^(i mod 7)`` frames and ``2^(i mod 5)`` frequencies. Convolutions do
    not know where they are, so a learned vector per frequency is added at the start.

    Args:
        freq: frequencies.
        dim: dimension of the embeddings.
        layers: blocks.
        width: channels.
        dropout: within blocks.
    """

    def __init__(self, freq: int, dim: int, layers: int, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.stem = torch.nn.Conv2d(1, width, 5, padding=2)
        self.place = torch.nn.Parameter(_PLACE_STD * torch.randn(freq, width))
        self.blocks = torch.nn.ModuleList(
            [_ConvBlock(width, (2 ** (index % 7), 2 ** (index % 5)), dropout) for index in range(layers)]
        )
        self.norm = torch.nn.LayerNorm(width)
        self.output = torch.nn.Linear(width, dim)
        self.places, self.channels = freq, width

    def hidden(self, x: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """``(batch, frames, freq)`` to ``(batch, frames, freq, width)``."""
        inside = frame_mask(frames, x.shape[1])[:, :, None, None]
        x = self.stem(x.unsqueeze(1)).permute(0, 2, 3, 1).contiguous() + self.place
        for block in self.blocks:
            x = block(x, inside)
        return torch.nn.functional.gelu(self.norm(x))

    def units(self, hidden: torch.Tensor) -> torch.Tensor:
        """``(batch, frames, freq, dim)`` of `hidden`."""
        return self.output(hidden)


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


class DualPath(Backbone, Paths):
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
        self.place = torch.nn.Parameter(_PLACE_STD * torch.randn(self.places, width))
        self.norm = torch.nn.LayerNorm(width)
        self.output = torch.nn.Linear(width, band * dim)

    def hidden(self, x: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """``(batch, frames, freq)`` to ``(batch, frames, bands, width)``."""
        lengths = shorter(frames, x.shape[1])
        x = self.stem(x.unsqueeze(1)) + self.place
        for index in range(len(self.over_freq)):
            x = self.walk(index, x, lengths)
        return x

    def units(self, hidden: torch.Tensor) -> torch.Tensor:
        """``(batch, frames, freq, dim)`` of `hidden`."""
        units = self.output(self.norm(hidden)).unflatten(-1, (self.band, self.dim)).flatten(2, 3)
        return units[:, :, : self.freq]
