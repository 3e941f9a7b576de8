"""Stage 4 after the embedding: known speech for the counter, a pool of mixtures for the solver."""

import dataclasses

import numpy as np
import pytest
import torch

from contrasep_lib.config import build, create
from contrasep_lib.counting.counters.options import RecursiveSplitOptions
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.dumpset import DumpSet
from contrasep_lib.mix.options import MixOptions
from contrasep_lib.modularity.graphs import KernelGraph
from contrasep_lib.modularity.options import ModularityOptions
from contrasep_lib.modularity.solvers.kmeans import KMeansSolver
from contrasep_lib.nodes.granularity import TimeFrequency
from contrasep_lib.nodes.nodeset import NodeSet
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.separate.clustering_state import ClusteringState
from contrasep_lib.train.clustering import DrawnMixtures, DumpedMixtures, SingleSpeakers, drawn_keys, train_clustering
from contrasep_lib.train.options import TrainOptions

from .conftest import write_dump

FEATURES = FeatureOptions(128, 64)


class Listening(TimeFrequency):
    """Keeps the sources that it was asked about last."""

    def targets(self, sources):
        self.sources = sources
        return super().targets(sources)


class Planted(torch.nn.Module):
    """Embeds each unit near the direction of its talker, spread along one axis above all."""

    def __init__(self):
        super().__init__()
        self.granularity = Listening(FEATURES)
        self.directions, self.counter = torch.nn.Parameter(torch.eye(8)), None

    def embed(self, mixture):
        nodes = self.granularity.nodes(mixture)
        labels = TimeFrequency.targets(self.granularity, self.granularity.sources)
        noise = 0.12 * torch.randn(*labels.shape, 8, generator=torch.Generator().manual_seed(2))
        noise[..., -1] *= 5
        z = torch.nn.functional.normalize(self.directions[labels] + noise, dim=-1)
        return NodeSet(z.detach(), nodes.power.sqrt(), nodes.valid, nodes.shape)


def speech(dump, most, **values):
    return SingleSpeakers(Planted(), DumpSet(dump), MixOptions(), seed=values.get("seed", 0), most=most)


def counter(**options):
    return create(RecursiveSplitOptions(**options), graph=KernelGraph(), most=3, network=None)


def test_mixtures_of_all_counts_are_made_and_counted(single_dump):
    known = [item for number in (1, 2, 3) for item in speech(single_dump, 5).mixtures(number, 3, 0.4)]
    assert [int(dominant[0][nodes.valid[0]].max()) + 1 for nodes, dominant in known] == [1] * 3 + [2] * 3 + [3] * 3
    fitted = counter(utterances=3, seconds=0.4).fitted(speech(single_dump, 5), seed=0)
    assert fitted.null.odds and fitted.null.talkers == 9
    assert fitted.null == counter(utterances=3, seconds=0.4).fitted(speech(single_dump, 5), seed=0).null
    others = speech(single_dump, 5, seed=5)
    counts = [
        fitted.count(nodes, None, 5, 0).number for number in (1, 2, 3) for nodes, _ in others.mixtures(number, 4, 0.4)
    ]
    assert counts == [1] * 4 + [2] * 4 + [3] * 4


def test_no_more_speakers_than_the_set_has(single_dump):
    assert [speech(single_dump, most).most for most in (2, 9)] == [2, 6]


def test_one_speaker_alone_has_no_odds(tmp_path):
    tone = np.sin(np.arange(4000) / 3)
    singles = write_dump(tmp_path / "one", {"wav": {"p0-0": tone}}, {"p0-0": "p0"})
    with pytest.raises(ContrasepError, match="one: .*at least two speakers.*null_model: isotropic"):
        counter().fitted(speech(singles, 2), seed=0)


def test_drawn_keys_are_sorted_and_follow_the_seed(single_dump):
    dump = DumpSet(single_dump)
    some = drawn_keys(dump, 3, 0)
    assert len(some) == 3 and some == sorted(some) == drawn_keys(dump, 3, 0) and set(some) < set(dump.keys)
    assert drawn_keys(dump, 10**6, 0) == sorted(dump.keys) and any(
        drawn_keys(dump, 3, seed) != some for seed in range(1, 9)
    )


class Asking(KMeansSolver):
    """Keeps how many mixtures it was given."""

    given: list[int] = []

    def trained(self, mixtures, graph, seed, quality):
        self.given.append(len(list(mixtures(5))))
        return self


def test_the_pool_is_drawn_evenly_from_all_sets(single_dump, monkeypatch):
    made = ClusteringState(KernelGraph(), Asking(), counter())
    monkeypatch.setattr(ClusteringState, "from_options", lambda options, network: made)
    model = Planted()
    model.embed = lambda mixture: NodeSet.from_embeddings(torch.eye(8)[None])
    trained = train_clustering(model, [DumpSet(single_dump)] * 2, None, ModularityOptions(), MixOptions(), 2)
    assert Asking.given == [6] and trained.solver is made.solver


