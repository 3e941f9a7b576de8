"""Options of the backbones."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal

from contrasep_lib.config import choice


@dataclasses.dataclass(frozen=True)
class BackboneOptions:
    """What the options of all backbones share.

    Attributes:
        granularities: that a backbone serves.
        free: options whose value a trained model does not depend on: another one may be used with its weights.
    """

    granularities: ClassVar[tuple[str, ...]] = ("frame", "tf")
    free: ClassVar[tuple[str, ...]] = ("dropout",)


@dataclasses.dataclass(frozen=True)
class LayeredOptions(BackboneOptions):
    """What the options of the package's own backbones share.

    Attributes:
        layers: layers or blocks.
        width: channels, or cells of recurrent layers in each direction.
        dropout: between layers.
    """

    layers: int = 2
    width: int = 300
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("layers", "width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        check_dropout(self.dropout)


def check_dropout(dropout: float) -> None:
    """Raise ValueError unless dropout lies in [0, 1)."""
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout: expected at least 0 and less than 1, got {dropout}")


def check_paths(path: str, heads: int, width: int, band: int) -> None:
    """Raise ValueError unless paths over frequency and time can be made of these options."""
    for name, value in (("heads", heads), ("band", band)):
        if value < 1:
            raise ValueError(f"{name}: expected at least 1, got {value}")
    if path == "attention" and width % (2 * heads):
        raise ValueError(f"heads: expected {heads} heads of even width, got a width of {width}")


@choice("backbone", "encoder", target="contrasep_lib.embedding.backbones.encoder:ConvEncoder")
@dataclasses.dataclass(frozen=True)
class EncoderOptions(LayeredOptions):
    """Strided convolutions over the waveform, for frames only (the paper)."""

    granularities: ClassVar[tuple[str, ...]] = ("frame",)


@choice("backbone", "conv", target="contrasep_lib.embedding.backbones.conv:Conv")
@dataclasses.dataclass(frozen=True)
class ConvOptions(LayeredOptions):
    """Dilated convolutions over spectra; runs over every unit, so a width of 32 to 48 costs as much as 300 of blstm."""


@choice("backbone", "blstm", target="contrasep_lib.embedding.backbones.blstm:BLSTM")
@dataclasses.dataclass(frozen=True)
class BLSTMOptions(LayeredOptions):
    """Bidirectional LSTMs over frames, as in deep clustering."""


@choice("backbone", "dual_path", target="contrasep_lib.embedding.backbones.dual_path:DualPath")
@dataclasses.dataclass(frozen=True)
class DualPathOptions(LayeredOptions):
    """Alternates over frequency and time; runs over every band, so a width of 32 to 64 is usual.

    Attributes:
        path: what runs over frequency and time: ``rnn`` or ``attention``.
        heads: attention heads; divide ``width``.
        band: neighbouring frequencies that are taken as one step.
    """

    path: Literal["rnn", "attention"] = "rnn"
    heads: int = 4
    band: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_paths(self.path, self.heads, self.width, self.band)


@choice("backbone", "iterated", target="contrasep_lib.embedding.backbones.iterated:Iterated")
@dataclasses.dataclass(frozen=True)
class IteratedOptions(DualPathOptions):
    """As dual_path, in several passes through the same blocks, supervised after each pass.

    Attributes:
        passes: through all blocks; a trained model may be used with another number.
        supervision: share of the embeddings after earlier passes in the loss of objectives that shape embeddings, the
            rest is the last pass's; 0: the last pass alone is supervised.
    """

    free: ClassVar[tuple[str, ...]] = ("dropout", "passes", "supervision")

    layers: int = 1
    width: int = 64
    passes: int = 4
    supervision: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.passes < 1:
            raise ValueError(f"passes: expected at least 1, got {self.passes}")
        if not 0 <= self.supervision < 1:
            raise ValueError(f"supervision: expected at least 0 and less than 1, got {self.supervision}")
