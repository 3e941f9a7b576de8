"""Separation by a model whose embeddings are known: what remains is counting, clustering, masking."""

import dataclasses
import math
import types

import numpy as np
import pytest
import torch

from contrasep_lib.config import create
from contrasep_lib.decode.attractor import centroids_of
from contrasep_lib.errors import ContrasepError
from contrasep_lib.mix.options import MixOptions
from contrasep_lib.modularity.graphs import KernelGraph
from contrasep_lib.modularity.objective import modularity, normalised_modularity
from contrasep_lib.modularity.quality import Modularity, NormalisedModularity
from contrasep_lib.modularity.solvers.network import ModularityNetwork, NetworkSolver
from contrasep_lib.modularity.solvers.slot_network import SlotNetwork
from contrasep_lib.nodes.nodeset import NodeSet
from contrasep_lib.oracles.base import Scene, oracle_options
from contrasep_lib.separate.clustering_state import ClusteringState, state_files
from contrasep_lib.separate.model_separator import assignment_of, hard_shares, soft_shares
from contrasep_lib.separate.options import SeparateOptions
from contrasep_lib.separate.writer import labels_of
from contrasep_lib.train.clustering import train_clustering
from tests.separate.planted import FEATURES, Planted, modularity_options, separator_of, talkers


@pytest.mark.parametrize("solver", ["network", "direct", "spectral", "kmeans"])
@pytest.mark.parametrize("count", [2, 3])
def test_known_embeddings_give_the_ideal_binary_mask(solver, count):
    separator = separator_of(solver)
    mixture, sources = talkers(count)
    separator.model.sources = torch.from_numpy(sources)
    separation = separator.separate("utt", mixture, None)
    ideal = create(oracle_options("oracle_ibm")).separate(Scene(mixture, sources, FEATURES)).outputs
    assert separation.outputs.shape == ideal.shape and not separation.num_spk_given
    error = [[np.square(out - best).mean() for out in separation.outputs] for best in ideal]
    assert max(min(row) for row in error) < 0.02 * np.square(ideal).mean()
    np.testing.assert_allclose(separation.outputs.sum(axis=0), mixture, atol=1e-5)
    assert separation.modularity > 0.2 and 0 < separation.conductance < 1
    assert len(separation.sizes) == count and f"{count} speakers" in separation.words


def test_one_speaker_stays_whole():
    separator = separator_of("network")
    mixture, sources = talkers(1)
    separator.model.sources = torch.from_numpy(sources)
    separation = separator.separate("utt", mixture, None)
    np.testing.assert_allclose(separation.outputs, mixture[None], atol=1e-5)
    assert separation.conductance is None and separation.modularity == pytest.approx(0, abs=1e-5)


def test_a_given_count_is_kept_and_the_utterance_seeds():
    separator = separator_of("spectral")
    mixture, sources = talkers(2)
    separator.model.sources = torch.from_numpy(sources)
    given = separator.separate("utt", mixture, 4)
    assert given.num_spk_given and len(given.outputs) == 4
    again = separator_of("spectral")
    again.model.sources = torch.from_numpy(sources)
    again.separate("another", mixture, None)
    np.testing.assert_array_equal(again.separate("utt", mixture, 4).outputs, given.outputs)


