"""Peers of tools/bench/peers: ESPnet's separators trained, separated and scored as our models."""

import dataclasses
import importlib
import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from contrasep_lib.config import load_config
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.dumpset import DumpSet, SeparatedSet
from contrasep_lib.models.checkpoint import read_states, write_states
from contrasep_lib.nodes.granularity import TimeFrequency
from contrasep_lib.report.results import read_results, read_system

ROOT = Path(__file__).resolve().parents[2]
SPECTRAL = {"features": {"win": 64, "hop": 32}, "separator": {"layer": 1, "unit": 8, "emb_D": 4}}
TINY = {
    "dpcl": SPECTRAL,
    "dan": SPECTRAL,
    "tcn": {
        "encoder": {"channel": 16, "kernel_size": 20, "stride": 10},
        "separator": {"layer": 3, "stack": 1, "bottleneck_dim": 8, "hidden_dim": 16},
    },
    "tfgridnetv2": {
        "separator": {
            "n_fft": 64,
            "stride": 32,
            "n_layers": 1,
            "lstm_hidden_units": 8,
            "attn_n_head": 2,
            "attn_approx_qk_dim": 32,
            "emb_dim": 8,
            "emb_ks": 4,
            "emb_hs": 4,
        },
    },
}
TREE = {
    "features": {"win": 64, "hop": 32},
    "score": {"plots": 1},
    "finetune": {
        "num_spk": [2], "segment_seconds": 0.2, "batch_size": 4, "batches_per_epoch": 3, "epochs": 2, "ema_decay": 0.9,
        "num_workers": 0, "speed": [0.9, 1.0], "probe": 2, "best": "si_snri", "best_mode": "max",
        "scheduler": "warmuplr", "scheduler_conf": {"warmup_steps": 3},
    },
}


