"""The null of the count, fitted on mixtures of single speakers."""

import numpy as np
import pytest
import torch

from contrasep_lib.errors import ContrasepError
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.io.dumpset import DumpSet
from contrasep_lib.mix.options import MixOptions
from contrasep_lib.counting.null import Null
from contrasep_lib.counting.recursive import count_communities
from contrasep_lib.nodes.nodeset import NodeSet
from contrasep_lib.nodes.granularity import TimeFrequency
from contrasep_lib.separate.options import ModularityOptions
from contrasep_lib.train.communities import count_null, known_mixtures

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
        self.granularity = Listening(FEATURES, 40.0)
        self.directions = torch.nn.Parameter(torch.eye(8))

    def embed(self, mixture):
        nodes = self.granularity.nodes(mixture)
        labels = TimeFrequency.targets(self.granularity, self.granularity.sources)
        noise = 0.12 * torch.randn(*labels.shape, 8, generator=torch.Generator().manual_seed(2))
        noise[..., -1] *= 5
        z = torch.nn.functional.normalize(self.directions[labels] + noise, dim=-1)
        return NodeSet(z.detach(), nodes.power.sqrt(), nodes.valid, nodes.shape)


def test_mixtures_of_all_counts_are_made_and_counted(single_dump):
    options = ModularityOptions(k_max=3, null_utterances=3, null_seconds=0.4)
    model, singles, mix = Planted(), DumpSet(single_dump), MixOptions()
    known = list(known_mixtures(model, singles, options, mix, 5))
    assert [int(talkers[0][nodes.valid[0]].max()) + 1 for nodes, talkers in known] == [1] * 3 + [2] * 3 + [3] * 3
    null = count_null(model, singles, options, mix, 5)
    assert null.odds and null.talkers == 9 and null == count_null(model, singles, options, mix, 5)
    others = ModularityOptions(k_max=3, null_utterances=4, null_seconds=0.4, seed=5)
    counts = [count_communities(nodes, 5, null=null, with_evidence=False)[0].count
              for nodes, _ in known_mixtures(model, singles, others, mix, 5)]
    assert counts == [1] * 4 + [2] * 4 + [3] * 4


def test_no_more_talkers_than_speakers(single_dump):
    options = ModularityOptions(k_max=9, null_utterances=1, null_seconds=0.2)
    made = [len(list(known_mixtures(Planted(), DumpSet(single_dump), options, MixOptions(), most))) for most in (2, 9)]
    assert made == [2, 6]


@pytest.mark.parametrize("singles, options", [(False, {}), (True, {"null_utterances": 0})])
def test_without_single_speakers_the_round_null_is_taken(single_dump, singles, options):
    dump = DumpSet(single_dump) if singles else None
    assert count_null(Planted(), dump, ModularityOptions(**options), MixOptions(), 2) == Null()


def test_one_speaker_alone_has_no_odds(tmp_path):
    tone = np.sin(np.arange(4000) / 3)
    singles = write_dump(tmp_path / "one", {"wav": {"p0-0": tone}}, {"p0-0": "p0"})
    with pytest.raises(ContrasepError, match="one: .*two speakers at least.*null: round"):
        count_null(Planted(), DumpSet(singles), ModularityOptions(), MixOptions(), 2)
