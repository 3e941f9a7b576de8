"""The output for what is no talker: what it leaves alone, what it learns, and that all adds up."""

import math

import pytest
import torch

from contrasep_lib.decode.attractor import centroids_of
from contrasep_lib.nodes.stft import num_frames, stft
from contrasep_lib.objectives.base import Sources
from contrasep_lib.objectives.ranks import Share
from contrasep_lib.objectives.si_snr import negative_noise_snr, si_snr_loss
from contrasep_lib.train.step import labelled_step
from tests.decode.tiny import FEATURES, make, noises, outputs_of, trained, unit

BACKBONES = ("dual_path", "conv", "blstm")


def with_noise(std=0.3, **values):
    """As `trained`, with an output for noise that has something to say."""
    model = trained(noise=True, **values)
    generator = torch.Generator().manual_seed(1)
    torch.nn.init.normal_(model.decoder.noise.output.weight, std=std, generator=generator)
    return model


def noise_of(model, mixture, centroids, lengths=None):
    return mixture - outputs_of(model, mixture, centroids, lengths).sum(1)


def tones(batch, samples, seed):
    """Two talkers in turn, tones of bands of their own, and white noise: mixture, sources, noise."""
    rng = torch.Generator().manual_seed(seed)
    time, low = torch.arange(samples), torch.tensor([0.02, 0.25])
    pitch = low + 0.15 * torch.rand(batch, 2, generator=rng)
    sources = 0.2 * torch.sin(2 * math.pi * pitch.unsqueeze(-1) * time + 6 * torch.rand(batch, 2, 1, generator=rng))
    noise = 0.1 * torch.randn(batch, samples, generator=rng)
    return sources.sum(1) + noise, sources, noise


def train(model, steps=50):
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    for step in range(steps):
        mixture, sources, _ = tones(4, 480, step)
        loss = model(mixture, torch.full((4,), 480), sources, torch.full((4,), 2))[0]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


# ------------------------------------------------------------ beside what there was


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_model_without_it_is_where_training_may_begin(backbone):
    plain, model = trained(backbone=backbone), make(noise=True, backbone=backbone).eval()
    missing = model.load_state_dict(plain.state_dict(), strict=False)
    assert not missing.unexpected_keys and all(name.startswith("decoder.noise.") for name in missing.missing_keys)
    mixture, _ = noises(2, 2, 700)
    for count in (1, 2, 3):
        centroids = unit(2, count, 6)
        assert torch.equal(outputs_of(model, mixture, centroids), outputs_of(plain, mixture, centroids))


def test_other_weights_are_drawn_as_without_it():
    plain, model = make(), make(noise=True)
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in plain.state_dict().items())