@pytest.mark.parametrize("most, expected", [(None, 3), (2, 2)])
def test_the_classifier_counts_where_it_is_chosen(most, expected):
    with pytest.raises(
        ContrasepError, match="modularity.counting: 'classifier' needs a model trained with the objective count"
    ):
        separator_of("spectral", counting="classifier")
    chances = torch.tensor([[0.05, 0.2, 0.6, 0.1, 0.05]])

    class Known(torch.nn.Module):
        def forward(self, z, weight, hidden, frames):
            return chances.log() + 3

    separator = separator_of("spectral", Known(), counting="classifier")
    mixture, sources = talkers(4)
    separator.model.sources = torch.from_numpy(sources)
    separation = separator.separate("utt", mixture, None, most)
    assert len(separation.outputs) == expected and not separation.num_spk_given and not separation.evidence
    kept = chances[0, :most] / chances[0, :most].sum()
    np.testing.assert_allclose(separation.probabilities, kept, rtol=1e-5)
    assert separation.words.startswith(f"{expected} speakers by the classifier (1 ")
    evidence = separator.separate("utt", mixture, None, most, with_evidence=True).evidence
    assert [entry.num_communities for entry in evidence] == list(range(1, len(kept) + 1))
    # a given count is not asked of it
    assert separator.separate("utt", mixture, 4).probabilities == ()


def shares_of_labels(nodes, labels, count):
    hard = hard_shares(nodes, labels, count)
    return soft_shares(nodes, hard, centroids_of(nodes.z, hard, nodes.weight * nodes.valid))


def test_soft_shares_are_squared_cosines_with_the_centroids():
    # a node between two talkers at right angles, one on each, one turned away, one invalid
    root = 0.5**0.5
    z = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0.8, 0.6, 0], [-root, -root, 0], [0, 0, 1]])
    valid = torch.tensor([[True, True, True, True, False]])
    # only the first two weigh, so that they are the centroids
    nodes = NodeSet(z[None], torch.tensor([[1.0, 1, 0, 0, 0]]), valid, (5,))
    shares = shares_of_labels(nodes, torch.tensor([[0, 1, 0, 1, -1]]), 2)
    expected = torch.tensor([[1, 0], [0, 1], [0.64, 0.36], [0, 1], [0, 0]])
    assert torch.allclose(shares, expected[None], atol=1e-6)
    # an empty community takes nothing
    shares = shares_of_labels(nodes, torch.tensor([[0, 1, 0, 1, -1]]), 3)
    assert torch.allclose(shares[..., :2], expected[None], atol=1e-6) and not shares[..., 2].any()


def test_posterior_shares_are_the_softmax_of_cosines_over_the_temperature():
    generator = torch.Generator().manual_seed(0)
    z = torch.nn.functional.normalize(torch.randn(1, 40, 5, generator=generator), dim=-1)
    valid = torch.arange(40)[None] != 7
    nodes = NodeSet(z, torch.rand(1, 40, generator=generator), valid, (40,))
    labels = torch.randint(3, (1, 40), generator=generator)
    hard = hard_shares(nodes, torch.where(valid, labels, -1), 4)
    for temperature in (0.01, 0.1, 2.0):
        options = SeparateOptions("model", mask="posterior", temperature=temperature)
        shares, centroids = assignment_of(nodes, hard, options)
        assert torch.equal(centroids, centroids_of(z, hard, nodes.weight * valid))
        for node in range(40):
            chances = [math.exp(float(z[0, node] @ centroids[0, speaker]) / temperature) for speaker in range(3)]
            # the fourth community is empty, a silent node has no share
            expected = [chance / sum(chances) if node != 7 else 0.0 for chance in chances] + [0.0]
            np.testing.assert_allclose(shares[0, node], expected, rtol=1e-3, atol=1e-5)
    near = SeparateOptions("model", mask="posterior", temperature=0.001)
    assert torch.allclose(assignment_of(nodes, hard, near)[0].sum(-1), valid.float())
    with pytest.raises(ValueError, match="temperature: expected a number from 0.001 to 100"):
        SeparateOptions("model", temperature=0.0)


def test_a_graph_of_fewer_communities_leaves_no_output_silent():
    separator = separator_of("spectral")
    alone = types.SimpleNamespace(solve=lambda nodes, *_: types.SimpleNamespace(labels=torch.where(nodes.valid, 0, -1)))
    separator.clustering = dataclasses.replace(separator.clustering, solver=alone)
    mixture, sources = talkers(3)
    separator.model.sources = torch.from_numpy(sources)
    separation = separator.separate("utt", mixture, 3)
    assert (np.square(separation.outputs).mean(axis=1) > 0.02 * np.square(mixture).mean()).all()
    assert (separation.solver, separation.fallback) == ("spectral", "kmeans")


