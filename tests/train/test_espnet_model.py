"""The ESPnet model: losses, node sets, padding, determinism, learning."""

import itertools
import math

import pytest
import torch

from contrasep_lib.config import build
from contrasep_lib.models.options import ModelOptions
from contrasep_lib.models.separation import SeparationModel
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.nodes.stft import num_frames
from contrasep_lib.objectives.ranks import Share
from contrasep_lib.train.espnet_model import EspnetModel
from contrasep_lib.train.step import labelled_step

FEATURES = FeatureOptions(64, 16)
ALL = {"deep_clustering": 1.0, "supcon": 0.5, "nt_xent": 0.5}
KINDS = [("frame", "encoder"), ("frame", "conv"), ("tf", "blstm"), ("tf", "conv"), ("tf", "dual_path")]


def make(**values):
    """A small model; ``backbone`` is a name, ``objectives`` are weights."""
    torch.manual_seed(0)
    backbone = {"name": values.pop("backbone", "blstm"), "layers": 2, "width": values.pop("width", 8)}
    objectives = {
        name: {"weight": weight, **({"sampled_nodes": 48} if name in ("supcon", "nt_xent") else {})}
        for name, weight in values.pop("objectives", ALL).items()
    }
    tree = {"backbone": backbone, "objectives": objectives, "embedding_dim": 6, **values}
    return EspnetModel(build(ModelOptions, tree, "model"), FEATURES)


