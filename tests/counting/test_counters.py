"""Counters behind one interface: what they decide, learn, keep and refuse."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from contrasep_lib.config import create, names, options_class
from contrasep_lib.counting.counters.options import ClassifierOptions, RecursiveSplitOptions
from contrasep_lib.counting.null import Null
from contrasep_lib.embedding.analysis import Analysis
from contrasep_lib.errors import ContrasepError
from contrasep_lib.modularity.graphs import KernelGraph
from contrasep_lib.modularity.solvers.slot_network import SlotOutput
from contrasep_lib.modularity.solvers.slots import SlotsSolver
from contrasep_lib.nodes.nodeset import NodeSet

ANALYSIS = Analysis(spectrum=torch.zeros(1, 1, 1), frames=torch.tensor([1]), z=torch.zeros(1, 1, 1))


class Known(torch.nn.Module):
    """A classifier that gives the same scores to all."""

    def __init__(self, *chances):
        super().__init__()
        self.scores = torch.tensor([chances]).log()

    def forward(self, z, weight, hidden, frames):
        assert z.dim() == 3 and weight.shape == z.shape[:2] and frames is ANALYSIS.frames
        return self.scores


class Speech:
    """Planted single speakers and mixtures of them."""

    name = "dump/cv_single"

    def __init__(self, planted, most=3):
        self.planted, self.most, self.asked = planted, most, []

    def singles(self, count):
        return [nodes_of(self.planted, [300], seed)[0] for seed in range(count)]

    def mixtures(self, num_spk, count, seconds):
        self.asked.append((num_spk, count, seconds))
        return [nodes_of(self.planted, [300] * num_spk, 10 * num_spk + seed) for seed in range(count)]


def nodes_of(planted, sizes, seed):
    z, group = planted.clouds(sizes, 25, seed, heavy=True)
    return NodeSet.from_embeddings(torch.from_numpy(z).float()[None]), torch.from_numpy(group)[None]


def counter(options, network=None, most=5):
    return create(options, graph=KernelGraph(), most=most, network=network)


class ThreeSlots(SlotsSolver):
    """Three of its six slots exist, whatever it reads."""

    def read(self, z, weight, generator):
        return SlotOutput(torch.zeros(1, len(z), 6), torch.tensor([[3.0, -3.0, 3.0, -3.0, 3.0, -3.0]]))


@pytest.mark.parametrize("name", names("counter"))
def test_every_counter_keeps_the_contract(planted, name):
    made = counter(options_class("counter", name)(), Known(0.1, 0.2, 0.6, 0.1))
    if name == "slots":
        made = made.with_solver(ThreeSlots())
    nodes, _ = nodes_of(planted, [300, 300, 300], 0)
    bare, full = (made.count(nodes, ANALYSIS, 4, 0, with_evidence) for with_evidence in (False, True))
    assert bare.number == full.number == 3 and bare.words == full.words and bare.words.startswith("3 speakers")
    assert bare.evidence == () and [row.num_communities for row in full.evidence] == [1, 2, 3, 4]
    assert made.count(nodes, ANALYSIS, 2, 0).number == 2
    if bare.probabilities is not None:
        assert sum(bare.probabilities) == pytest.approx(1) and len(bare.probabilities) == 4
    again = made.with_state(made.state())
    assert again.state() == made.state() and again.count(nodes, ANALYSIS, 4, 0).words == bare.words


def test_the_classifier_is_the_networks_word(planted):
    nodes, _ = nodes_of(planted, [300], 0)
    made = counter(ClassifierOptions(), Known(0.05, 0.2, 0.6, 0.15))
    decision = made.count(nodes, ANALYSIS, 4, 0)
    assert decision.number == 3 and decision.further is None
    assert decision.probabilities == pytest.approx((0.05, 0.2, 0.6, 0.15))
    # of fewer, those that are left share all probability
    assert made.count(nodes, ANALYSIS, 2, 0).probabilities == pytest.approx((0.2, 0.8))
    with pytest.raises(ContrasepError, match="'classifier' needs a model trained with the objective count"):
        counter(ClassifierOptions())


def test_the_recursive_split_says_whether_more_would_be_found(planted):
    made = counter(RecursiveSplitOptions())
    nodes, _ = nodes_of(planted, [300, 300, 300], 0)
    limited, free = (made.count(nodes, ANALYSIS, most, 0).further for most in (2, 5))
    assert limited.at_limit and limited.score > limited.threshold
    assert not free.at_limit and free.score < free.threshold


def test_odds_are_fitted_on_mixtures_up_to_the_smaller_limit(planted):
    for most, expected in ((5, 3), (2, 2)):
        speech = Speech(planted, most=3)
        made = counter(RecursiveSplitOptions(utterances=2, seconds=3.0), most=most)
        fitted = made.fitted(speech, seed=0)
        assert speech.asked == [(number, 2, 3.0) for number in range(1, expected + 1)]
        assert fitted.null.odds and fitted.null.known == expected and fitted.null.talkers == 2 * expected
        assert made.null == Null() and fitted.fitted(Speech(planted), seed=0).null == fitted.null or most == 2


def test_the_isotropic_null(planted):
    speech = Speech(planted)
    raised = counter(RecursiveSplitOptions(null_model="isotropic", utterances=3, threshold=6.0)).fitted(speech, 0).null
    assert raised.talkers == 3 and raised.threshold == 6.0 and not raised.odds and not speech.asked
    # one speaker at most: there is nothing to tell apart, so nothing to fit odds on
    assert not counter(RecursiveSplitOptions(utterances=2), most=1).fitted(speech, 0).null.odds


@pytest.mark.parametrize("options, speech", [({}, False), ({"utterances": 0}, True), ({"threshold": -1.0}, False)])
def test_without_single_speakers_the_isotropic_null_is_taken(planted, options, speech):
    made = counter(RecursiveSplitOptions(**options))
    assert made.fitted(Speech(planted) if speech else None, 0).null == Null()


def test_speech_that_does_not_serve_is_named(planted):
    silent = Speech(planted)
    silent.singles = lambda count: []
    silent.mixtures = lambda *_: []
    for options in (RecursiveSplitOptions(), RecursiveSplitOptions(null_model="isotropic")):
        with pytest.raises(ContrasepError, match="dump/cv_single: nothing but silence"):
            counter(options).fitted(silent, 0)
    with pytest.raises(ContrasepError, match="dump/cv_single: .*at least two speakers.*null_model: isotropic"):
        counter(RecursiveSplitOptions(utterances=2)).fitted(Speech(planted, most=1), 0)
    with pytest.raises(ValueError, match="expected the fields"):
        counter(RecursiveSplitOptions()).with_state({"threshold": 1.0})
    state = dataclasses.asdict(Null())
    assert counter(RecursiveSplitOptions()).with_state(state).null == Null()