def test_a_solver_that_finds_all_communities_needs_no_fallback():
    separator = separator_of("spectral", quality={"name": "normalised", "regularise": 0.1})
    assert separator.clustering.quality == NormalisedModularity(0.1)
    for count, solver in ((3, "spectral"), (1, None)):
        mixture, sources = talkers(count)
        separator.model.sources = torch.from_numpy(sources)
        separation = separator.separate("utt", mixture, count)
        assert (separation.solver, separation.fallback) == (solver, None)
        labels = torch.from_numpy(labels_of(separation)).flatten()[None]
        nodes = separator.model.embed(torch.from_numpy(mixture)[None])
        hard = torch.nn.functional.one_hot((labels - 1).clamp(min=0), count).float()
        expected = normalised_modularity(nodes, hard, separator.clustering.graph).item()
        assert separation.normalised_modularity == pytest.approx(expected, abs=1e-5)


def test_the_quality_reaches_the_solver():
    seen = []

    def solve(nodes, count, graph, seed, quality):
        seen.append(quality)
        return types.SimpleNamespace(labels=torch.where(nodes.valid, torch.arange(nodes.valid.shape[1]) % 2, -1))

    for quality, expected in ((None, NormalisedModularity()), ({"name": "modularity", "gamma": 1.5}, Modularity(1.5))):
        separator = separator_of("spectral", **({"quality": quality} if quality else {}))
        separator.clustering = dataclasses.replace(separator.clustering, solver=types.SimpleNamespace(solve=solve))
        mixture, sources = talkers(2)
        separator.model.sources = torch.from_numpy(sources)
        separator.separate("utt", mixture, 2)
        assert seen.pop() == expected


@pytest.mark.parametrize("mask", ["hard", "soft", "posterior"])
def test_outputs_of_all_masks_add_up(mask):
    separator = separator_of("spectral")
    separator.options = SeparateOptions("model", mask=mask)
    mixture, sources = talkers(3)
    separator.model.sources = torch.from_numpy(sources)
    separation = separator.separate("utt", mixture, 3)
    np.testing.assert_allclose(separation.outputs.sum(axis=0), mixture, atol=1e-5)
    between = (separation.assignment > 0.02) & (separation.assignment < 0.98)
    assert between.any() == (mask != "hard")


def test_silence_is_refused():
    separator = separator_of("spectral")
    separator.model.sources = torch.zeros(1, 4000)
    with pytest.raises(ContrasepError, match="'utt': nothing but silence"):
        separator.separate("utt", np.zeros(4000, np.float32), None)


def test_what_a_solver_cannot_partition_is_one_line():
    """Slots for two speakers are asked for three."""
    separator = separator_of("slots", k_max=2)
    mixture, sources = talkers(3)
    separator.model.sources = torch.from_numpy(sources)
    with pytest.raises(ContrasepError, match=r"'utt': num_communities: expected at most 2 \(modularity.k_max\), got 3"):
        separator.separate("utt", mixture, 3)


def test_a_count_that_fails_is_one_line():
    """The counter asks slots that were trained on other embeddings."""
    separator = separator_of("slots", counting="slots")
    solver = dataclasses.replace(separator.clustering.solver, network=SlotNetwork(3, 6))
    counter = separator.clustering.counter.with_solver(solver)
    separator.clustering = dataclasses.replace(separator.clustering, solver=solver, counter=counter)
    mixture, sources = talkers(2)
    separator.model.sources = torch.from_numpy(sources)
    with pytest.raises(ContrasepError, match="'utt': z: expected embeddings of the network's dimension 3, got 8"):
        separator.separate("utt", mixture, None)


