"""Separation by a model whose embeddings are known: what remains is counting, clustering, masking."""

import dataclasses
import types

import numpy as np
import pytest
import torch

from contrasep_lib.config import create
from contrasep_lib.oracles.base import Scene, oracle_options
from contrasep_lib.errors import ContrasepError
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.mix.options import MixOptions
from contrasep_lib.counting.null import Null
from contrasep_lib.modularity.objective import modularity
from contrasep_lib.modularity.solvers.network import ModularityNetwork
from contrasep_lib.nodes.nodeset import NodeSet
from contrasep_lib.nodes.granularity import TimeFrequency
from contrasep_lib.separate.learned import Communities, Learned, build_graph, build_solver, soft_shares
from contrasep_lib.separate.options import ModularityOptions, SeparateOptions
from contrasep_lib.train.communities import draw_nodes, train_communities, train_network

FEATURES = FeatureOptions(128, 32)
OPTIONS = ModularityOptions(train_steps=60, train_nodes=256, hidden=(16,), null="round", null_utterances=3)


class Planted(torch.nn.Module):
    """Embeds each unit near the direction of the talker that dominates it."""

    def __init__(self, spread=0.15, dim=8):
        super().__init__()
        self.features, self.granularity = FEATURES, TimeFrequency(FEATURES, 40.0)
        self.options = types.SimpleNamespace(decodes=False)
        generator = torch.Generator().manual_seed(1)
        self.directions = torch.nn.Parameter(torch.linalg.qr(torch.randn(dim, dim, generator=generator))[0])
        self.spread, self.sources = spread, None

    def embed(self, mixture):
        return self.analyse(mixture)[0]

    def analyse(self, mixture):
        nodes = self.granularity.nodes(mixture)
        labels = self.granularity.targets(self.sources[None])
        noise = torch.randn(*labels.shape, len(self.directions), generator=torch.Generator().manual_seed(2))
        z = torch.nn.functional.normalize(self.directions[labels] + self.spread * noise, dim=-1)
        nodeset = NodeSet(z, nodes.power.sqrt(), nodes.valid, nodes.shape)
        return nodeset, types.SimpleNamespace(spectrum=nodes.spectrum)


def talkers(count, seed=0):
    rng = np.random.default_rng(seed)
    sources = rng.standard_normal((count, 4000)).astype(np.float32) * 0.1
    return sources.sum(axis=0), sources


def learned(solver, count="estimated", **options):
    modularity = ModularityOptions(**{**dataclasses.asdict(OPTIONS), "solver": solver, **options})
    network = ModularityNetwork(8, modularity.k_max, modularity.hidden) if solver == "network" else None
    return Learned(Planted(), Communities(network, Null()), modularity, SeparateOptions("model", count=count))


@pytest.mark.parametrize("solver", ["network", "direct", "spectral", "kmeans"])
@pytest.mark.parametrize("count", [2, 3])
def test_known_embeddings_give_the_ideal_binary_mask(solver, count):
    separator = learned(solver)
    mixture, sources = talkers(count)
    separator.model.sources = torch.from_numpy(sources)
    separation = separator.separate("utt", mixture, None)
    ideal = create(oracle_options("oracle_ibm")).separate(Scene(mixture, sources, FEATURES, 40.0)).outputs
    assert separation.outputs.shape == ideal.shape and not separation.num_spk_given
    error = [[np.square(out - best).mean() for out in separation.outputs] for best in ideal]
    assert max(min(row) for row in error) < 0.02 * np.square(ideal).mean()
    np.testing.assert_allclose(separation.outputs.sum(axis=0), mixture, atol=1e-5)
    assert separation.modularity > 0.2 and 0 < separation.conductance < 1
    assert len(separation.sizes) == count and f"{count} speakers" in separation.words


