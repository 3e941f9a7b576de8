"""What a partition is worth, per utterance, and its failure signatures in words.

The measures need only the sums over pairs of :func:`~.objective.quantities`; no matrix over
pairs of nodes is formed. The four signatures are those of the paper (arXiv 2305.10652);
what triggers each is written with :class:`Thresholds`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import torch

from contrasep_lib.config import Bounded
from contrasep_lib.config.bounds import Probability
from contrasep_lib.modularity.graphs import Graph
from contrasep_lib.modularity.objective import quantities
from contrasep_lib.modularity.quality import Modularity, NormalisedModularity
from contrasep_lib.nodes.nodeset import NodeSet


@dataclasses.dataclass(frozen=True)
class Thresholds(Bounded):
    """When a signature is raised. All values are free of the number of nodes and communities.

    Defaults are those that about 5 % of good partitions of development mixtures exceed, under the embedding of the
    package's `best` and the kernel graph of power 2 (`tools/bench/signatures.py`).

    Args:
        conductance: poor clustering where the mean relative conductance exceeds this. It is
            cut(S) / min(vol S, vol rest) over what a random set of that volume has, so 1
            means no structure.
        contrast: weak contrastive signal where the mean cosine within communities exceeds
            that between communities by less than this.
        similarity: over-segmentation where two communities' mean edge weight between them,
            over the geometric mean of that inside each, exceeds this; 1 means one community.
        cohesion: under-segmentation where the mean resultant length of some community is
            below this part of the largest one's; two orthogonal talkers in one have 0.71.

    Raises:
        ValueError: a threshold is outside [0, 1].
    """

    conductance: Probability = 0.925
    contrast: Probability = 0.18
    similarity: Probability = 0.84
    cohesion: Probability = 0.74


@dataclasses.dataclass(frozen=True)
class FurtherSplit:
    """What the search for the count says about one community more.

    Attributes:
        score: of the best cut through a community.
        threshold: above which a cut is a split.
        at_limit: such a cut was there, but the largest count was reached.
    """

    score: float
    threshold: float
    at_limit: bool


@dataclasses.dataclass(frozen=True)
class Signature:
    """One failure signature: its name, the measure behind it and whether it is raised.

    ``value`` is NaN where the measure does not exist (K = 1), and then nothing is raised.
    """

    name: str
    measure: str
    value: float
    threshold: float
    raised: bool
    words: str


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """Measures of one utterance's partition.

    Attributes:
        num_communities: number of non-empty communities.
        modularity: Q.
        normalised_modularity: Qn, 0 for one community.
        conductance: cut(S) / min(vol S, vol rest) of each community, in the order of their
            labels; NaN where it is empty, has no volume, or is the whole graph.
        mean_conductance: mean over those that are defined; NaN if none is.
        sizes: share of the weight in each community, in the order of labels.
        purity, nmi: against the oracle, see :func:`purity` and
            :func:`normalised_mutual_information`; None without one.
        signatures: poor clustering, weak contrastive signal, over-segmentation,
            under-segmentation, in this order.
    """

    num_communities: int
    modularity: float
    normalised_modularity: float
    conductance: tuple[float, ...]
    mean_conductance: float
    sizes: tuple[float, ...]
    purity: float | None
    nmi: float | None
    signatures: tuple[Signature, ...]

    @property
    def words(self) -> str:
        """The raised signatures, one line each; "no failure signature" when there is none."""
        raised = [f"{s.name}: {s.words}" for s in self.signatures if s.raised]
        return "\n".join(raised) if raised else "no failure signature"


def conductance_of(gram: torch.Tensor, volume: torch.Tensor, two_m: torch.Tensor) -> torch.Tensor:
    """Conductance cut(S) / min(vol S, vol rest) of each community, ``(batch, K)``.

    Args:
        gram: ``C'AC``, ``(batch, K, K)``.
        volume: sum of the degrees in each community, ``(batch, K)``.
        two_m: sum of all degrees, ``(batch,)``.

    Returns:
        NaN where the community or its complement has no volume.
    """
    cut = (volume - gram.diagonal(dim1=1, dim2=2)).clamp(min=0)
    rest = two_m.unsqueeze(-1) - volume
    least = torch.minimum(volume, rest)
    # What rounding leaves of an empty complement is not a volume.
    some = least > 1e-6 * two_m.unsqueeze(-1)
    return torch.where(some, cut / torch.where(some, least, 1.0), torch.nan)


def contingency(labels: torch.Tensor, oracle: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Weight of the nodes in each community and of each oracle speaker, ``(K, speakers)``.

    Nodes with a negative label or oracle, ``(nodes,)`` int64 both, do not count.

    Raises:
        ValueError: the shapes differ.
    """
    if labels.dim() != 1 or labels.shape != oracle.shape or labels.shape != weight.shape:
        got = tuple(labels.shape), tuple(oracle.shape), tuple(weight.shape)
        raise ValueError(f"labels, oracle, weight: expected one shape (nodes,), got {got}")
    used = (labels >= 0) & (oracle >= 0)
    rows, columns, mass = labels[used], oracle[used], weight[used].double()
    shape = (int(rows.max()) + 1, int(columns.max()) + 1) if len(rows) else (1, 1)
    table = mass.new_zeros(shape)
    return table.index_put_((rows, columns), mass, accumulate=True)


