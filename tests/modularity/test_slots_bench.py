"""The bench of slots: its pool, its rows, and its intervals."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from contrasep_lib.config import build
from contrasep_lib.models.options import ModelOptions
from contrasep_lib.models.separation import SeparationModel
from contrasep_lib.modularity.graphs import KernelGraph
from contrasep_lib.modularity.quality import NormalisedModularity
from contrasep_lib.modularity.solvers.kmeans import KMeansSolver
from contrasep_lib.modularity.solvers.slots import DrawnMixture, SlotsSolver
from contrasep_lib.nodes.options import FeatureOptions

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools" / "bench"))
import slots as bench  # noqa: E402


def test_partitions_of_a_mixture_are_judged():
    torch.manual_seed(0)
    options = build(ModelOptions, {
        "backbone": {"name": "dual_path", "layers": 1, "width": 8, "band": 8}, "embedding_dim": 6,
        "decoder": {"name": "attractor", "layers": 1, "width": 8}, "objectives": ["deep_clustering", "si_snr"],
    }, "model")
    model = SeparationModel(options, FeatureOptions(64, 16)).eval()
    time = np.arange(4000) / 8000
    sources = 0.1 * np.stack([np.sin(2 * np.pi * 300 * time), np.sin(2 * np.pi * 2100 * time + 1)]).astype(np.float32)
    analyse = model.analyse

    def learned(mixture):
        nodes, seen = analyse(mixture)
        z = torch.eye(6)[model.granularity.targets(torch.from_numpy(sources)[None])]
        seen.z.copy_(z)
        nodes.z.copy_(z)
        return nodes, seen

    model.analyse = learned
    pool = [DrawnMixture(torch.eye(6)[[0, 0, 1, 1, 1]], torch.ones(5), torch.tensor([0, 0, 1, 1, 1]))]
    trained = SlotsSolver(width=8, layers=1, train_steps=1, refine_steps=0)
    trained = trained.trained_on(pool, KernelGraph(), 0, NormalisedModularity())
    solvers = {bench.KMEANS: KMeansSolver(), "slots, both": trained}
    with torch.no_grad():
        found = bench.measures(model, solvers, sources.sum(0), sources)
    assert set(found["share"]) == set(found["si_snri"]) == {bench.TRUTH, *solvers} and found["speakers"] == 2
    assert found["share"][bench.TRUTH] == found["share"][bench.KMEANS] == pytest.approx(1.0)
    assert found["si_snri"][bench.KMEANS] == pytest.approx(found["si_snri"][bench.TRUTH], abs=0.01)
    assert 0.5 <= found["share"]["slots, both"] <= 1 + 1e-6 and set(found["qn"]) == set(solvers)
    assert set(found["counted"]) == {"slots, both"}


def test_intervals_keep_the_share_of_each_set():
    values = [1.0] * 30 + [3.0] * 10
    assert bench.interval(values, ["a"] * 30 + ["b"] * 10) == (2.0, 2.0, 2.0)
    noise = np.random.default_rng(0).normal(size=400)
    mean, low, high = bench.interval(noise, ["a"] * 400)
    assert low < mean < high and high - low == pytest.approx(2 * 1.96 / 20, rel=0.15)


def test_tables_have_a_row_for_each_partition(capsys):
    names = [bench.TRUTH, bench.KMEANS, "slots, both"]
    rows = [
        {
            "set": f"corpus/dev_{count}mix", "key": str(number), "speakers": count, "qn": {bench.KMEANS: 0.1},
            "share": {name: 0.5 + 0.1 * place for place, name in enumerate(names)},
            "si_snri": {name: float(place) for place, name in enumerate(names)}, "counted": {"slots, both": 2},
        }
        for count in (2, 3) for number in range(3)
    ]
    bench.print_tables(rows)
    out = capsys.readouterr().out
    assert "corpus, 6 mixtures" in out
    assert "| slots, both | 70.0 %, 2.00 dB | 70.0 %, 2.00 dB | +10.0 [+10.0, +10.0] | +1.00 [+1.00, +1.00] |  |" in out
    assert "| slots, both | 100 | 0 |" in out