@pytest.fixture(scope="module")
def peers():
    """Modules by name: ``peers('systems')``."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    sys.path.insert(0, str(ROOT / "tools" / "bench"))
    yield lambda name: importlib.import_module(f"peers.{name}")
    sys.path.remove(str(ROOT / "tools" / "bench"))
    torch.set_num_threads(threads)


@pytest.fixture
def tiny(peers):
    """A fresh peer: ``tiny('tcn', 3)``."""

    def make(system, num_spk=2):
        torch.manual_seed(0)
        options = peers("options").PeerOptions(system, "small", num_spk, TINY[system])
        return peers("systems").build_peer(options)

    return make


@pytest.fixture
def small(peers, monkeypatch):
    """Size ``small`` is that of `TINY`."""
    for system, arguments in TINY.items():
        monkeypatch.setitem(peers("options").SYSTEMS[system].sizes, "small", arguments)


@pytest.fixture
def settings(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(TREE))
    return path


def batch_of(num_spk, samples=1600, lengths=(1600, 1200, 1500)):
    """``(mixture, lengths, sources)`` of noises of different colour; noise behind the ends too."""
    rng = np.random.default_rng(num_spk)
    sources = rng.standard_normal((len(lengths), num_spk, samples)) * rng.uniform(0.05, 0.2, (len(lengths), num_spk, 1))
    for k in range(num_spk):
        sources[:, k] *= np.sin(np.arange(samples) * (k + 1) / 100) ** 2
    sources = torch.tensor(sources, dtype=torch.float32)
    return sources.sum(1), torch.tensor(lengths), sources


@pytest.mark.parametrize("num_spk", (1, 2, 3))
@pytest.mark.parametrize("system", TINY)
def test_losses_and_outputs_of_any_number_of_talkers(tiny, system, num_spk):
    model, (mixture, lengths, sources) = tiny(system, num_spk), batch_of(num_spk)
    loss, stats, weight = model(mixture, lengths, sources)
    loss.backward()
    assert loss.shape == () and torch.isfinite(loss) and weight == 3 and stats["loss"] == loss
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())
    for samples in (1600, 1237, 300):
        outputs = model.eval().separate(mixture[:1, :samples])
        assert outputs.shape == (1, num_spk, samples) and torch.isfinite(outputs).all()
    with pytest.raises(ValueError, match=f"expected {num_spk} talkers"):
        model(mixture, lengths, sources.repeat(1, 2, 1))


@pytest.mark.parametrize("system", TINY)
def test_what_lies_behind_the_ends_and_the_order_of_a_batch_do_not_count(tiny, system):
    model, (mixture, lengths, sources) = tiny(system).eval(), batch_of(2)
    expected = model(mixture, lengths, sources)[0].item()
    inside = torch.arange(1600) < lengths.unsqueeze(1)
    cut = torch.where(inside, mixture, 3.0), torch.where(inside.unsqueeze(1), sources, -1.0)
    assert model(cut[0], lengths, cut[1])[0].item() == pytest.approx(expected, rel=1e-4, abs=1e-5)
    order = torch.tensor([1, 2, 0])
    assert model(mixture[order], lengths[order], sources[order])[0].item() == pytest.approx(
        expected, rel=1e-4, abs=1e-5
    )


@pytest.mark.parametrize("system", TINY)
def test_mixed_precision_is_near_full_precision(tiny, system):
    model, batch = tiny(system), batch_of(2)
    full = model(*batch)[0]
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model(*batch)[0]
    assert mixed.dtype == torch.float32 and mixed.item() == pytest.approx(full.item(), rel=0.03, abs=0.02)
    assert mixed.item() != full.item() and not model.mixed


@pytest.mark.parametrize("system", TINY)
def test_steps_on_one_batch_lower_its_loss(tiny, system):
    model, batch = tiny(system), batch_of(2)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = model(*batch)[0]
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[1] < losses[0] and losses[-1] < losses[1]


def si_snr(estimate, source):
    """By its definition, dB."""
    estimate, source = estimate - estimate.mean(), source - source.mean()
    target = (estimate @ source) / (source @ source) * source
    return 10 * np.log10((target @ target) / ((estimate - target) @ (estimate - target)))


@pytest.mark.parametrize("num_spk", (1, 2, 3, 4))
def test_permutations_against_brute_force(peers, num_spk):
    loss = peers("losses").pit_si_snr_loss
    _, lengths, sources = batch_of(num_spk)
    estimates = sources.flip(1) + 0.5 * torch.randn(sources.shape, generator=torch.Generator().manual_seed(0)) * 0.1
    best = []
    for made, true, length in zip(estimates.double().numpy(), sources.double().numpy(), lengths):
        best.append(max(
            np.mean([si_snr(made[order[k], :length], true[k, :length]) for k in range(num_spk)])
            for order in itertools.permutations(range(num_spk))
        ))
    found = loss(estimates, sources, lengths)
    # the soft ceiling of 30 dB takes a little off
    assert -found.item() == pytest.approx(np.mean(best), abs=0.15)
    for order in itertools.permutations(range(num_spk)):
        assert loss(estimates[:, list(order)], sources, lengths).item() == pytest.approx(found.item(), abs=1e-4)
    with pytest.raises(ValueError, match="one shape"):
        loss(estimates[:, :, :10], sources, lengths)


def test_a_silent_source_counts_for_nothing(peers):
    loss = peers("losses").pit_si_snr_loss
    _, lengths, sources = batch_of(2)
    silent = sources.clone()
    silent[0, 1] = 0
    estimates = sources + 0.05 * torch.randn(sources.shape, generator=torch.Generator().manual_seed(0))
    alone = [loss(estimates[b : b + 1, k : k + 1], sources[b : b + 1, k : k + 1], lengths[b : b + 1]).item()
             for b, k in ((0, 0), (1, 0), (1, 1), (2, 0), (2, 1))]
    assert loss(estimates, silent, lengths).item() == pytest.approx(np.mean(alone), abs=1e-4)


def test_layers_that_are_not_packed_are_the_same(tiny):
    layers = tiny("dpcl").separator.blstm
    feature, lengths = torch.randn(3, 20, 33), torch.full((3,), 20)
    for this, that in zip(layers(feature, lengths)[:2], layers.rnn(feature, lengths)[:2]):
        torch.testing.assert_close(this, that)


class Fixed(torch.nn.Module):
    """In place of a network: what it embeds is known."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, feature):
        return self.value


