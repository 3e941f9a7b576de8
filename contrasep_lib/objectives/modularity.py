"""Modularity of soft communities: the objective of deep modularity networks (Tsitsulin et al., JMLR 2023)."""

from __future__ import annotations

import math
import typing

import torch

from contrasep_lib.embedding.heads import unit_norm
from contrasep_lib.embedding.inputs import SpectrumInput
from contrasep_lib.errors import ContrasepError
from contrasep_lib.modularity.graphs import Graph, KernelGraph, ThresholdGraph
from contrasep_lib.modularity.objective import collapse, partition_quality
from contrasep_lib.modularity.quality import Modularity, NormalisedModularity
from contrasep_lib.nodes.nodeset import NodeSet
from contrasep_lib.objectives.base import Losses, Objective, Step
from contrasep_lib.objectives.options import ModularityObjectiveOptions
from contrasep_lib.objectives.sampling import all_finite, take

if typing.TYPE_CHECKING:
    from contrasep_lib.models.separation import SeparationModel


class ModularityObjective(Objective):
    """``-Q(C) + collapse_weight (sqrt(K)/N |sum_i C_i| - 1)`` with ``C = softmax(W z + b)``, of each utterance.

    No label is read. Communities are those of the graph of spectra, or of the graph of the embeddings, through which
    the gradient then goes too. One linear layer serves all utterances, and is no part of the trained model.

    Args:
        options: of the objective.
        model: that it teaches.

    Raises:
        ContrasepError: a graph of spectra, and nodes that are no frames.
    """

    def __init__(self, options: ModularityObjectiveOptions, model: SeparationModel) -> None:
        super().__init__(options)
        if options.graph == "spectra" and model.granularity.name != "frame":
            raise ContrasepError(
                "model.objectives.modularity.graph: expected 'embeddings' with granularity "
                f"'{model.granularity.name}', got 'spectra', which has frames alone"
            )
        # near logits of 1: from zero weights all communities would be the same, a point without a slope
        self.head = torch.nn.Linear(model.options.projection or model.options.embedding_dim, options.communities)
        torch.nn.init.normal_(self.head.weight)
        self.graph: Graph = KernelGraph(options.power)
        if options.graph == "spectra":
            self.graph = ThresholdGraph(quantile=options.quantile, centre=True)
        self.quality = NormalisedModularity() if options.normalised else Modularity()
        self.inputs = SpectrumInput(model.features, None) if options.graph == "spectra" else None

    @classmethod
    def from_options(cls, options: ModularityObjectiveOptions, model: SeparationModel) -> ModularityObjective:
        """See `Objective.from_options`."""
        return cls(options, model)

    def forward(self, step: Step) -> Losses:
        """See `Objective.forward`; statistics are ``modularity_quality`` and ``modularity_collapse``."""
        index, drawn, z = step.graph_nodes(self.options.sampled_nodes)
        with torch.autocast(z.device.type, enabled=False):
            if not all_finite(z, drawn):
                return math.nan * z.sum(), {}
            weight = take(step.nodes.weight, index).float().masked_fill(~drawn, 0)
            points = z if self.inputs is None else self._spectra(step, index)
            nodes = NodeSet.from_embeddings(points, weight, drawn)
            assign = self.head(z).softmax(-1)
            quality = partition_quality(nodes, assign, self.graph, self.quality).float()
            even = collapse(nodes, assign)
            counted = weight.sum(1) > 0
            share = counted.to(quality.dtype) / counted.sum().clamp_min(1)
            value, term = share @ quality, share @ even
            stats = {"modularity_quality": value.detach(), "modularity_collapse": term.detach()}
            return self.options.collapse_weight * term - value, stats, counted.sum()

    def _spectra(self, step: Step, index: torch.Tensor) -> torch.Tensor:
        """Log-magnitude spectra of some frames, ``(batch, n, freq)`` of unit norm."""
        with torch.no_grad():
            spectrum = step.analysis.spectrum
            whole = torch.full((len(spectrum),), spectrum.shape[1], device=spectrum.device)
            return unit_norm(take(self.inputs(spectrum, whole), index))
