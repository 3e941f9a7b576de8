"""The look into validation: right for embeddings that are known."""

import types

import numpy as np
import pytest
import torch

from contrasep_lib.mix.options import MixOptions
from contrasep_lib.nodes.granularity import GRANULARITIES
from contrasep_lib.nodes.nodeset import NodeSet
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.score.options import ScoreOptions
from contrasep_lib.score.oracles import oracle_improvements
from contrasep_lib.train.data import train_dataset
from contrasep_lib.train.iterator import EpochIterator
from contrasep_lib.train.options import TrainOptions
from contrasep_lib.train.probe import Probe

FEATURES = FeatureOptions(win=128, hop=64)


class Knowing(torch.nn.Module):
    """Embeds each node as the axis of the talker that dominates it."""

    features = FEATURES
    granularity = GRANULARITIES["tf"](FEATURES)
    decoder = None

    def __init__(self, items):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))
        self.items = items

    def analyse(self, mixture):
        [item] = [item for item in self.items if np.array_equal(item["mixture"], mixture[0])]
        nodes = self.granularity.nodes(mixture)
        z = torch.eye(4)[self.granularity.targets(torch.from_numpy(item["sources"])[None])]
        seen = types.SimpleNamespace(spectrum=nodes.spectrum)
        return NodeSet(z, nodes.valid.float(), nodes.valid, nodes.shape), seen


@pytest.fixture
def probe(single_dump):
    dataset = train_dataset([single_dump], TrainOptions(num_spk=(1, 2, 3), segment_seconds=0.5), MixOptions())
    return Probe(EpochIterator(dataset, 4, 4).first_items(), 3)


def test_known_embeddings_reach_the_oracle(probe):
    assert len(probe.items) == 3 and all(len(item["sources"]) > 1 for item in probe.items)
    expected = [
        np.mean(oracle_improvements(item["mixture"], item["sources"], FEATURES, ScoreOptions().oracles)["ibm"])
        for item in probe.items
    ]
    weights = [len(item["sources"]) for item in probe.items]
    assert probe.si_snri(Knowing(probe.items)) == pytest.approx(np.average(expected, weights=weights), abs=0.05)


def test_pictures_and_no_mixtures(probe, tmp_path):
    probe.draw(Knowing(probe.items), tmp_path / "images/embeddings.png", "epoch 1")
    assert (tmp_path / "images/embeddings.png").stat().st_size > 5000
    empty = Probe([], 3)
    assert empty.si_snri(Knowing([])) is None
    empty.draw(Knowing([]), tmp_path / "none.png", "epoch 1")
    assert not (tmp_path / "none.png").exists()
