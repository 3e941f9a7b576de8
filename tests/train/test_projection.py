"""What the graph and the loss read: the embedding, or the outputs of the projection head; NT-Xent's denominator."""

import math

import pytest
import torch

from contrasep_lib.config import as_key, build
from contrasep_lib.models.checkpoint import load_model, save_model
from contrasep_lib.models.options import ModelOptions
from contrasep_lib.models.separation import SeparationModel
from contrasep_lib.nodes.draws import Draws
from contrasep_lib.nodes.labels import LabelledNodes
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.objectives.base import Step
from contrasep_lib.objectives.nt_xent import NTXent
from contrasep_lib.objectives.options import NTXentOptions
from contrasep_lib.train.espnet_model import EspnetModel

FEATURES = FeatureOptions(64, 16)
FRAME = {
    "granularity": "frame", "backbone": {"name": "encoder", "layers": 2, "width": 8}, "embedding_dim": 6,
    "objectives": {"nt_xent": {"sampled_nodes": 32}},
}


def model_of(kind=SeparationModel, **values):
    torch.manual_seed(0)
    return kind(build(ModelOptions, {**FRAME, **values}, "model"), FEATURES).eval()


def test_nodes_are_what_the_loss_sees():
    mixture = torch.randn(2, 900, generator=torch.Generator().manual_seed(1))
    apart, same = model_of(projection=5), model_of(projection=5, nodes="projection")
    with torch.no_grad():
        embedded, projected = apart.embed(mixture).z, same.embed(mixture).z
        assert embedded.shape[-1] == 6 and projected.shape[-1] == 5
        torch.testing.assert_close(projected, apart.project(embedded))
        assert torch.equal(same.project(projected), projected)
    same.embed(mixture).require_unit_norm()
    # without a head both are the embedding
    plain = model_of(projection=0)
    assert torch.equal(plain.project(embedded), embedded)


def test_the_loss_does_not_depend_on_what_the_graph_reads():
    generator = torch.Generator().manual_seed(2)
    sources = torch.randn(2, 2, 900, generator=generator)
    batch = sources.sum(1), torch.full((2,), 900), sources, torch.full((2,), 2)
    losses, cosines = [], []
    for nodes in ("embedding", "projection"):
        model = model_of(EspnetModel, projection=5, nodes=nodes)
        loss, stats, _ = model(*batch)
        loss.backward()
        assert all(part.grad.abs().sum() > 0 for part in model.projection.parameters())
        losses.append(loss.detach())
        cosines.append(float(stats["within"]))
    torch.testing.assert_close(*losses)
    # cosines are reported of what the graph reads
    assert cosines[0] != pytest.approx(cosines[1], abs=1e-3)


@pytest.mark.parametrize("kind", ["attractor", "classifier"])
def test_decoder_and_counter_take_the_projection(kind):
    part, objective = ("decoder", "si_snr") if kind == "attractor" else ("counter", "count")
    model = model_of(
        granularity="tf", backbone={"name": "dual_path", "layers": 1, "width": 8, "band": 8}, projection=4,
        nodes="projection", objectives=["deep_clustering", objective],
        **{part: {"name": kind, **({"layers": 1, "width": 8} if kind == "attractor" else {})}},
    )
    with torch.no_grad():
        nodes, seen = model.analyse(torch.randn(1, 900, generator=torch.Generator().manual_seed(1)))
        assert nodes.z.shape[-1] == 4
        if kind == "attractor":
            assert model.decode(seen, torch.eye(4)[None, :3], 900).shape == (1, 3, 900)
        else:
            assert model.count(nodes, seen).exp().sum().item() == pytest.approx(1.0, abs=1e-5)


def test_a_model_keeps_what_its_nodes_are(tmp_path):
    model = model_of(projection=5, nodes="projection")
    save_model(tmp_path / "model.pth", model.state_dict(), FEATURES, model.options, {})
    again = load_model(tmp_path / "model.pth")
    mixture = torch.randn(1, 900, generator=torch.Generator().manual_seed(1))
    assert torch.equal(again.embed(mixture).z, model.embed(mixture).z)
    # a file from before the option is one whose nodes are embeddings
    content = torch.load(tmp_path / "model.pth", weights_only=True)
    del content["model"]["nodes"]
    torch.save(content, tmp_path / "former.pth")
    assert load_model(tmp_path / "former.pth").embed(mixture).z.shape[-1] == 6


def test_what_was_trained_before_these_options_keeps_its_key():
    key = as_key(build(ModelOptions, {**FRAME, "projection": 5}, "model"))
    assert "nodes" not in key and "denominator" not in key["objectives"]["nt_xent"]
    other = as_key(build(ModelOptions, {**FRAME, "projection": 5, "nodes": "projection"}, "model"))
    assert other != key


def literal_nt_xent(z, labels, pairs, temperature, denominator):
    """Chen et al. 2020, eq. 1, one pair and one negative after another."""
    drawn = [node for pair in pairs for node in pair]
    losses = []
    for pair in pairs:
        for anchor, partner in (pair, pair[::-1]):
            total = 0.0
            for other in drawn:
                if other == anchor:
                    continue
                if denominator == "labelled" and other != partner and labels[other] == labels[anchor]:
                    continue
                total += math.exp(float(z[anchor] @ z[other]) / temperature)
            losses.append(-math.log(math.exp(float(z[anchor] @ z[partner]) / temperature) / total))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("denominator", ["labelled", "all"])
def test_both_denominators_equal_the_literal_loop(denominator, monkeypatch):
    generator = torch.Generator().manual_seed(5)
    z = torch.nn.functional.normalize(torch.randn(1, 14, 4, generator=generator, dtype=torch.float64), dim=-1)
    labels = torch.tensor([[0, 1, 0, 0, 1, 2, 2, 1, 0, 1, 0, 2, 2, 1]])
    nodes = LabelledNodes(z, labels, torch.ones(1, 14), torch.ones(1, 14, dtype=torch.bool), 3)
    objective = NTXent(NTXentOptions(temperature=0.3, sampled_nodes=14, denominator=denominator))
    step = Step(model_of(projection=0), nodes, None, Draws(5, range(1)))
    # all nodes in their order, so that the pairs are known: the first and second of a label, the third and fourth ..
    monkeypatch.setattr(Step, "draw", lambda self, count: nodes)
    loss, *_ = objective(step)
    members = [labels[0].eq(label).nonzero().flatten().tolist() for label in range(3)]
    pairs = [tuple(part[at : at + 2]) for part in members for at in range(0, len(part) - 1, 2)]
    assert loss.item() == pytest.approx(literal_nt_xent(z[0], labels[0], pairs, 0.3, denominator), rel=1e-12)
    other = "all" if denominator == "labelled" else "labelled"
    assert loss.item() != pytest.approx(literal_nt_xent(z[0], labels[0], pairs, 0.3, other), rel=1e-3)


def test_labelled_is_the_default():
    assert NTXentOptions().denominator == "labelled"
