"""The attractor decoder: what each community's centroid asks of the mixture, as a complex mask.

Every output is made by the same network under the condition of its own centroid, so outputs follow
their centroids in any order, there may be any number of them, and training needs no search over
permutations. The ancestor is the deep attractor network (Chen et al., ICASSP 2017), whose masks
are the similarities alone; here those are where the decoder begins.
"""

from __future__ import annotations

import torch

from contrasep_lib.decode.attractor import shares_of
from contrasep_lib.decode.decoders.base import Decoder
from contrasep_lib.embedding.backbones.base import shorter
from contrasep_lib.embedding.backbones.dual_path import BandStem, Paths
from contrasep_lib.embedding.inputs import frame_mask

# of each unit: level, real and imaginary part, share and cosine
_INPUTS = 5


class _Adapter(torch.nn.Linear):
    """Features of a backbone, whatever its places, as features of bands."""

    def __init__(self, places: int, channels: int, bands: int, band: int, width: int) -> None:
        # one place for all frequencies, one for each band, or one for each frequency
        self.places, self.bands, self.band = places, bands, band
        if places == 1:
            super().__init__(channels, bands * width)
        elif places == bands:
            super().__init__(channels, width)
        else:
            super().__init__(band * channels, width)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """``(batch, frames, places, channels)`` to ``(batch, frames, bands, width)``."""
        if self.places == 1:
            return super().forward(hidden.squeeze(2)).unflatten(-1, (self.bands, -1))
        if self.places == self.bands:
            return super().forward(hidden)
        missing = self.bands * self.band - self.places
        padded = torch.nn.functional.pad(hidden, (0, 0, 0, missing))
        return super().forward(padded.unflatten(2, (self.bands, self.band)).flatten(3))


class _Exchange(torch.nn.Module):
    """What the outputs of a mixture tell one another: their mean, the same for any order and number.

    Transform, average, concatenate (Luo et al., ICASSP 2020), with the mean's part added up.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = torch.nn.LayerNorm(width)
        self.own = torch.nn.Linear(width, width)
        self.mean = torch.nn.Linear(width, width, bias=False)
        self.output = torch.nn.Linear(width, width)

    def forward(self, x: torch.Tensor, owner: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """``(outputs, frames, bands, width)``; ``owner (outputs,)`` their mixtures, ``counts (batch,)`` of outputs."""
        seen = self.norm(x)
        mean = _mean_of(seen, owner, counts)
        return x + self.output(torch.nn.functional.gelu(self.own(seen) + self.mean(mean)[owner]))


class _NoiseMask(torch.nn.Module):
    """The share of each unit that is no talker's, as a complex mask.

    A learned query, a centroid of no community, scales and shifts the backbone's features as centroids do. Blocks do
    not run for it: what they found of the talkers reaches it by its mean, the same for any order and number. Begins
    with a mask of zeros.
    """

    def __init__(self, dim: int, width: int, band: int) -> None:
        super().__init__()
        self.query = torch.nn.Parameter(torch.nn.functional.normalize(torch.randn(dim), dim=0))
        self.norm = torch.nn.LayerNorm(width)
        self.own = torch.nn.Linear(width, width)
        self.mean = torch.nn.Linear(width, width, bias=False)
        self.output = torch.nn.Linear(width, 2 * band)
        torch.nn.init.zeros_(self.output.weight)
        torch.nn.init.zeros_(self.output.bias)

    def forward(
        self, own: torch.Tensor, found: torch.Tensor, owner: torch.Tensor, counts: torch.Tensor
    ) -> torch.Tensor:
        """``(batch, frames, bands, 2 * band)``.

        Args:
            own: ``(batch, frames, bands, width)``, the backbone's features under the query.
            found: ``(outputs, frames, bands, width)``, normalised features of the talkers behind the last block.
            owner, counts: see `_Exchange`.
        """
        mean = _mean_of(found, owner, counts)
        return self.output(torch.nn.functional.gelu(self.own(self.norm(own)) + self.mean(mean)))


def _mean_of(x: torch.Tensor, owner: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Mean of ``x (outputs, ..)`` over the outputs of each mixture, ``(batch, ..)``."""
    sums = x.new_zeros(len(counts), *x.shape[1:]).index_add(0, owner, x)
    return sums / counts.to(sums.dtype).clamp_min(1)[:, None, None, None]


