"""Features of frames that no training of ours made, to stand beside trained embeddings."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

if TYPE_CHECKING:
    import torch

# spectra of bins and cepstra of 20 ms as they are; the paper's six convolutions with the weights that a training begins with
MODELS = {
    "spectrum": {"backbone": {"name": "spectrum"}, "embedding_dim": 129},
    "mfcc": {"backbone": {"name": "mfcc"}, "embedding_dim": 19},
    "random": {"backbone": {"name": "encoder", "layers": 6, "width": 64}, "embedding_dim": 32},
}
# a speaker encoder that others trained, frozen (`contrasep_lib.speakers.resemblyzer`)
ENCODER = "resemblyzer"
NAMES = (*MODELS, ENCODER)
# seconds around a frame that the encoder hears: it was trained on 1.6, in which two talkers take turns
WINDOW = 0.4
RATE = 8000


def features_of(name: str) -> Any:
    """What analyses mixtures into these features, as a `SeparationModel` does.

    Args:
        name: one of `NAMES`.

    Raises:
        ContrasepError: the extra of the speaker encoder is not installed.
    """
    return EncodedFrames(WINDOW) if name == ENCODER else model_of(MODELS[name])


def model_of(values: dict[str, Any]) -> Any:
    """A model of frames that has not been trained."""
    import torch

    from contrasep_lib.config import build
    from contrasep_lib.models.options import ModelOptions
    from contrasep_lib.models.separation import SeparationModel
    from contrasep_lib.nodes.options import FeatureOptions

    torch.manual_seed(0)
    tree = {"granularity": "frame", "node_weight": "uniform", **values}
    return SeparationModel(build(ModelOptions, tree, "model"), FeatureOptions()).eval()


class EncodedFrames:
    """Frames of mixtures by a speaker encoder, each as a window around it sounds.

    Args:
        window: seconds.

    Raises:
        ContrasepError: its extra is not installed.
    """

    def __init__(self, window: float) -> None:
        from contrasep_lib.speakers.resemblyzer import Resemblyzer

        # a length of its own for windows, the weights as they are
        self.encoder = type("Windowed", (Resemblyzer,), {"seconds": window})()
        self.base = model_of(MODELS["spectrum"])
        self.features, self.granularity = self.base.features, self.base.granularity

    def parameters(self) -> Iterator[torch.Tensor]:
        """Of the encoder."""
        for part in (self.encoder.lstm, self.encoder.linear):
            yield from part.parameters()

    def analyse(self, mixture: torch.Tensor) -> tuple[Any, Any]:
        """See `contrasep_lib.embedding.embedder.Embedder.analyse`; of one mixture, ``(1, samples)``."""
        import torch

        nodes, seen = self.base.analyse(mixture)
        middles = (torch.arange(nodes.shape[0]) * self.features.hop + self.features.hop - self.features.win / 2) / RATE
        vectors = self.encoder.utterances(mixture[0].numpy(), RATE, middles.numpy()).vectors
        return dataclasses.replace(nodes, z=torch.from_numpy(vectors).unsqueeze(0)), seen
