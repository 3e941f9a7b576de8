"""The counter: padding, weights, its loss, single speakers among mixtures, and that it learns to count."""

import pytest
import torch

from contrasep_lib.config import build
from contrasep_lib.counting.counter import Counter
from contrasep_lib.models.options import ModelOptions
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.train.espnet_model import EspnetModel

FEATURES = FeatureOptions(64, 16)
OBJECTIVES = {"deep_clustering": 1.0, "count": 0.5}


def make(**values):
    torch.manual_seed(0)
    name, layers = values.pop("backbone", "dual_path"), values.pop("layers", 1)
    backbone = {"name": name, "layers": layers, "width": 8, **({"band": 8} if name == "dual_path" else {})}
    tree = {"backbone": backbone, "embedding_dim": 6, "counter": "classifier", "objectives": OBJECTIVES, **values}
    return EspnetModel(build(ModelOptions, tree, "model"), FEATURES)


def mixtures(*counts, samples=900):
    """Mixture, lengths, sources, talkers of a batch of mixtures of noise."""
    generator = torch.Generator().manual_seed(0)
    num_spk = torch.tensor(counts)
    sources = 0.1 * torch.randn(len(counts), max(counts), samples, generator=generator)
    sources[torch.arange(max(counts)) >= num_spk[:, None]] = 0
    return sources.sum(1), torch.full((len(counts),), samples), sources, num_spk


def inputs(batch=2, frames=7, places=3, channels=4, dim=5):
    generator = torch.Generator().manual_seed(3)
    z = torch.nn.functional.normalize(torch.randn(batch, frames * places, dim, generator=generator), dim=-1)
    weight = torch.rand(batch, frames * places, generator=generator)
    return z, weight, torch.randn(batch, frames, places, channels, generator=generator), torch.full((batch,), frames)


def test_padding_and_the_scale_of_weights_do_not_matter():
    counter = Counter(5, 4, 3)
    z, weight, hidden, frames = inputs()
    scores = counter(z, weight, hidden, frames)
    assert scores.shape == (2, 3) and scores.dtype == torch.float32
    weight = torch.cat([7 * weight, torch.zeros(2, 6)], dim=1)
    z, hidden = torch.cat([z, torch.ones(2, 6, 5)], dim=1), torch.cat([hidden, torch.full((2, 2, 3, 4), 9.0)], dim=1)
    assert torch.allclose(counter(z, weight, hidden, frames), scores, atol=1e-5)


def test_nodes_come_in_no_order_and_silence_is_finite():
    counter = Counter(5, 0, 3)
    z, weight, _, frames = inputs()
    order = torch.randperm(z.shape[1], generator=torch.Generator().manual_seed(1))
    assert torch.allclose(
        counter(z[:, order], weight[:, order], None, frames), counter(z, weight, None, frames), atol=1e-5
    )
    assert counter(z, torch.zeros_like(weight), None, frames).isfinite().all()


@pytest.mark.parametrize(
    "granularity, backbone", [("tf", "dual_path"), ("tf", "blstm"), ("frame", "encoder"), ("frame", "conv")]
)
def test_loss_is_the_cross_entropy_and_reaches_the_counter(granularity, backbone):
    model = make(granularity=granularity, backbone=backbone, layers=2)
    batch = mixtures(3, 1, 2)
    loss, stats, _ = model(*batch)
    with torch.no_grad():
        chance = model.count(*model.analyse(*batch[:2])).double()
    assert torch.allclose(chance.exp().sum(1), torch.ones(3, dtype=torch.float64), atol=1e-6)
    expected = -chance[torch.arange(3), batch[3] - 1].mean()
    assert float(stats["count"]) == pytest.approx(float(expected), rel=1e-4)
    assert float(stats["counted"]) == pytest.approx(float((chance.argmax(1) + 1 == batch[3]).double().mean()))
    assert float(stats["loss"]) == pytest.approx(float(stats["deep_clustering"] + 0.5 * stats["count"]), rel=1e-5)
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.counter.parameters())


def test_shares_of_training_are_in_the_loss_and_not_in_the_scores():
    model, batch = make().eval(), mixtures(3, 1, 2)
    with torch.no_grad():
        scores = model.count(*model.analyse(*batch[:2])).double()
        model.counter.expect([1, 2, 2, 2, 3, 3])
        assert torch.equal(model.count(*model.analyse(*batch[:2])).double(), scores)
        _, stats, _ = model(*batch)
    # Bayes: chances where counts have these shares; four and five talkers are never drawn, and as frequent as two
    chance = scores.exp() * torch.tensor([1, 3, 2, 3, 3], dtype=torch.float64)
    chance = chance / chance.sum(1, keepdim=True)
    expected = -chance[torch.arange(3), batch[3] - 1].log().mean()
    assert float(stats["count"]) == pytest.approx(float(expected), rel=1e-4)
    assert "counter.prior" not in model.state_dict()


def test_single_speakers_among_mixtures_teach_the_count_alone():
    model = make().eval()
    mixture, lengths, sources, num_spk = mixtures(3, 1, 2)
    _, with_lone, _ = model(mixture, lengths, sources, num_spk)
    some = torch.tensor([0, 2])
    _, without, _ = model(mixture[some], lengths[some], sources[some], num_spk[some])
    for name in ("deep_clustering", "within", "between"):
        assert torch.allclose(with_lone[name], without[name], atol=1e-6), name
    assert not torch.allclose(with_lone["count"], without["count"])


def test_more_talkers_than_it_knows_are_refused():
    with pytest.raises(ValueError, match=r"num_spk: expected at most 2 speakers \(model.counter.count_max\), got 3"):
        make(counter={"name": "classifier", "count_max": 2})(*mixtures(3, 2))


def test_it_learns_to_count_directions():
    torch.manual_seed(0)
    counter = Counter(8, 0, 4)
    optimiser = torch.optim.Adam(counter.parameters(), 3e-3)
    generator = torch.Generator().manual_seed(5)
    directions = torch.linalg.qr(torch.randn(8, 8, generator=generator))[0]

    def clouds(batch):
        truth = torch.randint(1, 5, (batch,), generator=generator)
        order = torch.rand(batch, 8, generator=generator).argsort(1)
        label = (torch.rand(batch, 60, generator=generator) * truth[:, None]).long()
        z = directions[order.gather(1, label)] + 0.25 * torch.randn(batch, 60, 8, generator=generator)
        return torch.nn.functional.normalize(z, dim=-1), torch.ones(batch, 60), None, torch.full((batch,), 60), truth

    for _ in range(300):
        *seen, truth = clouds(32)
        loss = torch.nn.functional.cross_entropy(counter(*seen), truth - 1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    *seen, truth = clouds(400)
    assert float((counter(*seen).argmax(1) + 1 == truth).float().mean()) > 0.9