def speakers(batch=3, most=2, samples=900, strangers=False):
    """Mixtures of bands of noise that take turns and overlap: each speaker has a band of its own.

    The speakers are the same in all mixtures, or with ``strangers`` all different.
    """
    generator = torch.Generator().manual_seed(0)
    number = batch * most if strangers else most
    speaker = torch.arange(number).view(-1, most).expand(batch, -1)
    noise = torch.randn(batch, most, samples + 16, generator=generator) * 0.1
    tone = torch.cos((speaker.unsqueeze(-1) + 0.5) * math.pi / number * torch.arange(17))
    filters = (tone * torch.hann_window(17)).view(-1, 1, 17)
    sources = torch.nn.functional.conv1d(noise.view(1, -1, samples + 16), filters, groups=batch * most)
    gate = (torch.rand(batch, most, samples // 100 + 1, generator=generator) > 0.4).float()
    sources = sources.view(batch, most, -1) * gate.repeat_interleave(100, dim=-1)[..., :samples]
    return sources.sum(1), torch.full((batch,), samples), sources, torch.full((batch,), most), speaker


@pytest.mark.parametrize("granularity, backbone", KINDS)
@pytest.mark.parametrize("labels", ["dominance", "none"])
def test_loss_is_finite_and_reaches_every_parameter(granularity, backbone, labels):
    for negatives, projection, most in (("utterance", 0, 2), ("batch", 5, 3), ("utterance", 5, 1)):
        model = make(
            granularity=granularity,
            backbone=backbone,
            labels=labels,
            negatives=negatives,
            projection=projection,
        )
        mixture, lengths, sources, num_spk, speaker = speakers(most=most)
        lengths = lengths - torch.tensor([0, 300, 77])
        loss, stats, weight = model(mixture, lengths, sources, num_spk, speaker)
        loss.backward()
        assert loss.isfinite() and weight == 3
        assert set(stats) == {"loss", "within", "between", *ALL}
        total = sum(ALL[name] * stats[name] for name in ALL)
        assert torch.allclose(stats["loss"], total) and not stats["loss"].requires_grad
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().sum() > 0 or backbone != "blstm", name


@pytest.mark.parametrize("granularity, backbone", KINDS)
def test_node_sets(granularity, backbone):
    model = make(granularity=granularity, backbone=backbone).eval()
    mixture, lengths, *_ = speakers()
    lengths = torch.tensor([900, 480, 700])
    nodes = model.embed(mixture, lengths)
    frames = num_frames(900, FEATURES)
    assert nodes.shape == ((frames,) if granularity == "frame" else (frames, 33))
    nodes.require_unit_norm()
    inside = torch.arange(frames) < num_frames(lengths, FEATURES).unsqueeze(1)
    per_frame = nodes.z.shape[1] // frames
    assert nodes.valid.any(1).all() and not (nodes.valid & ~inside.repeat_interleave(per_frame, 1)).any()
    mean = (nodes.weight * nodes.valid).sum(1) / nodes.valid.sum(1)
    assert torch.allclose(mean, torch.ones(3)) and (nodes.weight[~nodes.valid] == 0).all()
    for row in range(3):  # alone, and at another gain
        alone = model.embed(0.1 * mixture[row : row + 1, : lengths[row]])
        count = alone.z.shape[1]
        assert torch.equal(alone.valid[0], nodes.valid[row, :count])
        assert torch.allclose(alone.z[0], nodes.z[row, :count], atol=2e-3)
        assert torch.allclose(alone.weight[0], nodes.weight[row, :count], atol=1e-3)
    assert make(node_weight="uniform").embed(mixture).weight.unique().tolist() == [0, 1]


def test_silence_is_finite():
    for kind, labels in itertools.product(KINDS, ("dominance", "none")):
        model = make(granularity=kind[0], backbone=kind[1], labels=labels)
        mixture, lengths, sources, num_spk, speaker = speakers(batch=2)
        for which in (slice(0, 1), slice(0, 2)):
            quiet, silent = mixture.clone(), sources.clone()
            quiet[which] = silent[which] = 0
            loss = model(quiet, lengths, silent, num_spk, speaker)[0]
            loss.backward()
            assert loss.isfinite() and all(p.grad.isfinite().all() for p in model.parameters())
        assert loss == 0
        nodes = model.eval().embed(quiet)
        assert not nodes.valid.any() and nodes.z.isfinite().all()
    assert model.embed(torch.zeros(1, 1)).z.shape[1] > 0


def test_order_of_sources_padding_and_absent_ones_do_not_matter():
    model = make().eval()
    mixture, lengths, sources, num_spk, speaker = speakers()
    value = model(mixture, lengths, sources, num_spk, speaker)[0]
    assert torch.allclose(model(mixture, lengths, sources.flip(1), num_spk, speaker.flip(1))[0], value)
    junk = torch.nn.functional.pad(sources, (0, 160, 0, 2), value=9.0)
    absent = torch.nn.functional.pad(speaker, (0, 2), value=-1)
    padded = torch.nn.functional.pad(mixture, (0, 160), value=5.0)
    assert torch.allclose(model(mixture, lengths, junk[..., :900], num_spk, absent)[0], value)
    only = make(objectives={"deep_clustering": 1.0}).eval()  # more nodes, other draws: so the one that draws none
    value = only(mixture, lengths, sources, num_spk, speaker)[0]
    assert torch.allclose(only(padded, lengths, junk, num_spk, absent)[0], value)


def test_pretraining_knows_speakers_by_their_ids():
    model = make(objectives={"deep_clustering": 1.0})
    mixture, lengths, sources, num_spk, _ = speakers(batch=4, most=1)

    def loss(*speaker):
        return model(mixture, lengths, sources, num_spk, torch.tensor(speaker).view(4, 1))[0]

    assert torch.allclose(loss(0, 0, 1, 1), loss(7, 7, 3, 3))
    assert not torch.allclose(loss(0, 0, 1, 1), loss(0, 1, 2, 3))
    assert torch.allclose(loss(-1, -1, -1, -1), loss(0, 1, 2, 3))  # unknown ones are all different
    assert torch.allclose(model(mixture, lengths, sources)[0], loss(0, 1, 2, 3))


def test_a_phase_learns_by_its_own_objectives():
    tree = {
        "backbone": {"name": "dual_path", "layers": 1, "width": 8}, "embedding_dim": 6, "decoder": "attractor",
        "objectives": {"deep_clustering": 1.0, "si_snr": 0.1}, "pretrain_objectives": {"supcon": 1.0},
    }
    options = build(ModelOptions, tree, "model")
    batches = {"pretrain": speakers(batch=4, most=1, strangers=True), "finetune": speakers()}
    for phase, learned in (("pretrain", {"supcon"}), ("finetune", {"deep_clustering", "si_snr"})):
        model = EspnetModel(options, FEATURES, phase=phase)
        loss, stats, _ = model(*batches[phase])
        assert stats.keys() & {"supcon", "deep_clustering", "si_snr"} == learned
        loss.backward()
        # the decoder waits for the phase that teaches it
        taught = any(weight.grad is not None and weight.grad.any() for weight in model.decoder.parameters())
        assert taught == (phase == "finetune")


def test_without_labels_sources_are_never_read():
    model = make(labels="none").eval()
    mixture, lengths, sources, num_spk, speaker = speakers()
    value = model(mixture, lengths)[0]
    assert torch.equal(
        model(mixture, lengths, torch.full_like(sources, torch.nan), num_spk, speaker * 0)[0], value
    )
    assert model(mixture[:1], lengths[:1])[0].isfinite()  # a recording alone in its batch
    with pytest.raises(ValueError, match="sources: expected with 'labels: dominance'"):
        make()(mixture, lengths)


def test_same_seed_same_loss():
    batch = speakers()
    for labels in ("dominance", "none"):
        model = make(labels=labels)
        losses = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            losses.append(model(*batch)[0])
        assert losses[0] == losses[1] and losses[0] != losses[2]
        model.eval()
        assert model(*batch)[0] == model(*batch)[0]


def test_features_for_statistics():
    mixture, lengths, *_ = speakers()
    feats = make().collect_feats(mixture, lengths - 100)
    assert feats["feats"].shape == (3, num_frames(900, FEATURES), 33)
    assert feats["feats_lengths"].tolist() == [num_frames(800, FEATURES)] * 3


def test_checkpoint_holds_the_normalisation(rng):
    from contrasep_lib.nodes.spectra import log_spectrum, statistics

    stats = statistics(log_spectrum(rng.standard_normal(4000), FEATURES))
    options = ModelOptions()
    trained, fresh = (SeparationModel(options, FEATURES, given) for given in (stats, None))
    fresh.load_state_dict(trained.state_dict())
    mixture, *_ = speakers()
    assert torch.equal(trained.embed(mixture).z, fresh.embed(mixture).z)


@pytest.mark.parametrize(
    "values",
    [
        {"backbone": "blstm", "objectives": {"deep_clustering": 1.0}},
        {"backbone": "conv", "objectives": {"supcon": 1.0}},
        {"backbone": "dual_path", "objectives": ALL, "projection": 8},
        {"backbone": "encoder", "granularity": "frame", "objectives": {"nt_xent": 1.0}},
        {"backbone": "blstm", "labels": "none", "objectives": {"nt_xent": 1.0}},
        {"backbone": "blstm", "labels": "none", "objectives": {"deep_clustering": 1.0}},
    ],
    ids=str,
)
def test_a_few_steps_separate_two_speakers(values):
    model = make(width=16, **values)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    batch = speakers(batch=4, strangers=model.options.labels == "none")
    history = []
    for step in range(30):
        torch.manual_seed(step)
        loss, stats, _ = model(*batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        history.append((loss.item(), (stats["within"] - stats["between"]).item()))
    first, last = history[0], torch.tensor(history[-5:]).mean(0)
    print(values, history[0], last)
    assert last[0] < first[0] - 0.05 * abs(first[0])
    assert last[1] > first[1] + 0.1


def test_mixed_precision_trains():
    # not every processor has a recurrence in half precision
    model = make(projection=4, backbone="conv")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, *_ = model(*speakers())
        nodes = model.embed(speakers()[0])
    loss.backward()
    assert loss.dtype == torch.float32 and nodes.z.dtype == torch.float32
    nodes.require_unit_norm()


def test_nodes_of_noise_alone_belong_to_nobody():
    mixture, lengths, sources, num_spk, _ = speakers(samples=1600)
    sources[..., :800] = 0
    noise = 0.3 * torch.randn(3, 1600, generator=torch.Generator().manual_seed(1)) * sources.std()
    model, sums = make(backbone="conv").eval(), sources.sum(1)
    for signal, clean in ((sums, True), (sums + noise, False)):
        valid = model.embed(signal).valid.unflatten(1, (-1, 33))
        step = labelled_step(model, signal, lengths, sources, num_spk, None, Share.of(3, 1600, 2, 0, signal.device))
        labelled = step.nodes.valid.unflatten(1, (-1, 33))
        silent, heard = slice(0, 48), slice(56, None)
        assert labelled[:, heard].sum() >= 0.5 * valid[:, heard].sum()
        assert labelled[:, silent].sum() == 0 and clean == (valid[:, silent].sum() == 0)
        assert not clean or torch.equal(labelled, valid)


@pytest.mark.parametrize("objective", ALL)
@pytest.mark.parametrize("negatives", ["utterance", "batch"])
def test_each_objective_alone_teaches_the_backbone(objective, negatives):
    model = make(objectives={objective: 1.0}, negatives=negatives, projection=5)
    model(*speakers())[0].backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.backbone.parameters())


def test_a_model_of_the_trained_weights_needs_no_espnet():
    model = make(projection=5)
    plain = SeparationModel(model.options, FEATURES)
    plain.load_state_dict(model.state_dict())
    mixture, *_ = speakers()
    assert torch.equal(plain.embed(mixture).z, model.embed(mixture).z)


@pytest.mark.parametrize("negatives, projection", [("utterance", 0), ("batch", 5)])
def test_objectives_of_partitions_teach_the_embedding_and_their_slots(negatives, projection):
    objectives = {"slots": 1.0, "gap": 0.5}
    model = make(objectives=objectives, negatives=negatives, projection=projection)
    loss, stats, _ = model(*speakers(most=3))
    loss.backward()
    assert loss.isfinite() and {"slots", "slots_dominance", "slots_quality", "gap", "gap_wrong"} < set(stats)
    assert torch.allclose(stats["loss"], stats["slots"] + 0.5 * stats["gap"])
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    # single speakers have no partition to learn from, and the batch still goes backward
    loss, stats, _ = model(*speakers(most=1))
    loss.backward()
    assert loss.item() == 0 == stats["slots"].item()
