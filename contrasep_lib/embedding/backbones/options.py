"""Options of the backbones."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar, Literal

from contrasep_lib.config import Bounded, Range, choice
from contrasep_lib.config.bounds import Layers, Width

Dropout = Annotated[float, Range(0, 1, "[)")]
Heads = Annotated[int, Range(1, 256)]
Band = Annotated[int, Range(1, 1024)]


@dataclasses.dataclass(frozen=True)
class BackboneOptions(Bounded):
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

    layers: Layers = 2
    width: Width = 300
    dropout: Dropout = 0.0


def check_heads(path: str, heads: int, width: int) -> None:
    """Raise ValueError unless the width can be divided among the heads of attention."""
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
    heads: Heads = 4
    band: Band = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_heads(self.path, self.heads, self.width)


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

    layers: Layers = 1
    width: Width = 64
    passes: Annotated[int, Range(1, 100)] = 4
    supervision: Annotated[float, Range(0, 1, "[)")] = 0.5


@choice("backbone", "gcn", target="contrasep_lib.embedding.backbones.gcn:GCN")
@dataclasses.dataclass(frozen=True)
class GCNOptions(LayeredOptions):
    """Graph convolutions over the nearest frames of a recording, for frames only (deep modularity networks).

    Attributes:
        neighbours: nearest frames, by the cosine of their spectra, that each frame is joined with.
        threshold: least cosine of two joined frames; with many neighbours a threshold graph.
    """

    granularities: ClassVar[tuple[str, ...]] = ("frame",)

    neighbours: Annotated[int, Range(1, 65536)] = 16
    threshold: Annotated[float, Range(-1, 1, "[)")] = -1.0


@choice("backbone", "spectrum", target="contrasep_lib.embedding.backbones.spectrum:Spectrum")
@dataclasses.dataclass(frozen=True)
class SpectrumOptions(BackboneOptions):
    """Log-magnitude spectra of frames as they are, normalised over the recording; nothing learns, for comparison."""

    granularities: ClassVar[tuple[str, ...]] = ("frame",)


@choice("backbone", "mfcc", target="contrasep_lib.embedding.backbones.mfcc:MFCC")
@dataclasses.dataclass(frozen=True)
class MFCCOptions(BackboneOptions):
    """Mel-frequency cepstral coefficients of frames, as many as embedding_dim; nothing learns, for comparison.

    Attributes:
        bands: mel bands, more than coefficients.
    """

    granularities: ClassVar[tuple[str, ...]] = ("frame",)

    bands: Annotated[int, Range(2, 1024)] = 40