def test_one_talker_stays_whole():
    separator = learned("network")
    mixture, sources = talkers(1)
    separator.model.sources = torch.from_numpy(sources)
    separation = separator.separate("utt", mixture, None)
    np.testing.assert_allclose(separation.outputs, mixture[None], atol=1e-5)
    assert separation.conductance is None and separation.modularity == pytest.approx(0, abs=1e-5)


def test_a_given_count_is_kept_and_the_utterance_seeds():
    separator = learned("spectral")
    mixture, sources = talkers(2)
    separator.model.sources = torch.from_numpy(sources)
    given = separator.separate("utt", mixture, 4)
    assert given.num_spk_given and len(given.outputs) == 4
    again = learned("spectral")
    again.model.sources = torch.from_numpy(sources)
    again.separate("another", mixture, None)
    np.testing.assert_array_equal(again.separate("utt", mixture, 4).outputs, given.outputs)


@pytest.mark.parametrize("most, expected", [(None, 3), (2, 2)])
def test_the_counter_counts_where_it_is_asked(most, expected):
    with pytest.raises(ContrasepError, match="modularity.counting: 'counter' wants a model that learned with objective count"):
        Planted.counter = None
        learned("spectral", counting="counter")
    Planted.counter = object()
    try:
        separator = learned("spectral", counting="counter")
    finally:
        del Planted.counter
    chances = torch.tensor([[0.05, 0.2, 0.6, 0.1, 0.05]])
    separator.model.count = lambda nodes, seen: chances.log()
    mixture, sources = talkers(4)
    separator.model.sources = torch.from_numpy(sources)
    separation = separator.separate("utt", mixture, None, most)
    assert len(separation.outputs) == expected and not separation.num_spk_given and not separation.evidence
    kept = chances[0, :most] / chances[0, :most].sum()
    np.testing.assert_allclose(separation.probabilities, kept, rtol=1e-5)
    assert separation.words.startswith(f"{expected} speakers by the counter (1 ")
    evidence = separator.separate("utt", mixture, None, most, with_evidence=True).evidence
    assert [entry.num_communities for entry in evidence] == list(range(1, len(kept) + 1))
    # a given count is not asked of it
    assert separator.separate("utt", mixture, 4).probabilities == ()


def test_soft_shares_are_squared_cosines_with_the_centroids():
    # a node between two talkers at right angles, one on each, one turned away, one invalid
    root = 0.5**0.5
    z = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0.8, 0.6, 0], [-root, -root, 0], [0, 0, 1]])
    valid = torch.tensor([[True, True, True, True, False]])
    # only the first two weigh, so that they are the centroids
    nodes = NodeSet(z[None], torch.tensor([[1.0, 1, 0, 0, 0]]), valid, (5,))
    shares = soft_shares(nodes, torch.tensor([[0, 1, 0, 1, -1]]), 2)
    expected = torch.tensor([[1, 0], [0, 1], [0.64, 0.36], [0, 1], [0, 0]])
    assert torch.allclose(shares, expected[None], atol=1e-6)
    # an empty community takes nothing
    shares = soft_shares(nodes, torch.tensor([[0, 1, 0, 1, -1]]), 3)
    assert torch.allclose(shares[..., :2], expected[None], atol=1e-6) and not shares[..., 2].any()


def test_a_graph_of_fewer_communities_leaves_no_output_silent():
    separator = learned("spectral")
    alone = types.SimpleNamespace(solve=lambda nodes, *_: types.SimpleNamespace(labels=torch.where(nodes.valid, 0, -1)))
    separator.solver = alone
    mixture, sources = talkers(3)
    separator.model.sources = torch.from_numpy(sources)
    outputs = separator.separate("utt", mixture, 3).outputs
    assert (np.square(outputs).mean(axis=1) > 0.02 * np.square(mixture).mean()).all()


@pytest.mark.parametrize("mask", ["hard", "soft"])
def test_outputs_of_both_masks_add_up(mask):
    separator = learned("spectral")
    separator.options = SeparateOptions("model", mask=mask)
    mixture, sources = talkers(3)
    separator.model.sources = torch.from_numpy(sources)
    separation = separator.separate("utt", mixture, 3)
    np.testing.assert_allclose(separation.outputs.sum(axis=0), mixture, atol=1e-5)
    between = (separation.assignment > 0.02) & (separation.assignment < 0.98)
    assert between.any() == (mask == "soft")


