"""Calibration of the null on recordings whose speakers are known.

:func:`fit_null` raises the isotropic null by what single speakers show. :func:`fit_odds` asks the question of
counting where the answer is known: does this community hold more than one speaker? Mixtures of 1 to K
speakers are partitioned into too few communities, as many as there are speakers, and one too many; each
community, and each pair that could be joined, is an example. A logistic regression on measures of its best
cut then gives the odds, one for whole recordings and one for parts: a single-speaker recording makes a
narrower cloud than that speaker in a mixture.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import numpy as np
import scipy.optimize
import torch

from contrasep_lib.counting.cuts import Cut, CutTest
from contrasep_lib.counting.drawing import check_countable, drawn
from contrasep_lib.counting.null import FEATURES, Null
from contrasep_lib.modularity.soft import best_of, unit, whole
from contrasep_lib.nodes.nodeset import NodeSet

_RESTARTS = 4
# the largest speaker's share of a community that holds one, or several; between the two it is no example
_ONE, _SEVERAL = 0.9, 0.75
_RIDGE = 1e-3

Example = tuple[Cut, bool, bool]


def fit_null(
    speakers: Iterable[NodeSet],
    threshold: float = 7.5,
    seed: int = 0,
    min_share: float = 0.02,
) -> Null:
    """The isotropic null, raised by what recordings of single speakers show.

    Embeddings of one speaker are not quite isotropic about their centre. The null learns by how
    much the best cut of one speaker exceeds that of its rotated surrogates, mean and spread, and no
    split at or below the largest such ratio seen is ever accepted.

    Args:
        speakers: node sets of single speakers; each utterance of a batch counts as one.
        threshold: least score of a split, standard deviations.
        seed: of drawn nodes and surrogates.
        min_share: as will be used in counting.

    Raises:
        ValueError: there is no utterance, or as for :func:`count_communities`.

    Example:
        >>> from contrasep_lib.counting.recursive import count_communities
        >>> generator = torch.Generator().manual_seed(0)
        >>> cloud = torch.eye(8)[0] + 0.2 * torch.randn(4, 300, 8, generator=generator)
        >>> single = NodeSet.from_embeddings(torch.nn.functional.normalize(cloud, dim=-1))
        >>> null = fit_null([single])
        >>> [decision.count for decision in count_communities(single, 5, null=null)]
        [1, 1, 1, 1]
    """
    cuts: list[Cut] = []
    for nodes in speakers:
        check_countable(nodes, min_share)
        for row in range(nodes.z.shape[0]):
            z, weight, _ = drawn(nodes, row, seed)
            cuts.append(CutTest(z, weight, Null(), min_share, seed)(np.arange(len(z))))
    if not cuts:
        raise ValueError("speakers: expected at least one single-speaker utterance, got none")
    ratios = np.array([max(cut.ratio, 1.0) for cut in cuts])
    return Null(
        threshold=threshold,
        factor=float(ratios.mean()),
        spread=float(ratios.std(ddof=1) / ratios.mean()) if len(ratios) > 1 else 0.0,
        ceiling=float(ratios.max()),
        antipode=float(max(cut.antipode for cut in cuts)),
        talkers=len(cuts),
    )


def fit_odds(
    mixtures: Iterable[tuple[NodeSet, torch.Tensor]],
    threshold: float = 0.0,
    seed: int = 0,
    min_share: float = 0.02,
) -> Null:
    """The null of odds, from mixtures whose speakers are known.

    Args:
        mixtures: node sets, and the speaker that dominates each node ``(batch, nodes)`` int64; among them
            some of one speaker and some of more. Examples of one and of several speakers have equal weight.
        threshold: least logarithm of the odds at which a community is split.
        seed: of drawn nodes and starts.
        min_share: as will be used in counting.

    Raises:
        ValueError: no example of one speaker, or none of several; or as for
            :func:`~.recursive.count_communities`.

    Example:
        >>> from contrasep_lib.counting.recursive import count_communities
        >>> generator = torch.Generator().manual_seed(0)
        >>> def mixture(talkers):
        ...     dominant = torch.arange(300) % talkers
        ...     z = torch.eye(8)[dominant] + 0.2 * torch.randn(300, 8, generator=generator)
        ...     return NodeSet.from_embeddings(torch.nn.functional.normalize(z, dim=-1)[None]), dominant[None]
        >>> null = fit_odds(mixture(talkers) for talkers in (1, 1, 2, 2, 3, 3))
        >>> count_communities(mixture(2)[0], 5, null=null)[0].count
        2
    """
    # of whole recordings, and of parts
    features: tuple[list[np.ndarray], ...] = ([], [])
    several: tuple[list[bool], ...] = ([], [])
    count, known = 0, 1
    for nodes, talkers in mixtures:
        check_countable(nodes, min_share)
        for row in range(len(nodes.z)):
            count += 1
            for cut, holds_several, whole_one in examples(nodes, row, talkers[row], seed, min_share):
                part = int(not whole_one)
                features[part].append(cut.features)
                several[part].append(holds_several)
            known = max(known, len(talkers[row][nodes.valid[row]].unique()))
    if not any(several[0]) or all(several[0]):
        missing = "one speaker" if all(several[0]) else "several speakers"
        raise ValueError(f"mixtures: expected examples of one speaker and of several, got none of {missing}")
    # one answer alone cannot be fitted; parts then take the odds of the whole
    fitted = [part for part in (0, 1) if any(several[part]) and not all(several[part])]
    odds = tuple(tuple(regression(np.array(features[part]), np.array(several[part])).tolist()) for part in fitted)
    return Null(threshold=threshold, talkers=count, odds=odds, known=known)


def examples(
    nodes: NodeSet, row: int, talkers: torch.Tensor, seed: int = 0, min_share: float = 0.02
) -> Iterator[Example]:
    """Communities of one mixture; whether each holds several speakers, and whether it is the whole mixture.

    Args:
        nodes: node sets.
        row: which of them.
        talkers: speakers that dominate its nodes, ``(nodes,)`` int64.
        seed, min_share: as for :func:`fit_odds`.
    """
    z, weight, index = drawn(nodes, row, seed)
    _, talker = np.unique(talkers.cpu().numpy()[index], return_inverse=True)
    present = np.eye(talker.max() + 1)[talker] * weight[:, None]
    # speakers below the least share are not counted
    heard = np.flatnonzero(present.sum(0) >= min_share * weight.sum())
    present = present[:, heard]
    true = (unit(present.T @ z), present.sum(0) / present.sum())
    test = CutTest(z, weight, Null(threshold=0.0, odds=((0.0,) * FEATURES,)), min_share, seed)
    rng = np.random.default_rng(seed)
    for k in range(1, len(heard) + 2):
        starts = [true] if k == len(heard) else []
        fit = whole(z, weight) if k == 1 else best_of(z, weight, k, starts, _RESTARTS, rng)
        labels = fit.labels(z)
        groups = [labels == c for c in range(k)]
        if k >= len(heard):
            # as joining will ask: is a pair of communities one speaker?
            groups += [labels_a | labels_b for labels_a, labels_b in itertools.combinations(groups, 2)]
        for number, group in enumerate(groups):
            mass = present[group].sum(0)
            if not mass.any():
                continue
            largest = mass.max() / mass.sum()
            holds_several = largest < _SEVERAL
            if k == len(heard) and number < k:
                # a further split would be wrong, however impure the community
                holds_several = False
            elif _SEVERAL <= largest < _ONE:
                continue
            cut = test(np.flatnonzero(group))
            if cut.width > 0:
                yield cut, bool(holds_several), bool(group.all())


def regression(features: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Weights of a logistic regression in which both classes have equal weight.

    Args:
        features: ``(examples, FEATURES)``, the first one constant.
        positive: ``(examples,)`` bool, both kinds.

    Returns:
        ``(FEATURES,)``; features times weights are the logarithm of the odds.
    """
    mean, scale = features[:, 1:].mean(0), np.maximum(features[:, 1:].std(0), 1e-6)
    x = np.column_stack([features[:, :1], (features[:, 1:] - mean) / scale])
    sign = np.where(positive, 1.0, -1.0)
    share = np.where(positive, 0.5 / positive.sum(), 0.5 / (~positive).sum())

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (x @ weights)
        value = share @ np.logaddexp(0, -margin) + _RIDGE * np.square(weights[1:]).sum()
        slope = -(share * sign / (1 + np.exp(np.clip(margin, -500, 500)))) @ x
        slope[1:] += 2 * _RIDGE * weights[1:]
        return value, slope

    weights = scipy.optimize.minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x
    scaled = weights[1:] / scale
    return np.concatenate([[weights[0] - scaled @ mean], scaled])