@pytest.mark.parametrize("system", ("dpcl", "dan"))
def test_separation_is_espnets_where_its_clustering_succeeds(tiny, system):
    model, (mixture, _, _) = tiny(system).eval(), batch_of(2)
    # ESPnet leaves no unit out
    model.granularity = TimeFrequency(dataclasses.replace(model.features, silence_db=300.0))
    nodes = model.granularity.nodes(mixture[:1])
    count = nodes.power.shape[1]
    centres = torch.tensor([[0.9, 0.1, 0.3, 0.0], [0.1, 0.8, -0.4, 0.2]])
    # its clustering starts from the first two units
    which = torch.arange(count) % 7 % 2
    z = centres[which] + 0.05 * torch.randn(count, 4, generator=torch.Generator().manual_seed(0))
    separator = model.separator
    separator.blstm.forward = lambda feature, lengths: (feature, lengths, None)
    separator.linear, separator.nonlinear = Fixed(z.view(1, nodes.shape[0], -1)), torch.nn.Identity()
    masked, _, _ = separator(nodes.spectrum, torch.tensor([nodes.shape[0]]))
    from contrasep_lib.nodes.stft import istft

    theirs = torch.stack([istft(part, 1600, model.features)[0] for part in masked])
    ours = model.separate(mixture[:1])[0]
    if (ours[0] - theirs[0]).abs().max() > (ours[0] - theirs[1]).abs().max():
        theirs = theirs.flip(0)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


@pytest.fixture
def trained(peers, settings, single_dump, tmp_path):
    """Train: ``trained('a', 'tcn', epochs=2)`` returns the folder."""

    def make(name, system="tcn", num_spk=2, **changes):
        overrides = [f"finetune.{key}={value}" for key, value in changes.items()]
        config = load_config(settings, [f"finetune.num_spk=[{num_spk}]", *overrides])
        options = peers("options").PeerOptions(system, "small", num_spk, TINY[system])
        training = peers("training")
        args = training.arguments_of(options, config, [single_dump], [single_dump], tmp_path / name)
        return training.train_peer(args).parent

    return make


@pytest.mark.parametrize("system", ("dan", "tfgridnetv2"))
def test_resumed_training_ends_as_undisturbed_training(trained, system):
    whole, parts = trained("whole", system), None
    for epochs in (1, 2):
        parts = trained("parts", system, epochs=epochs)
    this, that = (read_states(folder / "model.pth")["state"] for folder in (whole, parts))
    assert this.keys() == that.keys() and all(torch.equal(this[name], that[name]) for name in this)
    curves = [json.loads((folder / "curve.json").read_text()) for folder in (whole, parts)]
    for one, other in zip(*curves, strict=True):
        assert {**one, "minutes": 0} == {**other, "minutes": 0}
    assert [point["steps"] for point in curves[0]] == [3, 6] and curves[0][1]["minutes"] >= curves[0][0]["minutes"]
    assert all(np.isfinite(point["valid_si_snri"]) for point in curves[0])


def test_a_checkpoint_of_another_peer_is_refused(trained):
    trained("one", "tcn", epochs=1)
    with pytest.raises(ContrasepError, match="another configuration .*peer"):
        trained("one", "dpcl", epochs=1)


def test_peers_hear_the_mixtures_of_our_models(peers, settings, single_dump, tmp_path):
    from contrasep_lib.train import task

    config = load_config(settings)
    options = peers("options").PeerOptions("tcn", "small", 2, TINY["tcn"])
    theirs = peers("training").arguments_of(options, config, [single_dump], [single_dump], tmp_path / "a")
    ours = task.build_arguments(config, "finetune", [single_dump], [single_dump], tmp_path / "b")
    for key in ((1, 0), (1, 5), (2, 3)):
        this, that = (task.Parts(args).dataset(True)[key] for args in (theirs, ours))
        assert this["utt_id"] == that["utt_id"] and np.array_equal(this["sources"], that["sources"])
    assert theirs.optim == ours.optim and theirs.scheduler_conf == ours.scheduler_conf
    with pytest.raises(ContrasepError, match="finetune.num_spk: a peer of 3 talkers"):
        three = peers("options").PeerOptions("tcn", "small", 3, TINY["tcn"])
        peers("training").arguments_of(three, config, [single_dump], [single_dump], tmp_path / "a")


