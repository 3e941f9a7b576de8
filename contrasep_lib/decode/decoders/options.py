"""Options of the decoders."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, TypeVar

from contrasep_lib.config import choice
from contrasep_lib.embedding.backbones.options import check_dropout, check_paths

Options = TypeVar("Options", bound="DecoderOptions")


@dataclasses.dataclass(frozen=True)
class DecoderOptions:
    """What the options of all decoders share."""

    def beside(self: Options, backbone: Any) -> Options:
        """These options, with what they leave to the backbone filled in.

        Raises:
            ValueError: options that do not fit one another then.
        """
        return self


@choice("decoder", "attractor", target="contrasep_lib.decode.decoders.attractor:AttractorDecoder")
@dataclasses.dataclass(frozen=True)
class AttractorOptions(DecoderOptions):
    """Centroids of the communities condition a network over frequency and time, which gives complex masks.

    Attributes:
        layers: blocks; each runs once for each speaker.
        width: channels, and cells of LSTMs in each direction.
        band, path, heads, dropout: as for the backbone ``dual_path``; ``null``: the backbone's own or, where it
            has none, 4, ``rnn``, 4 and 0.
    """

    layers: int = 2
    width: int = 64
    band: int | None = None
    path: Literal["rnn", "attention"] | None = None
    heads: int | None = None
    dropout: float | None = None

    def __post_init__(self) -> None:
        if self.layers < 0:
            raise ValueError(f"layers: expected at least 0, got {self.layers}")
        if self.width < 1:
            raise ValueError(f"width: expected at least 1, got {self.width}")
        check_paths(
            self.path or "rnn", 1 if self.heads is None else self.heads, self.width,
            1 if self.band is None else self.band,
        )
        check_dropout(self.dropout or 0.0)

    def beside(self, backbone: Any) -> AttractorOptions:
        """See `DecoderOptions`."""
        given = {}
        for name, otherwise in (("band", 4), ("path", "rnn"), ("heads", 4), ("dropout", 0.0)):
            own = getattr(self, name)
            given[name] = getattr(backbone, name, otherwise) if own is None else own
        filled = dataclasses.replace(self, **given)
        check_paths(filled.path, filled.heads, filled.width, filled.band)
        return filled