class AttractorDecoder(Decoder):
    """Centroids and features to complex masks.

    Each output sees the backbone's features, scaled and shifted by its centroid (Perez et al., AAAI
    2018), and of each unit the mixture, the cosine with its centroid and its share. Blocks over
    frequency and time follow, with an exchange between the outputs of a mixture after each. The
    mask is the share plus what the network finds; what the masks of a mixture lack of one is
    divided between them, so that outputs add up to the mixture. An untrained decoder gives the
    shares themselves.

    With ``noise`` a further mask takes what is no talker's, and the talkers' masks divide the rest: they are multiplied
    by one minus it. It begins with zeros, so a decoder that was trained without gives what it gave.

    Args:
        freq: frequencies.
        dim: dimension of the embeddings.
        places, channels: of the backbone's features.
        layers: blocks.
        width: channels, and cells of the LSTMs in each direction.
        band: frequencies in a band.
        dropout, path, heads: see `contrasep_lib.embedding.backbones.dual_path.Paths`.
        noise: whether there is an output for what is no talker.
    """

    noise: _NoiseMask | None

    def __init__(
        self,
        freq: int,
        dim: int,
        places: int,
        channels: int,
        layers: int,
        width: int,
        band: int,
        dropout: float = 0.0,
        path: str = "rnn",
        heads: int = 4,
        noise: bool = False,
    ) -> None:
        super().__init__()
        bands = -(-freq // band)
        self.freq, self.band = freq, band
        self.adapter = _Adapter(places, channels, bands, band, width)
        self.condition = torch.nn.Linear(dim, 2 * width)
        self.stem = BandStem(_INPUTS, freq, width, band)
        self.paths = Paths(layers, width, dropout, path, heads)
        self.exchanges = torch.nn.ModuleList([_Exchange(width) for _ in range(layers)])
        self.norm = torch.nn.LayerNorm(width)
        self.output = torch.nn.Linear(width, 2 * band)
        torch.nn.init.zeros_(self.output.weight)
        torch.nn.init.zeros_(self.output.bias)
        # last, so that all other weights are drawn as without it
        self.noise = _NoiseMask(dim, width, band) if noise else None

    @property
    def has_noise(self) -> bool:
        """See `contrasep_lib.decode.decoders.base.Decoder`."""
        return self.noise is not None

    def forward(
        self,
        hidden: torch.Tensor,
        spectrum: torch.Tensor,
        level: torch.Tensor,
        frames: torch.Tensor,
        z: torch.Tensor,
        centroids: torch.Tensor,
        present: torch.Tensor,
    ) -> torch.Tensor:
        """Masks; see `contrasep_lib.decode.decoders.base.Decoder`."""
        count = spectrum.shape[1]
        shares, cosine = (part.unflatten(-1, (count, self.freq)) for part in shares_of(z, centroids, present))
        owner, speaker = present.nonzero(as_tuple=True)
        mixture = torch.stack([level, *_compressed(spectrum, frames)], dim=1)
        # behind its end a mixture is as if it were alone
        inside = frame_mask(frames, count)[:, None, None, :, None]
        found = torch.where(inside, torch.stack([shares, cosine], dim=2), 0.0)[owner, speaker]
        seen = torch.cat([mixture[owner], found], dim=1)
        scale, shift = self.condition(centroids[owner, speaker])[:, None, None].chunk(2, dim=-1)
        adapted = self.adapter(hidden)
        x = self.stem(seen) + adapted[owner] * (1 + scale) + shift
        lengths = shorter(frames, count)
        lengths = None if lengths is None else lengths[owner.cpu()]
        counts = present.sum(1)
        for index, exchange in enumerate(self.exchanges):
            x = exchange(self.paths.walk(index, x, lengths), owner, counts)
        x = self.norm(x)
        found = self._units(self.output(x))
        masks = found.new_zeros(shares.shape).index_put((owner, speaker), found) + shares
        lacking = (1 - masks.sum(1, keepdim=True)) / counts[:, None, None, None]
        masks = masks + lacking * present[:, :, None, None]
        if self.noise is None:
            return masks
        scale, shift = self.condition(self.noise.query).chunk(2)
        noise = self._units(self.noise(adapted * (1 + scale) + shift, x, owner, counts))
        return masks * (1 - noise).unsqueeze(1)

    def _units(self, x: torch.Tensor) -> torch.Tensor:
        """Complex values of units, ``(.., frames, freq)``, of ``(.., frames, bands, 2 * band)``."""
        x = x.unflatten(-1, (self.band, 2)).flatten(2, 3)[:, :, : self.freq]
        return torch.view_as_complex(x.float().contiguous())


def _compressed(spectrum: torch.Tensor, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Real and imaginary part of a spectrum, magnitudes to the power of 0.3 and of mean 1 over ``frames``."""
    magnitude = spectrum.abs()
    inside = frame_mask(frames, spectrum.shape[1]).unsqueeze(-1)
    bent = magnitude.clamp_min(1e-8) ** 0.3 * inside
    mean = bent.sum((1, 2), keepdim=True) / (frames * spectrum.shape[2]).clamp_min(1)[:, None, None]
    factor = bent / (magnitude.clamp_min(1e-8) * torch.where(mean > 0, mean, 1.0))
    return spectrum.real * factor, spectrum.imag * factor