def test_labelled_mixtures_are_those_of_the_pool_with_their_sources(mixture_dumps):
    model, sets = Planted(), [DumpSet(mixture_dumps[count]) for count in (2, 3)]
    known = list(DumpedMixtures(model, sets, seed=3).labelled(5))
    assert [int(dominant.max()) + 1 for _, dominant in known] == [2] * 3 + [3] * 3
    keys = [(dump, key) for dump in sets for key in drawn_keys(dump, 3, 3)]
    for (nodes, dominant), (dump, key) in zip(known, keys):
        expected = TimeFrequency(FEATURES).targets(torch.from_numpy(dump.sources(key))[None])
        assert torch.equal(dominant, expected) and nodes.z.shape[:2] == dominant.shape


def test_sets_without_fitting_sources_are_reported(single_dump, mixture_dumps, monkeypatch):
    with pytest.raises(ContrasepError, match="tr_single: expected a set of mixtures with spk1.scp .., got single sp"):
        next(DumpedMixtures(Planted(), [DumpSet(single_dump)], 0).labelled(1))
    dump = DumpSet(mixture_dumps[2])
    monkeypatch.setattr(DumpSet, "sources", lambda self, key: np.zeros((2, 7), np.float32))
    with pytest.raises(ContrasepError, match=r"sources of '.*': expected \d+ samples, as the mixture has, got 7; run"):
        next(DumpedMixtures(Planted(), [dump], 0).labelled(1))


def test_slots_are_trained_saved_and_loaded(mixture_dumps, tmp_path):
    options = build(ModularityOptions, {
        "solver": {"name": "slots", "train_pool": 4, "train_nodes": 64, "step_nodes": 32, "train_steps": 2,
                   "train_mixtures": 2, "width": 8, "layers": 1},
        "counting": {"name": "recursive_split", "utterances": 0}, "quality": "normalised", "k_max": 3,
    }, "modularity")
    sets = [DumpSet(mixture_dumps[count]) for count in (2, 3)]
    trained = train_clustering(Planted(), sets, None, options, MixOptions(), 3)
    trained.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["null.json", "slots.pth"]
    loaded = ClusteringState.load(tmp_path, options)
    nodes, _ = next(DumpedMixtures(Planted(), sets, 0).labelled(2))
    one, other = (
        state.solver.solve(nodes, 2, state.graph, 0, state.quality).assign for state in (trained, loaded)
    )
    assert torch.equal(one, other)
    (tmp_path / "slots.pth").unlink()
    with pytest.raises(ContrasepError, match="slots.pth: no such checkpoint; run the training that makes it first"):
        ClusteringState.load(tmp_path, options)
    with pytest.raises(ContrasepError, match="modularity.k_max: expected at least 3, .*, got 2"):
        train_clustering(Planted(), sets, None, dataclasses.replace(options, k_max=2), MixOptions(), 3)


def drawn_from(dump, **values):
    options = TrainOptions(num_spk=(1, 2, 3), segment_seconds=0.4, **values)
    return DrawnMixtures(Planted(), [DumpSet(dump)], options, MixOptions(), 7, ("one",))


def test_mixtures_are_drawn_of_all_counts_of_finetuning(single_dump):
    known = list(drawn_from(single_dump, balance={"one": 1.0}).labelled(24))
    counts = [len(dominant[0][nodes.valid[0]].unique()) for nodes, dominant in known]
    assert len(known) == 24 and {1, 2, 3} <= set(counts)
    again = [nodes.z for nodes in drawn_from(single_dump, balance={"one": 1.0}, seed=3)(2)]
    assert len(again) == 2 and all(torch.equal(one, nodes.z) for one, (nodes, _) in zip(again, known))


@pytest.mark.parametrize("solver, expected", [("slots", 3), ("kmeans", 2)])
def test_solvers_that_learn_from_sources_take_drawn_mixtures(mixture_dumps, single_dump, monkeypatch, solver, expected):
    """Others keep the pool of dumped mixtures."""
    options = build(ModularityOptions, {"solver": solver, "counting": "recursive_split", "k_max": 3}, "modularity")
    made, given = ClusteringState.from_options(options), []

    def trained(self, mixtures, *arguments):
        given.extend(len(dominant[0][nodes.valid[0]].unique()) for nodes, dominant in mixtures.labelled(12))
        return self

    monkeypatch.setattr(type(made.solver), "trained", trained)
    sets = [DumpSet(mixture_dumps[2])]
    train_clustering(Planted(), sets, None, options, MixOptions(), 3, drawn_from(single_dump))
    assert max(given) == expected