def test_silence_is_refused():
    separator = learned("spectral")
    separator.model.sources = torch.zeros(1, 4000)
    with pytest.raises(ContrasepError, match="'utt': nothing but silence"):
        separator.separate("utt", np.zeros(4000, np.float32), None)


def test_training_raises_modularity_over_mixtures():
    rng = np.random.default_rng(0)
    model, pool = Planted(), []
    for seed in range(6):
        mixture, sources = talkers(2 + seed % 2, seed)
        model.sources = torch.from_numpy(sources)
        with torch.no_grad():
            pool.append(draw_nodes(model.embed(torch.from_numpy(mixture)[None]), 256, rng))
    options = dataclasses.replace(OPTIONS, train_steps=300, learning_rate=0.02)
    network = train_network(pool, options)
    graph = build_graph(options)
    nodes = NodeSet.from_embeddings(torch.stack([z for z, _ in pool]))
    with torch.no_grad():
        dominant = (nodes.z @ model.directions.T).argmax(dim=-1)
        best = modularity(nodes, torch.nn.functional.one_hot(dominant, 8).float(), graph).mean()
        trained = modularity(nodes, network(nodes.z), graph).mean()
        torch.manual_seed(0)
        fresh = modularity(nodes, ModularityNetwork(8, 5, (16,))(nodes.z), graph).mean()
    assert fresh < 0.1 * best and trained > 0.7 * best
    for one, other in zip(network.parameters(), train_network(pool, options).parameters()):
        assert torch.equal(one, other)
    with pytest.raises(ContrasepError, match="nothing|silence"):
        train_network([], OPTIONS)


class Dump:
    """Stands in for a dumped set of one talker's recordings."""

    folder, keys = "dump/cv_single", ["a", "b", "c", "d"]

    def mixture(self, key):
        return talkers(1, ord(key))[0]


def test_stage_4_on_single_talkers_and_its_files(tmp_path):
    model = Planted()
    model.sources = torch.from_numpy(talkers(1)[1])
    communities = train_communities(model, [Dump()], Dump(), OPTIONS, MixOptions(), 2)
    assert communities.null.talkers == 3
    communities.save(tmp_path)
    loaded = Communities.load(tmp_path, OPTIONS)
    assert loaded.null == communities.null
    z = torch.nn.functional.normalize(torch.randn(5, 8), dim=-1)
    assert torch.equal(loaded.network(z), communities.network(z))
    assert build_solver(OPTIONS, loaded.network).network is loaded.network
    with pytest.raises(ContrasepError, match="configuration has 3"):
        Communities.load(tmp_path, ModularityOptions(k_max=3, hidden=(16,)))
    (tmp_path / "network.pth").write_bytes((tmp_path / "network.pth").read_bytes()[:100])
    with pytest.raises(ContrasepError, match="network.pth"):
        Communities.load(tmp_path, OPTIONS)
    (tmp_path / "null.json").unlink()
    with pytest.raises(ContrasepError, match="run stage 4 first"):
        Communities.load(tmp_path, OPTIONS)


@pytest.mark.parametrize("values, says", [
    ({"tau": 1.0}, "tau"), ({"tau": -0.5}, "tau"), ({"k_max": 0}, "k_max"), ({"hidden": (0,)}, "hidden"),
    ({"null": "round", "null_threshold": -1.0}, "null_threshold"), ({"null_seconds": 0}, "null_seconds"),
    ({"collapse_weight": -1}, "collapse_weight"), ({"learning_rate": 0}, "learning_rate"), ({"power": 0}, "power"),
])
def test_bad_options(values, says):
    with pytest.raises(ValueError, match=says):
        ModularityOptions(**values)