@pytest.mark.parametrize("system", ("tcn", "dpcl"))
def test_from_training_to_the_recipes_page(
    peers, small, settings, single_dump, mixture_dumps, tmp_path, monkeypatch, capsys, system
):
    monkeypatch.chdir(tmp_path)
    main, exp, tests = peers("run").main, tmp_path / "exp" / f"peer_{system}", mixture_dumps[2]
    assert main([
        "train", "--config", str(settings), "--system", system, "--dump", str(single_dump.parent), "--train-set",
        "tr_single", "--valid-set", "tr_single", "--out", str(exp), "--set", "finetune.epochs=1", "--threads", "1",
        "--learning-rate", "0.002",
    ]) == 0
    results = ["results", "--config", str(settings), "--exp", str(exp), "--label", "tones"]
    assert main([*results, "--sets", str(tests)]) == 0
    found = read_results(exp / "results.json")
    title = peers("options").SYSTEMS[system].title
    assert found["separator"] == f"{title}, small" and found["supervision"].startswith("sources in training")
    assert found["options"]["system"]["train"]["learning_rate"] == 0.002
    means = found["sets"][tests.name]
    assert means["n"] == 7 and means["count_accuracy"] is None and means["si_snri"] is not None
    page = (tmp_path / "exp" / "RESULTS.md").read_text()
    row = next(line for line in page.splitlines() if line.startswith(f"| peer_{system} "))
    size = f"{found['system']['parameters'] / 1e6:.2f} million parameters"
    assert title in row and size in row and "minutes on" in row and row.endswith("| given |")
    (cost,) = (line for line in page.partition("## Systems")[2].splitlines() if line.startswith(f"| peer_{system} "))
    assert size.split()[0] in cost and float(cost.split("|")[4]) > 0

    separated = SeparatedSet(exp / f"separate_{tests.name}")
    dump = DumpSet(tests)
    assert separated.keys == dump.keys
    for key in dump.keys:
        outputs = separated.outputs(key)
        assert outputs.shape == (2, len(dump.mixture(key)))
        if system == "dpcl":
            # masks of one unit add up to one
            np.testing.assert_allclose(outputs.sum(0), dump.mixture(key), atol=1e-4)

    capsys.readouterr()
    assert main([*results, "--sets", str(mixture_dumps[3])]) == 1
    assert "gives 2 outputs, the mixtures of" in capsys.readouterr().err
    assert main(["rtf", "--config", str(settings), "--peers", str(exp), "--dump", str(tests), "--utterances", "2"]) == 0
    assert float(capsys.readouterr().out.split("|")[-2]) > 0


def test_files_that_are_no_peers_are_reported(peers, trained, tmp_path):
    load = peers("training").load_peer
    with pytest.raises(ContrasepError, match="no such checkpoint"):
        load(tmp_path / "nothing.pth")
    write_states(tmp_path / "other.pth", {"format": "contrasep model"})
    with pytest.raises(ContrasepError, match="not a peer"):
        load(tmp_path / "other.pth")
    content = read_states(trained("one", "tcn", epochs=1) / "model.pth")
    content["state"].popitem()
    write_states(tmp_path / "short.pth", content)
    with pytest.raises(ContrasepError, match="another version"):
        load(tmp_path / "short.pth")


def test_what_a_system_says_of_itself_is_checked(tmp_path):
    path = tmp_path / "system.json"
    with pytest.raises(ContrasepError, match="not there"):
        read_system(path)
    path.write_text("{")
    with pytest.raises(ContrasepError, match="cannot be read"):
        read_system(path)
    said = {
        "separator": "other",
        "granularity": None,
        "supervision": "none",
        "parameters": 3,
        "minutes": 1.5,
        "device": "CPU",
        "options": {},
    }
    path.write_text(json.dumps(said))
    assert read_system(path) == said
    for key in said:
        path.write_text(json.dumps({**said, key: [1]}))
        with pytest.raises(ContrasepError, match=f"key '{key}'"):
            read_system(path)


def test_sizes_are_of_the_order_that_they_promise(peers):
    options, systems, sizes = peers("options"), peers("systems"), peers("sizes")
    for system in options.SYSTEMS:
        small = systems.parameters(systems.build_peer(options.PeerOptions.of(system, "small", 2)))
        assert 0.5e6 <= small <= 1e6
    # a product of (1000, 4) with (4, 8) for every two seconds of audio
    weight = torch.randn(4, 8)
    assert sizes.compute(lambda mixture: mixture[:, :4000].view(1000, 4) @ weight) == pytest.approx(0.016)
