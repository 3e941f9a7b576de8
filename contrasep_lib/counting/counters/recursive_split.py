"""Counting by recursive splitting against a null that stage 4 calibrates."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

import torch

from contrasep_lib.counting.calibration import fit_null, fit_odds
from contrasep_lib.counting.counters.base import CountDecision, CountEstimator, KnownSpeech
from contrasep_lib.counting.counters.options import ISOTROPIC_THRESHOLD, RecursiveSplitOptions
from contrasep_lib.counting.null import Null
from contrasep_lib.counting.recursive import count_communities
from contrasep_lib.embedding.analysis import Analysis
from contrasep_lib.errors import ContrasepError
from contrasep_lib.modularity.diagnostics import FurtherSplit
from contrasep_lib.modularity.graphs import Graph
from contrasep_lib.nodes.nodeset import NodeSet


class RecursiveSplit(CountEstimator):
    """Communities are split for as long as one of them exceeds the null; see `contrasep_lib.counting.recursive`.

    Args:
        options: how the null is calibrated.
        graph: in which evidence is measured.
        most: the largest number of speakers that is ever asked for.
        null: the bar for a further speaker; the isotropic one when None.
    """

    state_file = "null.json"

    def __init__(
        self, options: RecursiveSplitOptions, graph: Graph, most: int, null: Null | None = None
    ) -> None:
        self.options, self.graph, self.most = options, graph, most
        self.null = Null(threshold=ISOTROPIC_THRESHOLD) if null is None else null

    @classmethod
    def from_options(
        cls, options: RecursiveSplitOptions, graph: Graph, most: int, network: torch.nn.Module | None
    ) -> RecursiveSplit:
        """See `CountEstimator.from_options`."""
        return cls(options, graph, most)

    def fitted(self, speech: KnownSpeech | None, seed: int) -> RecursiveSplit:
        """See `CountEstimator.fitted`; the isotropic null without any speech."""
        options = self.options
        if speech is None or options.utterances == 0:
            return self._with_null(Null(threshold=_positive(options.threshold)))
        if options.by_odds and self.most > 1:
            return self._with_null(self._odds(speech, seed))
        speakers = list(speech.singles(options.utterances))
        if not speakers:
            raise ContrasepError(f"{speech.name}: nothing but silence; look at the dump of stage 2")
        null = fit_null(speakers, _positive(options.threshold), seed)
        print(
            f"null of the count: isotropic, raised by {null.talkers} utterances, factor {null.factor:.2f}, "
            f"spread {null.spread:.2f}"
        )
        return self._with_null(null)

    def state(self) -> dict[str, Any]:
        """See `CountEstimator.state`."""
        return dataclasses.asdict(self.null)

    def with_state(self, state: Mapping[str, Any]) -> RecursiveSplit:
        """See `CountEstimator.with_state`."""
        return self._with_null(Null.from_fields(state))

    def count(
        self, nodes: NodeSet, analysis: Analysis, most: int, seed: int, with_evidence: bool = False
    ) -> CountDecision:
        """See `CountEstimator.count`."""
        [found] = count_communities(
            nodes, most, self.graph, None, seed, self.null, with_evidence=with_evidence, quality=self.quality
        )
        further = FurtherSplit(found.split_score, found.threshold, found.at_limit)
        return CountDecision(found.count, found.reason, None, found.evidence, further)

    def _with_null(self, null: Null) -> RecursiveSplit:
        made = copy.copy(self)
        made.null = null
        return made

    def _odds(self, speech: KnownSpeech, seed: int) -> Null:
        options = self.options
        # with more speakers than the model can separate, every community would seem to hold several
        known = [
            item for num_spk in range(1, min(speech.most, self.most) + 1)
            for item in speech.mixtures(num_spk, options.utterances, options.seconds)
        ]
        if not known:
            raise ContrasepError(f"{speech.name}: nothing but silence; look at the dump of stage 2")
        try:
            null = fit_odds(known, options.threshold or 0.0, seed)
        except ValueError as error:
            raise ContrasepError(
                f"{speech.name}: the odds of the count need at least two speakers ({error}); "
                "set modularity.counting.null_model: isotropic"
            ) from None
        print(f"null of the count: odds, fitted on {null.talkers} mixtures of up to {null.known} speakers")
        return null


def _positive(threshold: float | None) -> float:
    """The threshold of an isotropic null."""
    return threshold if threshold is not None and threshold > 0 else ISOTROPIC_THRESHOLD
