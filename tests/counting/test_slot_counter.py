"""Counting by slots: the distribution of independent slots, and what the counter asks for."""

import itertools

import pytest
import torch

from contrasep_lib.config import build
from contrasep_lib.counting.counters.options import SlotCountOptions
from contrasep_lib.counting.counters.slots import SlotCount, number_chances
from contrasep_lib.errors import ContrasepError
from contrasep_lib.modularity.graphs import KernelGraph
from contrasep_lib.modularity.options import ModularityOptions
from contrasep_lib.modularity.solvers.kmeans import KMeansSolver
from contrasep_lib.modularity.solvers.slot_network import SlotNetwork
from contrasep_lib.modularity.solvers.slots import SlotsSolver
from contrasep_lib.nodes.nodeset import NodeSet
from contrasep_lib.separate.clustering_state import ClusteringState


def solver(logits):
    """Slots whose existence has these logits, whatever they see."""
    network = SlotNetwork(3, len(logits), width=4, layers=1)
    with torch.no_grad():
        network.exists.weight.zero_()
    network.exists.bias = None
    network.exists.forward = lambda slots: torch.tensor(logits).expand(len(slots), -1).unsqueeze(-1)
    return SlotsSolver(num_communities=len(logits) - 1, network=network)


def counter():
    return SlotCount(SlotCountOptions(), KernelGraph(), 5)


def test_numbers_of_independent_slots():
    chance = torch.tensor([0.9, 0.2, 0.5, 0.7], dtype=torch.float64)
    expected = torch.zeros(5, dtype=torch.float64)
    for exists in itertools.product((0, 1), repeat=4):
        term = torch.tensor(exists, dtype=torch.float64)
        expected[sum(exists)] += (term * chance + (1 - term) * (1 - chance)).prod()
    torch.testing.assert_close(number_chances(chance), expected)


@pytest.mark.parametrize("logits, most, number", [
    ([4.0, 4.0, -4.0, -4.0], 3, 2), ([4.0, 4.0, 4.0, 4.0], 3, 3), ([-9.0, -9.0, -9.0, -8.0], 3, 1),
    ([4.0, 4.0, 4.0, -4.0], 2, 2), ([90.0, 90.0, 90.0, 90.0], 3, 3), ([90.0, -90.0, -90.0, -90.0], 3, 1),
    ([-900.0, -900.0, -900.0, -900.0], 3, 1),
])
def test_the_most_probable_number_from_one_to_the_most(logits, most, number):
    valid = torch.tensor([[True, True, False]])
    nodes = NodeSet.from_embeddings(torch.eye(3)[None], valid=valid)
    decision = counter().with_solver(solver(logits)).count(nodes, None, most, 0)
    assert decision.number == number and len(decision.probabilities) == most
    assert sum(decision.probabilities) == pytest.approx(1) and f"{number} speaker" in decision.words


def test_it_goes_with_the_solver_of_slots_alone():
    options = build(ModularityOptions, {"solver": "slots", "counting": "slots"}, "modularity")
    made = ClusteringState.from_options(options)
    assert made.counter.solver is made.solver and made.counter.state_file == "null.json"
    with pytest.raises(ContrasepError, match="modularity.counting: 'slots' needs the solver 'slots', got 'kmeans'"):
        build(ModularityOptions, {"solver": "kmeans", "counting": "slots"}, "modularity")
    with pytest.raises(ContrasepError, match="modularity.counting: 'slots' needs modularity.solver 'slots', got K"):
        made.counter.with_solver(KMeansSolver())
    with pytest.raises(ContrasepError, match="needs modularity.solver 'slots', got none"):
        counter().count(NodeSet.from_embeddings(torch.eye(3)[None]), None, 2, 0)