def purity(table: torch.Tensor) -> float:
    """Part of the weight that lies with the majority speaker of its community.

    ``sum_k max_j n_kj / n`` of a contingency table ``(K, speakers)``; in (0, 1], NaN for an
    empty table (Manning, Raghavan and Schuetze 2008, section 16.3).
    """
    total = float(table.sum())
    return float(table.max(1).values.sum()) / total if total > 0 else math.nan


def matched_share(table: torch.Tensor) -> float:
    """Part of the weight in the community of its speaker under the best one-to-one assignment.

    Of a contingency table ``(K, speakers)``; in (0, 1], NaN for an empty table (Kuhn 1955). At most `purity`.
    """
    from scipy.optimize import linear_sum_assignment

    counts = table.double().cpu().numpy()
    total = counts.sum()
    return float(counts[linear_sum_assignment(counts, maximize=True)].sum() / total) if total > 0 else math.nan


def normalised_mutual_information(table: torch.Tensor) -> float:
    """``2 I(C; S) / (H(C) + H(S))`` of a contingency table ``(K, speakers)``, in [0, 1].

    1 when both sides have a single class, NaN for an empty table (Manning, Raghavan and
    Schuetze 2008, section 16.3, whose normalisation by the mean entropy this is).
    """
    total = float(table.sum())
    if total <= 0:
        return math.nan
    joint = table.double() / total
    entropy = [float(-torch.special.xlogy(p, p).sum()) for p in (joint.sum(1), joint.sum(0), joint)]
    both = entropy[0] + entropy[1]
    if both < 1e-12:
        return 1.0
    return min(max(2 * (both - entropy[2]) / both, 0.0), 1.0)


def diagnose(
    nodes: NodeSet,
    labels: torch.Tensor,
    graph: Graph,
    oracle: torch.Tensor | None = None,
    further: Sequence[FurtherSplit | None] | None = None,
    thresholds: Thresholds = Thresholds(),
) -> list[Diagnosis]:
    """Diagnose the partition of each utterance of a batch.

    Args:
        nodes: node set with unit-norm embeddings.
        labels: ``(batch, nodes)`` int64 communities, at least 0 on valid nodes; not read on
            invalid ones.
        graph: in which Q and conductance are measured.
        oracle: ``(batch, nodes)`` int64, the dominant speaker of each node, -1 where there
            is none. With it, over- and under-segmentation are judged by majorities: two
            communities of one speaker, or a speaker without a community.
        further: one per utterance, where the count was estimated by splitting; without oracle,
            under-segmentation is then judged by it.
        thresholds: of the signatures.

    Returns:
        One diagnosis per utterance.

    Raises:
        ValueError: a shape or dtype is not as above, or labels are negative on valid nodes.
    """
    _check(nodes, labels, oracle, further)
    with torch.no_grad():
        known = torch.where(nodes.valid, labels, 0)
        k = int(known.max()) + 1 if known.numel() else 1
        assign = torch.nn.functional.one_hot(known, k).to(torch.promote_types(nodes.z.dtype, torch.float32))
        gram, degree, two_m = (part.double() for part in quantities(nodes, assign, graph))
        volume = (degree.unsqueeze(1) @ assign.double()).squeeze(1)
        conductance = conductance_of(gram, volume, two_m)
        weight = torch.where(nodes.valid, nodes.weight, 0).double()
        sums = (assign.double() * weight.unsqueeze(-1)).transpose(1, 2) @ torch.where(
            nodes.valid.unsqueeze(-1), nodes.z, 0
        ).double()
        mass = (weight.unsqueeze(1) @ assign.double()).squeeze(1)
    out = []
    for row in range(len(labels)):
        table = None
        if oracle is not None:
            inside = nodes.valid[row]
            table = contingency(known[row][inside], oracle[row][inside], weight[row][inside])
        out.append(
            _diagnosis(
                gram[row], volume[row], float(two_m[row]), conductance[row], sums[row], mass[row],
                weight[row].square() @ assign[row].double(), table,
                None if further is None else further[row], thresholds,
            )
        )
    return out


def _diagnosis(
    gram: torch.Tensor,
    volume: torch.Tensor,
    two_m: float,
    conductance: torch.Tensor,
    sums: torch.Tensor,
    mass: torch.Tensor,
    squares: torch.Tensor,
    table: torch.Tensor | None,
    further: FurtherSplit | None,
    thresholds: Thresholds,
) -> Diagnosis:
    some = torch.nonzero(mass > 0).squeeze(1)
    share = volume / two_m if two_m > 0 else torch.zeros_like(volume)
    parts = gram.diagonal(), volume, volume.new_tensor(two_m)
    total = float(mass.sum())
    relative = (conductance / torch.maximum(share, 1 - share)).nanmean()
    return Diagnosis(
        num_communities=len(some),
        modularity=float(Modularity().value(*parts)),
        normalised_modularity=float(NormalisedModularity().value(*parts)),
        conductance=tuple(conductance.tolist()),
        mean_conductance=float(conductance.nanmean()),
        sizes=tuple((mass / total).tolist()) if total > 0 else tuple(0.0 for _ in mass),
        purity=None if table is None else purity(table),
        nmi=None if table is None else normalised_mutual_information(table),
        signatures=(
            _poor(float(relative), thresholds.conductance),
            _weak(_contrast(sums[some], mass[some], squares[some]), thresholds.contrast),
            _over(gram[some][:, some], mass[some], squares[some], table, thresholds.similarity),
            _under(sums[some], mass[some], table, further, thresholds.cohesion),
        ),
    )


