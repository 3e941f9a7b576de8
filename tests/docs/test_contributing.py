"""The examples of CONTRIBUTING.md are members of their families: named by a configuration, built, and used."""

import re
from pathlib import Path

import numpy as np
import pytest

from contrasep_lib.config import choices, create, load_config

PAGE = (Path(__file__).resolve().parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLE = re.compile(
    r"^### An? (\w+)\n\n    run\.sh ([^\n]+)\n\n(?:[^\n]+\n\n)?```python\n# (\w+)\.py\n(.+?)^```",
    re.MULTILINE | re.DOTALL,
)
EXAMPLES = {family: (command, module, code) for family, command, module, code in EXAMPLE.findall(PAGE)}


@pytest.fixture
def signals():
    """Two sources and their mixture, half a second."""
    sources = np.random.default_rng(0).standard_normal((2, 4000)).astype(np.float32)
    return sources, sources.sum(0)


@pytest.fixture
def options(tmp_path, monkeypatch, plugins):
    """Family -> configuration of the example, whose module lies outside the package."""

    def load(family):
        command, module, code = EXAMPLES[family]
        (tmp_path / f"{module}.py").write_text(code)
        (tmp_path / "config.yaml").write_text("{}\n")
        settings = [quoted or plain for quoted, plain in re.findall(r"--set (?:'([^']+)'|(\S+))", command)]
        settings += [f"separate.separator={name}" for name in re.findall(r"--separator (\S+)", command)]
        return load_config(tmp_path / "config.yaml", settings)

    monkeypatch.syspath_prepend(tmp_path)
    return load


def test_every_family_has_an_example():
    assert set(EXAMPLES) == {"backbone", "corpus", "counter", "metric", "objective", "oracle", "solver"}
    assert set(EXAMPLES) <= set(choices.FAMILIES)


def test_metric(options, signals):
    from contrasep_lib.score.utterance import score_utterance

    sources, mixture = signals
    score = score_utterance(sources[::-1], sources, mixture, options("metric")["score"])
    assert score["correlation"] == pytest.approx(1.0)


def test_oracle(options, signals):
    from contrasep_lib.oracles.base import Scene, oracle_options

    sources, mixture = signals
    config = options("oracle")
    oracle = create(oracle_options(config["separate"].separator))
    done = oracle.separate(Scene(mixture, sources, config["features"]))
    assert done.outputs.shape == sources.shape
    np.testing.assert_allclose(done.outputs.sum(0), mixture, atol=1e-4)
    assert all(np.corrcoef(output, source)[0, 1] > 0.8 for output, source in zip(done.outputs, sources))


def test_solver(options):
    import torch

    from contrasep_lib.modularity.graphs import KernelGraph
    from contrasep_lib.nodes.nodeset import NodeSet

    solver = create(options("solver")["modularity"].solver, num_communities=3)
    z = torch.eye(3)[torch.arange(90) // 30] + 0.01 * torch.randn(90, 3, generator=torch.Generator().manual_seed(0))
    nodes = NodeSet.from_embeddings(torch.nn.functional.normalize(z, dim=-1)[None])
    solution = solver.solve(nodes, 3, KernelGraph())
    assert solution.labels[0].bincount().tolist() == [30, 30, 30]


def test_counter(options):
    chosen = options("counter")["modularity"].counting
    counter = create(chosen, graph=None, most=5, network=None)
    assert counter.count(None, None, most=5, seed=0).number == 3
    assert counter.count(None, None, most=2, seed=0).number == 2


def test_objective(options):
    import types

    import torch

    chosen = options("objective")["model"].objectives["spread"]
    assert chosen.weight == 0.1
    objective = create(chosen, model=None)
    valid = torch.tensor([[True, True, False]])
    for z, expected in (([[1.0, 0], [1, 0], [0, 9]], 1.0), ([[1.0, 0], [-1, 0], [0, 9]], 0.0)):
        nodes = types.SimpleNamespace(z=torch.tensor([z]), valid=valid)
        loss, statistics = objective(types.SimpleNamespace(nodes=nodes))
        assert float(loss) == pytest.approx(expected) and statistics == {}


def test_backbone(options):
    import torch

    config = options("backbone")
    backbone = create(config["model"].backbone, features=config["features"], dim=4)
    freq = config["features"].win // 2 + 1
    units = backbone(torch.randn(2, 5, freq), torch.tensor([5, 3]))
    assert units.shape == (2, 5, freq, 4)
    assert backbone.hidden(torch.randn(2, 5, freq), torch.tensor([5, 3])).shape == (2, 5, 1, 64)


def test_corpus(options, tmp_path):
    import soundfile

    from contrasep_lib.corpus.base import Request
    from contrasep_lib.io.scp import read_table

    for speaker in ("ann", "ben", "cy"):
        for number in range(12):
            path = tmp_path / "speech" / speaker / f"{number:02d}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, np.full(800, 0.1), 8000, subtype="PCM_16")
    config = options("corpus")
    corpus = create(config["corpus"].of("folders"), mix=config["mix"])
    request = Request(str(tmp_path / "out"), corpus=str(tmp_path / "speech"))
    corpus.check(request)
    assert corpus.prepare(request) == {"tr": 10, "cv": 2, "tt": 24}
    assert set(read_table(tmp_path / "out/tt/utt2spk").values()) == {"ann", "cy"}
    assert read_table(tmp_path / "out/cv/utt2dur") == {"ben-00": "0.100000", "ben-10": "0.100000"}
