"""The bench of partitions: the truth is the best of them, and its table has a row for each."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from contrasep_lib.config import build
from contrasep_lib.models.options import ModelOptions
from contrasep_lib.models.separation import SeparationModel
from contrasep_lib.modularity.solvers.kmeans import lloyd
from contrasep_lib.nodes.options import FeatureOptions

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools" / "bench"))
import partitions  # noqa: E402


def test_lloyd_goes_on_from_where_it_begins():
    generator = torch.Generator().manual_seed(0)
    centres = torch.nn.functional.normalize(torch.tensor([[1.0, 0.1, 0], [0, 1, 0.1], [0, 0.1, 1]]), dim=1)
    truth = torch.arange(3).repeat_interleave(50)
    z = torch.nn.functional.normalize(centres[truth] + 0.1 * torch.randn(150, 3, generator=generator), dim=1)
    assert torch.equal(lloyd(z, torch.ones(150), centres), truth)
    order = torch.tensor([2, 0, 1])
    assert torch.equal(order[lloyd(z, torch.ones(150), centres[order])], truth)


@pytest.mark.parametrize("counts", [False, True])
def test_partitions_are_measured(counts):
    torch.manual_seed(0)
    options = build(ModelOptions, {
        "backbone": {"name": "dual_path", "layers": 1, "width": 8, "band": 8}, "embedding_dim": 6,
        "decoder": {"name": "attractor", "layers": 1, "width": 8}, "counter": "classifier" if counts else None,
        "objectives": ["deep_clustering", "si_snr", *(["count"] if counts else [])],
    }, "model")
    model = SeparationModel(options, FeatureOptions(64, 16)).eval()
    time = np.arange(4000) / 8000
    sources = 0.1 * np.stack([np.sin(2 * np.pi * 300 * time), np.sin(2 * np.pi * 2100 * time + 1)]).astype(np.float32)
    # as if it had learned: units of the two tones at right angles
    analyse = model.analyse

    def learned(mixture):
        nodes, seen = analyse(mixture)
        who = model.granularity.targets(torch.from_numpy(sources)[None])
        z = torch.eye(6)[who]
        seen.z.copy_(z)
        nodes.z.copy_(z)
        return nodes, seen

    model.analyse = learned
    with torch.no_grad():
        values = partitions.measures(model, {"sources": sources, "mixture": sources.sum(0)})
    rows = {partitions.TRUTH, partitions.FOUND, partitions.AGAIN, partitions.BEGUN}
    assert set(values) == rows | ({partitions.COUNTED} if counts else set())
    assert values[partitions.TRUTH] > 5
    # clusters that fit the truth are the truth
    assert all(values[row] == pytest.approx(values[partitions.TRUTH], abs=0.1) for row in rows)