def _poor(value: float, limit: float) -> Signature:
    words = (
        f"the cut around a community is {value:.2f} of a random set's (limit {limit:g}): "
        "the graph has no such groups"
    )
    return Signature("poor clustering", "mean relative conductance", value, limit, value > limit, words)


def _contrast(sums: torch.Tensor, mass: torch.Tensor, squares: torch.Tensor) -> float:
    """Mean cosine of pairs within communities minus that of pairs between communities."""
    if len(mass) < 2:
        return math.nan
    inside_pairs = (mass.square() - squares).sum()
    inside = (sums.square().sum(-1) - squares).sum()
    between_pairs = mass.sum().square() - mass.square().sum()
    between = sums.sum(0).square().sum() - sums.square().sum()
    if inside_pairs <= 1e-9 * mass.sum().square():
        return math.nan
    return float(inside / inside_pairs - between / between_pairs)


def _weak(value: float, limit: float) -> Signature:
    words = (
        f"nodes of one community are only {value:.2f} more similar in cosine than nodes of two "
        f"(limit {limit:g}): the embeddings hardly separate speakers"
    )
    return Signature("weak contrastive signal", "cosine contrast", value, limit, value < limit, words)


def _over(
    gram: torch.Tensor, mass: torch.Tensor, squares: torch.Tensor, table: torch.Tensor | None, limit: float
) -> Signature:
    name = "over-segmentation"
    if table is not None:
        used = table[table.sum(1) > 0]
        extra = len(used) - len(used.argmax(1).unique())
        words = f"{extra} of {len(used)} communities share their majority speaker with another"
        measure = "communities without a speaker of their own"
        return Signature(name, measure, float(extra), 0.0, extra > 0, words)
    pairs = mass.unsqueeze(1) * mass - torch.diag(squares)
    density = gram / pairs.clamp(min=1e-300)
    inside = density.diagonal()
    likeness = density / (inside.unsqueeze(1) * inside).sqrt()
    likeness = likeness.masked_fill(torch.eye(len(mass), dtype=torch.bool, device=mass.device), -1.0)
    likeness = torch.where(torch.isfinite(likeness), likeness, -1.0)
    value = float(likeness.max()) if len(mass) > 1 else -1.0
    value = math.nan if value < 0 else value
    words = (
        f"edges between two communities are {value:.2f} as heavy as inside them (limit {limit:g}): "
        "one speaker may be in two"
    )
    return Signature(name, "edge density between over inside", value, limit, value > limit, words)


def _under(
    sums: torch.Tensor,
    mass: torch.Tensor,
    table: torch.Tensor | None,
    further: FurtherSplit | None,
    limit: float,
) -> Signature:
    name = "under-segmentation"
    if table is not None:
        speakers = int((table.sum(0) > 0).sum())
        used = table[table.sum(1) > 0]
        lost = speakers - len(used.argmax(1).unique())
        words = f"{lost} of {speakers} speakers are the majority of no community"
        return Signature(name, "speakers without a community", float(lost), 0.0, lost > 0, words)
    if further is not None:
        value, bar = further.score, further.threshold
        words = f"a community can be cut, score {value:.1f} (limit {bar:g}), but k_max was reached"
        return Signature(name, "score of the best cut", value, bar, further.at_limit, words)
    length = sums.norm(dim=-1) / mass
    value = float(length.min() / length.max()) if len(mass) > 1 and length.max() > 0 else math.nan
    words = (
        f"the loosest community's resultant is {value:.2f} of the tightest one's (limit {limit:g}): "
        "two speakers may be in one"
    )
    return Signature(name, "relative cohesion", value, limit, value < limit, words)


def _check(
    nodes: NodeSet,
    labels: torch.Tensor,
    oracle: torch.Tensor | None,
    further: Sequence[FurtherSplit | None] | None,
) -> None:
    expected = tuple(nodes.z.shape[:2])
    for name, value in (("labels", labels), ("oracle", oracle)):
        if value is None:
            continue
        if tuple(value.shape) != expected or value.dtype != torch.int64:
            got = f"{value.dtype} {tuple(value.shape)}"
            raise ValueError(f"{name}: expected int64 of shape {expected}, as z has, got {got}")
    if (labels[nodes.valid] < 0).any():
        raise ValueError(f"labels: expected at least 0 on valid nodes, got {int(labels[nodes.valid].min())}")
    if further is not None and len(further) != expected[0]:
        raise ValueError(f"further: expected one per utterance, {expected[0]}, got {len(further)}")