def test_it_costs_next_to_nothing():
    decoder = {"name": "attractor", "width": 64, "band": 8}
    plain, model = (make(decoder={**decoder, "noise": noise}) for noise in (False, True))
    sizes = [sum(part.numel() for part in each.decoder.parameters()) for each in (plain, model)]
    assert sizes[1] < 1.1 * sizes[0]
    # no block runs once more
    calls = []
    for path in model.decoder.paths.over_time:
        path.register_forward_hook(lambda module, arguments, output: calls.append(len(output)))
    mixture, _ = noises(2, 2, 700)
    outputs_of(model.eval(), mixture, unit(2, 2, 6))
    bands = -(-(FEATURES.win // 2 + 1) // 8)
    assert calls == [4 * bands] * 2


# ------------------------------------------------------------ what it gives


@pytest.mark.parametrize("backbone", BACKBONES)
def test_talkers_leave_it_a_part_and_keep_their_order(backbone):
    model, (mixture, _) = with_noise(backbone=backbone), noises(2, 3, 700)
    centroids, order = unit(2, 3, 6), torch.tensor([2, 0, 1])
    noise = noise_of(model, mixture, centroids)
    assert noise.norm() > 0.01 * mixture.norm()
    torch.testing.assert_close(noise_of(model, mixture, centroids[:, order]), noise, atol=1e-5, rtol=1e-3)
    outputs = outputs_of(model, mixture, centroids)
    torch.testing.assert_close(outputs_of(model, mixture, centroids[:, order]), outputs[:, order], atol=1e-5, rtol=1e-3)


def test_absent_talkers_and_padding_change_nothing():
    model, (mixture, _) = with_noise(), noises(2, 2, 700)
    centroids, present = unit(2, 3, 6), torch.tensor([[1, 0, 1], [0, 1, 0]]).bool()
    with torch.no_grad():
        outputs = model.decode(model.analyse(mixture)[1], centroids, 700, present)
    assert (outputs[~present] == 0).all()
    for row in range(2):
        alone = outputs_of(model, mixture[row : row + 1], centroids[row : row + 1, present[row]])
        torch.testing.assert_close(outputs[row, present[row]], alone[0], atol=1e-5, rtol=1e-3)
    padded = torch.nn.functional.pad(mixture, (0, 320))
    again = outputs_of(model, padded, centroids, torch.tensor([700, 700]))
    inner = 700 - 2 * FEATURES.win
    torch.testing.assert_close(
        again[..., :inner], outputs_of(model, mixture, centroids)[..., :inner], atol=2e-3, rtol=2e-2
    )


def test_long_silences_are_its_own():
    model, (mixture, _) = with_noise(), noises(1, 2, 8000)
    mixture[:, 2000:6000] *= 1e-4
    centroids = unit(1, 2, 6)
    outputs = outputs_of(model, mixture, centroids)
    assert (outputs[..., 2200:5800] == 0).all() and (outputs[..., :1800].abs().amax(-1) > 0).all()
    assert (outputs_of(trained(), mixture, centroids)[..., 2200:5800].abs().amax(-1) > 0).all()


def test_parts_are_decoded_as_the_whole():
    mixture, centroids = noises(1, 2, 12000)[0], unit(1, 2, 6)
    model = with_noise()
    whole = outputs_of(model, mixture, centroids)
    with torch.no_grad():
        parts = model.decode(model.analyse(mixture)[1], centroids, 12000, at_once=90)
    assert (parts - whole).norm() < 0.05 * whole.norm()


# ------------------------------------------------------------ its loss


def test_the_loss_by_definition():
    rng = torch.Generator().manual_seed(0)
    noise, error, speech = (torch.randn(3, 400, generator=rng, dtype=torch.float64) for _ in range(3))
    mixture = speech + noise
    for scale in (1.0, 1e-3):
        value = negative_noise_snr(scale * (noise + 0.1 * error), scale * noise, scale * mixture)
        expected = 10 * torch.log10((0.01 * error.square().sum(1) / mixture.square().sum(1)) + 1e-3)
        torch.testing.assert_close(value, expected, atol=1e-3, rtol=1e-3)
    lengths = torch.tensor([400, 250, 100])
    junk = torch.where(torch.arange(400) < lengths.unsqueeze(1), noise, torch.nan)
    cut = negative_noise_snr(junk + 0.1 * error, noise, mixture, lengths)
    torch.testing.assert_close(
        cut[1:2], negative_noise_snr((noise + 0.1 * error)[1:2, :250], noise[1:2, :250], mixture[1:2, :250])
    )
    # the level counts, as the sum is to be the mixture
    assert (negative_noise_snr(2 * noise, noise, mixture) > -10).all()


def test_silence_is_finite_and_no_more_than_its_floor():
    mixture = torch.randn(2, 300, generator=torch.Generator().manual_seed(0))
    mixture[1] = 0
    for scale in (0.0, 1e-6, 1.0):
        estimate = (scale * mixture).requires_grad_()
        value = negative_noise_snr(estimate, torch.zeros(2, 300), mixture)
        value.sum().backward()
        assert value.isfinite().all() and estimate.grad.isfinite().all() and (value >= -30.001).all()
        if not scale:
            assert value[0].item() == pytest.approx(-30, abs=1e-3) and (estimate.grad == 0).all()


@pytest.mark.parametrize("share", [1.0, 0.3])
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_loss_is_finite_and_reaches_every_parameter(level, share):
    model = make(noise=True, objectives={"deep_clustering": 1.0, "si_snr": {"weight": 0.1, "share": share}})
    for head in (model.decoder.output, model.decoder.noise.output):
        torch.nn.init.normal_(head.weight, std=0.1)
    mixture, sources = noises(3, 3, 700)
    sources[1, 2], sources[2, 1:] = 0, 0  # of two talkers, and of one
    noise = level * 0.05 * torch.randn(3, 700, generator=torch.Generator().manual_seed(2))
    loss, stats, _ = model(sources.sum(1) + noise, torch.full((3,), 700), sources, torch.tensor([3, 2, 1]))
    loss.backward()
    assert loss.isfinite() and {"si_snr", "noise_snr"} < set(stats) and stats["noise_snr"] <= 30
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0 or "bias" in name, name


def test_the_mean_over_outputs():
    """Talkers of mixtures count one each, the noise of every recording as its weight says."""
    mixture, sources, noise = tones(3, 640, 0)
    sources[2, 1] = 0
    mixture = sources.sum(1) + noise
    values = {}
    for weight in (0.0, 0.5, 1.0):
        objectives = {"deep_clustering": 1.0, "si_snr": {"weight": 0.1, "noise_weight": weight}}
        model = make(noise=True, objectives=objectives, centroids={"dominance": 1.0}).eval()
        stats = model(mixture, torch.full((3,), 640), sources, torch.tensor([2, 2, 1]))[1]
        values[weight] = stats["loss"] - stats["deep_clustering"]
        expected = -(4 * stats["si_snr"] + 3 * weight * stats["noise_snr"]) / (4 + 3 * weight)
        assert values[weight].item() == pytest.approx(0.1 * expected.item(), abs=1e-5)
    # nothing is found yet, so the error is the noise
    share = noise.square().sum(1) / mixture.square().sum(1)
    assert stats["noise_snr"].item() == pytest.approx(-(10 * torch.log10(share + 1e-3)).mean().item(), abs=1e-3)


def test_batches_of_single_speakers_and_of_silence():
    model = make(noise=True)
    mixture, sources, noise = tones(2, 640, 0)
    one = sources[:, :1]
    ones, speakers = torch.tensor([1, 1]), torch.tensor([[0], [1]])
    loss, stats, _ = model(one.sum(1) + noise, torch.full((2,), 640), one, ones, speakers)
    loss.backward()
    assert stats["si_snr"] == 0 and stats["noise_snr"] > 0 and model.decoder.noise.output.weight.grad.abs().sum() > 0
    silent = torch.zeros(2, 2, 640)
    loss, stats, _ = model(silent.sum(1), torch.full((2,), 640), silent, torch.tensor([2, 2]))
    loss.backward()
    assert stats["si_snr"] == stats["noise_snr"] == 0 and loss.isfinite()


# ------------------------------------------------------------ nodes that noise dominates


def step_of(model, mixture, sources, counts=None):
    share = Share.of(len(mixture), mixture.shape[1], sources.shape[1], 0, mixture.device)
    return labelled_step(model, mixture, torch.full((len(mixture),), mixture.shape[1]), sources, counts, None, share)


def test_nodes_of_noise_are_nobodys():
    mixture, sources, noise = tones(2, 640, 0)
    nodes, silent = step_of(make(noise=True), mixture, sources).nodes, step_of(make(), sources.sum(1), sources).nodes
    power = stft(sources, FEATURES).abs().square().flatten(2)
    over = stft(noise, FEATURES).abs().square().flatten(1) / power.amax(1)
    loud = make().nodes_of(stft(mixture, FEATURES), torch.full((2,), num_frames(640, FEATURES)))[1]
    assert torch.equal(nodes.valid, loud & (over <= 1)) and (loud & (over > 1)).any()
    # by option at another level, and without an output for noise too
    for options in ({"noise_db": 6.0}, {"noise": True, "noise_db": 6.0}):
        assert torch.equal(step_of(make(**options), mixture, sources).nodes.valid, loud & (over <= 10**0.6))
    # nothing changes for mixtures of their sources alone, and without the option
    clean = step_of(make(noise=True), sources.sum(1), sources).nodes
    assert torch.equal(clean.valid, silent.valid) and torch.equal(clean.weight, silent.weight)
    plain = step_of(make(), mixture, sources).nodes.valid
    assert torch.equal(plain, loud & (stft(mixture, FEATURES).abs().square().flatten(1) <= 4 * power.sum(1)))


def test_nodes_of_noise_beside_single_speakers():
    mixture, sources, noise = tones(2, 640, 0)
    one = sources[:, :1]
    known = step_of(make(noise=True), one.sum(1) + noise, one, torch.tensor([1, 1]))
    assert isinstance(known.sources, Sources) and (known.nodes.valid.sum(1) > 0).all()
    assert known.nodes.valid.sum() < step_of(make(), one.sum(1) + noise, one, torch.tensor([1, 1])).nodes.valid.sum()


# ------------------------------------------------------------ learning


def decoded(model, mixture, sources):
    """Outputs whose centroids are those of the true dominance, and what they leave."""
    with torch.no_grad():
        nodes, seen = model.analyse(mixture)
        assign = torch.nn.functional.one_hot(model.granularity.targets(sources), 2).float()
        outputs = model.decode(seen, centroids_of(nodes.z, assign, nodes.weight * nodes.valid), mixture.shape[1])
    return outputs, mixture - outputs.sum(1)


def test_noise_does_not_land_in_talkers():
    mixture, sources, noise = tones(8, 640, 10**6)
    scores = {}
    for name in (False, True):
        model = train(make(noise=name, centroids={"dominance": 1.0}))
        outputs, found = decoded(model, mixture, sources)
        scores[name] = -si_snr_loss(outputs, sources).item()
    # in tries 7.5 and 12.5 dB: without it outputs add up to the mixture, noise and all
    assert scores[True] > scores[False] + 2
    assert torch.nn.functional.cosine_similarity(found, noise, dim=1).min() > 0.75
    # what is heard without noise stays the talkers'
    clean = sources.sum(1)
    assert decoded(model, clean, sources)[1].norm() < 0.3 * clean.norm()
