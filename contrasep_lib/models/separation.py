"""The separation model: an embedder, with a decoder and a counter where they are chosen."""

from __future__ import annotations

import numpy as np
import torch

from contrasep_lib.config import create
from contrasep_lib.counting.counter import Counter
from contrasep_lib.decode.decoders.base import Decoder
from contrasep_lib.embedding.analysis import Analysis
from contrasep_lib.embedding.embedder import Embedder
from contrasep_lib.models.options import ModelOptions
from contrasep_lib.nodes.granularity import apply_mask
from contrasep_lib.nodes.nodeset import NodeSet
from contrasep_lib.nodes.options import FeatureOptions

# frames before and behind a part that the decoder sees with it
_CONTEXT = 64


class SeparationModel(Embedder):
    """Embeds mixtures, decodes communities of their nodes, counts speakers.

    Its weights have the names ``backbone.``, ``inputs.``, ``projection.``, ``decoder.`` and ``counter.``.

    Example:
        >>> from contrasep_lib.models.separation import SeparationModel
        >>> model = SeparationModel(ModelOptions(), FeatureOptions())
        >>> nodes, analysis = model.analyse(torch.randn(1, 8000))
        >>> tuple(nodes.z.shape) == (1, 128 * 129, 20)
        True

    Args:
        options: section ``model``.
        features: section ``features``.
        stats: Kaldi CMVN statistics of log-magnitude spectra, ``(2, freq + 1)``, as in
            ``global_cmvn.ark``; None leaves the normalisation to a checkpoint's.

    Attributes:
        granularity: `contrasep_lib.nodes.granularity.Granularity` of the nodes.
        decoder, counter: None where none is chosen.

    Raises:
        ValueError: statistics of another frame length or over no frame, or a backbone that does not fit the framing.
    """

    decoder: Decoder | None
    counter: Counter | None

    def __init__(self, options: ModelOptions, features: FeatureOptions, stats: np.ndarray | None = None) -> None:
        super().__init__(
            features, options.granularity, options.backbone, options.embedding_dim, options.projection,
            options.node_weight, stats, options.nodes,
        )
        self.options = options
        dim, decoder = options.node_dim, options.full_decoder()
        places, channels = self.backbone.places, self.backbone.channels
        self.decoder = None if decoder is None else create(
            decoder, freq=features.win // 2 + 1, dim=dim, places=places, channels=channels
        )
        self.counter = None if options.counter is None else create(options.counter, dim=dim, channels=channels)

    @property
    def has_noise(self) -> bool:
        """Whether what is no talker has an output of its own: the mixture minus what `decode` gives."""
        return self.decoder is not None and self.decoder.has_noise

    def decode(
        self, analysis: Analysis, centroids: torch.Tensor, samples: int, present: torch.Tensor | None = None,
        at_once: int | None = None,
    ) -> torch.Tensor:
        """Sources of mixtures whose communities have these centroids, by the decoder.

        Args:
            analysis: of `analyse`.
            centroids: ``(batch, K, dim)`` of unit norm.
            samples: length of the mixtures.
            present: ``(batch, K)`` bool, which centroids there are; all by default.
            at_once: frames that the decoder sees at once, beside some before and behind; memory grows with them. All by
                default.

        Returns:
            ``(batch, K, samples)``, silence for absent ones; they add up to the mixture. In long silences, which the
            decoder does not see, each has an equal share of it. Of a decoder that has an output for noise, that is the
            mixture minus these, and has long silences.
        """
        if present is None:
            present = torch.ones(centroids.shape[:2], dtype=torch.bool, device=centroids.device)
        masks = self._masks(analysis, centroids, present, at_once)
        if analysis.shown is not None:
            shares = (present / present.sum(1, keepdim=True).clamp_min(1))[:, None, :, None]
            shares = torch.zeros_like(shares) if self.has_noise else shares
            masks = analysis.spread(masks.transpose(1, 2), shares).transpose(1, 2)
        with torch.autocast(masks.device.type, enabled=False):
            return apply_mask(masks, analysis.spectrum, samples, self.features)

    def _masks(
        self, analysis: Analysis, centroids: torch.Tensor, present: torch.Tensor, at_once: int | None
    ) -> torch.Tensor:
        """Masks of the shown frames, ``(batch, K, frames, freq)``; see `decode`."""
        spectrum, z = analysis.shown_part()
        # a recurrence needs a frame
        frames = analysis.frames if analysis.shown is None else analysis.frames.clamp_min(1)
        seen = analysis.hidden, spectrum, analysis.level
        count = spectrum.shape[1]
        if at_once is None or count <= at_once:
            return self.decoder(*seen, frames, z, centroids, present)
        found, z = [], z.unflatten(1, (count, -1))
        for first in range(0, count, at_once):
            last = min(first + at_once, count)
            begin, end = max(first - _CONTEXT, 0), min(last + _CONTEXT, count)
            hidden, part, level = (each[:, begin:end] for each in seen)
            inside = (frames - begin).clamp(1, end - begin)
            masks = self.decoder(hidden, part, level, inside, z[:, begin:end].flatten(1, 2), centroids, present)
            found.append(masks[:, :, first - begin : last - begin])
        return torch.cat(found, dim=2)

    def count(self, nodes: NodeSet, analysis: Analysis) -> torch.Tensor:
        """Logarithms of the probabilities of 1, 2, .. speakers, ``(batch, count_max)``, by the counter.

        Args:
            nodes, analysis: of `analyse`.
        """
        scores = self.counter(nodes.z, nodes.weight * nodes.valid, analysis.hidden, analysis.frames)
        return scores.log_softmax(-1)
