"""Options of the decoders."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal, TypeVar

from contrasep_lib.config import LATER, Bounded, Range, choice
from contrasep_lib.config.bounds import Width
from contrasep_lib.embedding.backbones.options import Band, Dropout, Heads, check_heads

Options = TypeVar("Options", bound="DecoderOptions")


@dataclasses.dataclass(frozen=True)
class DecoderOptions(Bounded):
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
        noise: a further output for what is no talker, such as noise and late reverberation. It is never counted or
            matched; with it outputs add up to the mixture.
    """

    layers: Annotated[int, Range(0, 100)] = 2
    width: Width = 64
    band: Band | None = None
    path: Literal["rnn", "attention"] | None = None
    heads: Heads | None = None
    dropout: Dropout | None = None
    noise: bool = dataclasses.field(default=False, metadata=LATER)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_heads(self.path or "rnn", self.heads or 1, self.width)

    def beside(self, backbone: Any) -> AttractorOptions:
        """See `DecoderOptions`."""
        given = {}
        for name, otherwise in (("band", 4), ("path", "rnn"), ("heads", 4), ("dropout", 0.0)):
            own = getattr(self, name)
            given[name] = getattr(backbone, name, otherwise) if own is None else own
        filled = dataclasses.replace(self, **given)
        check_heads(filled.path, filled.heads, filled.width)
        return filled