def test_training_raises_modularity_over_mixtures():
    model, pool = Planted(), []
    for seed in range(6):
        mixture, sources = talkers(2 + seed % 2, seed)
        model.sources = torch.from_numpy(sources)
        with torch.no_grad():
            pool.append(model.embed(torch.from_numpy(mixture)[None]))
    graph, asked = KernelGraph(), []
    solver = NetworkSolver(hidden=(16,), train_pool=6, train_steps=300, train_nodes=256, learning_rate=0.02)

    def mixtures(count):
        asked.append(count)
        return pool

    network = solver.trained(mixtures, graph, seed=0).network
    assert asked == [6] and solver.network is None
    nodes = NodeSet(
        *(torch.cat([getattr(each, name) for each in pool]) for name in ("z", "weight", "valid")), pool[0].shape
    )
    with torch.no_grad():
        dominant = (nodes.z @ model.directions.T).argmax(dim=-1)
        best = modularity(nodes, torch.nn.functional.one_hot(dominant, 8).float(), graph).mean()
        trained = modularity(nodes, network(nodes.z), graph).mean()
        torch.manual_seed(0)
        fresh = modularity(nodes, ModularityNetwork(8, 5, (16,))(nodes.z), graph).mean()
    assert fresh < 0.1 * best and trained > 0.7 * best
    for one, other in zip(network.parameters(), solver.trained(mixtures, graph, seed=0).network.parameters()):
        assert torch.equal(one, other)
    with pytest.raises(ContrasepError, match="anything but silence"):
        solver.trained(lambda count: [], graph, seed=0)


class Dump:
    """Stands in for a dumped set of one talker's recordings."""

    folder, keys, utt2spk = "dump/cv_single", ["a", "b", "c", "d"], dict.fromkeys("abcd", "p")

    def mixture(self, key):
        return talkers(1, ord(key))[0]


def test_stage_4_on_single_speakers_and_its_files(tmp_path):
    model = Planted()
    model.sources = torch.from_numpy(talkers(1)[1])
    options = modularity_options()
    clustering = train_clustering(model, [Dump()], Dump(), options, MixOptions(), 2)
    assert clustering.counter.null.talkers == 3
    clustering.save(tmp_path)
    assert (
        sorted(path.name for path in tmp_path.iterdir()) == sorted(state_files(options)) == ["network.pth", "null.json"]
    )
    loaded = ClusteringState.load(tmp_path, options)
    assert loaded.counter.null == clustering.counter.null
    z = torch.nn.functional.normalize(torch.randn(5, 8), dim=-1)
    assert torch.equal(loaded.solver.network(z), clustering.solver.network(z))
    with pytest.raises(
        ContrasepError, match=r"network.pth: 5 outputs and hidden layers \[16\], the configuration has 3"
    ):
        ClusteringState.load(tmp_path, modularity_options(k_max=3))
    (tmp_path / "network.pth").write_bytes((tmp_path / "network.pth").read_bytes()[:100])
    with pytest.raises(ContrasepError, match="network.pth"):
        ClusteringState.load(tmp_path, options)
    # a solver that learns nothing does not read it
    kmeans = modularity_options(solver="kmeans")
    assert ClusteringState.load(tmp_path, kmeans).solver.restarts == 8 and state_files(kmeans) == ["null.json"]
    for text, says in (
        ("{}", "null.json: expected the fields"),
        ("x", "not a JSON file"),
        ("[]", "expected a mapping, got list"),
    ):
        (tmp_path / "null.json").write_text(text)
        with pytest.raises(ContrasepError, match=says) as error:
            ClusteringState.load(tmp_path, kmeans)
        assert "\n" not in str(error.value) and "run stage 4 again" in str(error.value)
    (tmp_path / "null.json").unlink()
    with pytest.raises(ContrasepError, match="null.json: no such file; run stage 4 first"):
        ClusteringState.load(tmp_path, kmeans)
