"""Cross entropy of the number of speakers."""

from __future__ import annotations

import torch

from contrasep_lib.objectives.base import Losses, Objective, Step


class Count(Objective):
    """Logit-adjusted cross entropy of the counter's scores; the statistic ``counted`` is the count accuracy."""

    def forward(self, step: Step) -> Losses:
        """See `Objective.forward`.

        Raises:
            ValueError: a mixture of more speakers than the counter knows.
        """
        counter, analysis, truth = step.model.counter, step.analysis, step.sources.counts
        scores = counter(analysis.z, step.nodes.weight, analysis.hidden, analysis.frames)
        if int(truth.max()) > scores.shape[1]:
            raise ValueError(
                f"num_spk: expected at most {scores.shape[1]} speakers (model.counter.count_max), "
                f"got {int(truth.max())}"
            )
        right = (scores.argmax(1) + 1 == truth).float().mean()
        return torch.nn.functional.cross_entropy(scores + counter.prior, truth - 1), {"counted": right.detach()}
