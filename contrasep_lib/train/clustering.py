"""Stage 4, after the embedding: the solver over mixtures, and the counter over known speech."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.dumpset import DumpSet
from contrasep_lib.mix.options import MixOptions
from contrasep_lib.modularity.options import ModularityOptions
from contrasep_lib.modularity.solvers.base import TrainingMixtures
from contrasep_lib.nodes.nodeset import NodeSet
from contrasep_lib.separate.clustering_state import ClusteringState
from contrasep_lib.train.data import DynamicMixtures
from contrasep_lib.train.options import AugmentOptions, TrainOptions

if typing.TYPE_CHECKING:
    from contrasep_lib.models.separation import SeparationModel


def drawn_keys(dump: DumpSet, count: int, seed: int) -> list[str]:
    """At most ``count`` utterances of a set, drawn by the seed and sorted."""
    keys = dump.keys
    chosen = np.random.default_rng(seed).permutation(len(keys))[:count]
    return [keys[index] for index in sorted(chosen)]


def embedded(model: SeparationModel, dump: DumpSet, keys: Iterable[str]) -> Iterator[NodeSet]:
    """Node sets of utterances, those with nothing but silence left out."""
    device = next(model.parameters()).device
    for key in keys:
        with torch.no_grad():
            nodes = model.embed(torch.from_numpy(dump.mixture(key))[None].to(device))
        if nodes.valid.any():
            yield nodes


def labelled_nodes(
    model: SeparationModel, mixture: np.ndarray, sources: np.ndarray
) -> Iterator[tuple[NodeSet, torch.Tensor]]:
    """The nodes of a mixture and the source that dominates each, ``(1, nodes)`` int64; nothing of one of silence.

    Args:
        model: trained, in evaluation mode.
        mixture: ``(samples,)`` float32.
        sources: ``(num_spk, samples)`` float32.
    """
    device = next(model.parameters()).device
    with torch.no_grad():
        dominant = model.granularity.targets(torch.from_numpy(sources)[None].to(device))
        nodes = model.embed(torch.from_numpy(mixture)[None].to(device))
    if nodes.valid.any():
        yield nodes, dominant


class SingleSpeakers:
    """A dumped set of single speakers, as counters learn from it.

    See `contrasep_lib.counting.counters.base.KnownSpeech`.

    Args:
        model: trained, in evaluation mode.
        dump: the set.
        mix: section ``mix``, by which its recordings are mixed.
        seed: of drawn recordings and mixtures.
        most: speakers in a mixture at most; never more than the set has.
    """

    def __init__(self, model: SeparationModel, dump: DumpSet, mix: MixOptions, seed: int, most: int) -> None:
        self.model, self.dump, self.mix, self.seed = model, dump, mix, seed
        self.name = str(dump.folder)
        self.most = min(most, len(set(dump.utt2spk.values())))

    def singles(self, count: int) -> Iterator[NodeSet]:
        """At most ``count`` recordings."""
        return embedded(self.model, self.dump, drawn_keys(self.dump, count, self.seed))

    def mixtures(self, num_spk: int, count: int, seconds: float) -> Iterator[tuple[NodeSet, torch.Tensor]]:
        """At most ``count`` mixtures, and the speaker that dominates each node ``(1, nodes)`` int64."""
        drawn = TrainOptions(num_spk=(num_spk,), segment_seconds=seconds, seed=self.seed)
        dataset = DynamicMixtures([self.dump], drawn, self.mix)
        for key in dataset.keys(num_spk, count):
            item = dataset[key]
            yield from labelled_nodes(self.model, item["mixture"], item["sources"])


class DumpedMixtures:
    """Dumped sets of mixtures, used evenly, as solvers learn from them.

    See `contrasep_lib.modularity.solvers.base.TrainingMixtures`.

    Args:
        model: trained, in evaluation mode.
        sets: of mixtures.
        seed: of drawn mixtures.
    """

    def __init__(self, model: SeparationModel, sets: Sequence[DumpSet], seed: int) -> None:
        self.model, self.sets, self.seed = model, sets, seed

    def __call__(self, count: int) -> Iterator[NodeSet]:
        """Node sets of about so many mixtures."""
        for dump, keys in self._drawn(count):
            yield from embedded(self.model, dump, keys)

    def labelled(self, count: int) -> Iterator[tuple[NodeSet, torch.Tensor]]:
        """As `__call__`, with the source that dominates each node ``(1, nodes)`` int64.

        Raises:
            ContrasepError: a set without sources, or sources of another length than their mixture.
        """
        for dump, keys in self._drawn(count):
            if not dump.spk:
                raise ContrasepError(f"{dump.folder}: expected a set of mixtures with spk1.scp .., got single speakers")
            for key in keys:
                mixture, sources = dump.mixture(key), dump.sources(key)
                if sources.shape[1] != len(mixture):
                    raise ContrasepError(
                        f"{dump.folder}: sources of '{key}': expected {len(mixture)} samples, as the mixture has, "
                        f"got {sources.shape[1]}; run stage 2 again"
                    )
                yield from labelled_nodes(self.model, mixture, sources)

    def _drawn(self, count: int) -> Iterator[tuple[DumpSet, list[str]]]:
        share = -(-count // len(self.sets))
        for dump in self.sets:
            yield dump, drawn_keys(dump, share, self.seed)


class DrawnMixtures:
    """Mixtures drawn on the fly as finetuning draws them, of all numbers of speakers that the model learned from.

    They are of normal speed and not augmented. See `contrasep_lib.modularity.solvers.base.TrainingMixtures`.

    Args:
        model: trained, in evaluation mode.
        sets: of single speakers.
        options: section ``finetune``, with ``data: dynamic``.
        mix: section ``mix``.
        seed: of drawn mixtures.
        corpora: corpus of each set, for ``finetune.balance``.

    Raises:
        ContrasepError: a set of mixtures, of another rate, or of too few speakers.
    """

    def __init__(
        self, model: SeparationModel, sets: Sequence[DumpSet], options: TrainOptions, mix: MixOptions, seed: int,
        corpora: Sequence[str | None] = (),
    ) -> None:
        plain = dataclasses.replace(options, speed=(1.0,), augment=AugmentOptions(), seed=seed)
        self.model, self.dataset = model, DynamicMixtures(sets, plain, mix, corpora)

    def __call__(self, count: int) -> Iterator[NodeSet]:
        """Node sets of at most so many mixtures."""
        return (nodes for nodes, _ in self.labelled(count))

    def labelled(self, count: int) -> Iterator[tuple[NodeSet, torch.Tensor]]:
        """As `__call__`, with the source that dominates each node ``(1, nodes)`` int64."""
        for key in self.dataset.keys(1, count):
            item = self.dataset[key]
            yield from labelled_nodes(self.model, item["mixture"], item["sources"])


def train_clustering(
    model: SeparationModel,
    mixtures: Sequence[DumpSet],
    singles: DumpSet | None,
    options: ModularityOptions,
    mix: MixOptions,
    most: int,
    drawn: DrawnMixtures | None = None,
) -> ClusteringState:
    """What stage 5 needs beside the model.

    Args:
        model: trained, in evaluation mode.
        mixtures: training sets of mixtures, used evenly.
        singles: single speakers, from which the counter learns; None without any.
        options: section ``modularity``.
        mix: section ``mix``.
        most: speakers in a mixture that the model has learned from, at most.
        drawn: what a solver that learns from sources takes in the place of ``mixtures``; None without any.

    Raises:
        ContrasepError: sets of nothing but silence, or a training that diverged.
    """
    made = ClusteringState.from_options(options, model.counter)
    pool: TrainingMixtures = DumpedMixtures(model, mixtures, options.seed)
    if drawn is not None and getattr(options.solver, "supervised", False):
        pool = drawn
    solver = made.solver.trained(pool, made.graph, options.seed, made.quality)
    speech = None if singles is None else SingleSpeakers(model, singles, mix, options.seed, most)
    counter = made.counter.with_solver(solver).fitted(speech, options.seed)
    return dataclasses.replace(made, solver=solver, counter=counter)
