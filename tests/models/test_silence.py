"""Silence before, behind or between changes neither embeddings nor count nor outputs, of small and shipped models."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from contrasep_lib.config import build
from contrasep_lib.decode.attractor import centroids_of
from contrasep_lib.models.options import ModelOptions
from contrasep_lib.models.separation import SeparationModel
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.score.ratios import improvements
from contrasep_lib.separate.shipped import load_separator
from contrasep_lib.train.espnet_model import EspnetModel

FEATURES = FeatureOptions(64, 16)
DUAL_PATH = {"name": "dual_path", "layers": 2, "width": 8, "band": 8}
BACKBONES = {
    "rnn": DUAL_PATH,
    "attention": {**DUAL_PATH, "path": "attention", "heads": 2},
    "iterated": {**DUAL_PATH, "name": "iterated", "layers": 1, "passes": 2},
    "blstm": {"name": "blstm", "layers": 1, "width": 8},
    "conv": {"name": "conv", "layers": 2, "width": 8},
    "encoder": {"name": "encoder", "layers": 2, "width": 8},
}
OBJECTIVES = {"deep_clustering": 1.0, "si_snr": 0.1, "count": 0.2}
LIBRISPEECH = Path(__file__).resolve().parents[3] / "shared" / "corpora" / "LibriSpeech"
# silence before and behind, hops of 16 samples
AROUND = [(500, 0), (0, 500), (300, 2000), (25, 25)]


def make(backbone="rnn", kind=SeparationModel, **values):
    torch.manual_seed(0)
    tree = {
        "backbone": BACKBONES[backbone], "embedding_dim": 6, "counter": "classifier", "objectives": OBJECTIVES,
        "decoder": {"name": "attractor", "width": 8, "band": 8}, **values,
    }
    model = kind(build(ModelOptions, tree, "model"), FEATURES).eval()
    if model.decoder is not None:
        torch.nn.init.normal_(model.decoder.output.weight, std=0.3)
    return model


def sounds(count=2, samples=1600):
    """Sources that are loud at once and to their ends, ``(1, count, samples)``, with a short pause of all."""
    sources = 0.1 * torch.randn(1, count, samples, generator=torch.Generator().manual_seed(1))
    sources[:, :, 640:800] = 0
    return sources * (0.2 + (torch.arange(samples) // 200 % count == torch.arange(count)[:, None]))


def padded(x, before, behind):
    return torch.nn.functional.pad(x, (16 * before, 16 * behind))


def found(model, sources):
    """Embeddings and weights of valid nodes, chances of counts, outputs."""
    with torch.no_grad():
        nodes, seen = model.analyse(sources.sum(1))
        valid = nodes.valid[0]
        values = [nodes.z[0, valid], nodes.weight[0, valid], model.count(nodes, seen)[0]]
        if model.decoder is not None:
            assign = torch.nn.functional.one_hot(model.granularity.targets(sources), sources.shape[1]).float()
            centroids = centroids_of(nodes.z, assign, nodes.weight * nodes.valid)
            values.append(model.decode(seen, centroids, sources.shape[-1])[0])
    return values


@pytest.mark.parametrize("backbone", sorted(set(BACKBONES) - {"encoder"}))
@pytest.mark.parametrize("before, behind", AROUND)
def test_zeros_around_a_mixture_change_nothing(backbone, before, behind):
    model, sources = make(backbone), sounds()
    *expected, audio = found(model, sources)
    *got, outputs = found(model, padded(sources, before, behind))
    for value, reference in zip(got, expected):
        torch.testing.assert_close(value, reference, atol=1e-5, rtol=0)
    torch.testing.assert_close(outputs[:, 16 * before : 16 * before + 1600], audio, atol=1e-6, rtol=0)
    # frames that begin or end in silence reach into it
    reach = FEATURES.win - FEATURES.hop
    outputs[:, max(16 * before - reach, 0) : 16 * before + 1600 + reach] = 0
    assert not outputs.any()


@pytest.mark.parametrize("backbone", ["encoder", "conv"])
def test_zeros_around_a_mixture_change_nothing_where_nodes_are_frames(backbone):
    model = make(backbone, granularity="frame", decoder=None, objectives={"deep_clustering": 1.0, "count": 0.2})
    expected = found(model, sounds())
    for around in AROUND:
        for value, reference in zip(found(model, padded(sounds(), *around)), expected):
            torch.testing.assert_close(value, reference, atol=1e-5, rtol=0)


@pytest.mark.parametrize("place", [4800, 4808, 4815])
def test_a_click_in_silence_has_no_level(place):
    model = make("encoder", granularity="frame", decoder=None, objectives={"deep_clustering": 1.0, "count": 0.2})
    click = torch.zeros(1, 1, 9600)
    click[..., place] = 1.0
    for value, reference in zip(found(model, 0.01 * click), found(model, click)):
        torch.testing.assert_close(value, reference, atol=1e-5, rtol=0)


def test_silence_between_is_as_long_as_it_likes():
    model, sources = make(), sounds()
    short, long = (
        found(model, torch.cat([sources, sources.new_zeros(1, 2, 16 * hops), 0.5 * sources], dim=2))
        for hops in (30, 3000)
    )
    for value, reference in zip(long[:3], short[:3]):
        torch.testing.assert_close(value, reference, atol=1e-5, rtol=0)
    torch.testing.assert_close(long[3][:, :1600], short[3][:, :1600], atol=1e-6, rtol=0)
    torch.testing.assert_close(long[3][:, -1600:], short[3][:, -1600:], atol=1e-6, rtol=0)


@pytest.mark.parametrize("shape", [torch.randn(32000, generator=torch.Generator().manual_seed(5)), torch.ones(32000)],
                         ids=["noise", "offset"])
def test_low_noise_and_offsets_are_silence(shape):
    # both 60 dB under the mixture
    model, sources = make(), sounds()
    quiet = 1e-3 * sources.sum(1).square().mean().sqrt() * shape
    mixture = torch.cat([quiet, sources.sum(1)[0], quiet])[None]
    with torch.no_grad():
        nodes, seen = model.analyse(sources.sum(1))
        around, heard = model.analyse(mixture)
        z = nodes.z.unflatten(1, nodes.shape), around.z.unflatten(1, around.shape)[:, 2000:2103]
        both = nodes.valid.view(nodes.shape) & around.valid.view(around.shape)[2000:2103]
        assert both.sum() > 0.95 * nodes.valid.sum() and heard.frames == seen.frames
        assert (z[0] - z[1])[0, both].norm(dim=-1).mean() < 0.05
        torch.testing.assert_close(model.count(around, heard), model.count(nodes, seen), atol=0.05, rtol=0)


def test_short_pauses_are_shown_as_they_are():
    model, sources = make(), sounds()
    sources = torch.cat([sources, torch.zeros(1, 2, 16 * 15), sources], dim=2)
    with torch.no_grad():
        _, seen = model.analyse(sources.sum(1))
        hidden = model.backbone.hidden(model.inputs(seen.spectrum, seen.frames), seen.frames)
    assert seen.shown is None and torch.equal(seen.hidden, hidden)


def batch():
    """Mixture, lengths, sources, counts of a batch: two speakers with silence around them, three without."""
    first, second = sounds(2), sounds(3, 1280)
    first = torch.nn.functional.pad(padded(first, 300, 500), (0, 0, 0, 1))
    second = torch.nn.functional.pad(second, (0, first.shape[2] - 1280))
    sources = torch.cat([first, second])
    return sources.sum(1), torch.tensor([first.shape[2], 1280]), sources, torch.tensor([2, 3])


def test_mixtures_of_a_batch_keep_their_own_silences():
    model, (mixture, lengths, _, _) = make(), batch()
    with torch.no_grad():
        nodes, seen = model.analyse(mixture, lengths)
        chances = model.count(nodes, seen)
        for row, sources in enumerate((sounds(2), sounds(3, 1280))):
            z, weight, chance, _ = found(model, sources)
            valid = nodes.valid[row]
            torch.testing.assert_close(nodes.z[row, valid], z, atol=1e-5, rtol=0)
            torch.testing.assert_close(nodes.weight[row, valid], weight, atol=1e-5, rtol=0)
            torch.testing.assert_close(chances[row], chance, atol=1e-5, rtol=0)


def test_losses_do_not_see_silence():
    model = make(kind=EspnetModel, centroids={"dominance": 1.0})
    sources = sounds(3)
    plain = model(sources.sum(1), torch.tensor([1600]), sources, torch.tensor([3]))[1]
    sources = padded(sources, 200, 400)
    around = model(sources.sum(1), torch.tensor([sources.shape[2]]), sources, torch.tensor([3]))[1]
    for name in ("deep_clustering", "count", "within", "between"):
        torch.testing.assert_close(around[name], plain[name], atol=2e-4, rtol=0, msg=name)
    # frames at the edges reach into the silence
    torch.testing.assert_close(around["si_snr"], plain["si_snr"], atol=0.1, rtol=0)


@pytest.mark.parametrize("labels", ["dominance", "none"])
def test_training_on_a_batch_with_silence_reaches_every_weight(labels):
    objectives = OBJECTIVES if labels == "dominance" else {"nt_xent": 1.0, "deep_clustering": 1.0}
    parts = {} if labels == "dominance" else {"decoder": None, "counter": None}
    model = make(kind=EspnetModel, objectives=objectives, labels=labels, **parts).train()
    loss, stats, _ = model(*batch())
    loss.backward()
    assert loss.isfinite() and all(value.isfinite().all() for value in stats.values())
    parameters = [value for name, value in model.named_parameters() if not name.startswith("projection")]
    assert all(value.grad is not None and value.grad.isfinite().all() for value in parameters)


def test_a_part_of_an_analysis_has_the_shown_frames_of_that_part():
    model, (mixture, lengths, _, _) = make(), batch()
    with torch.no_grad():
        _, seen = model.analyse(mixture, lengths)
    for start, count in ((0, 320), (250, 100), (310, 200), (600, 50)):
        part = seen.part(start, count)
        shown = seen.shown[:, start : start + count]
        assert torch.equal(part.shown, shown) and torch.equal(part.frames, shown.sum(1))
        whole, back = seen.spread(seen.hidden, 0.0)[:, start : start + count], part.spread(part.hidden)
        assert torch.equal(back, whole)
        z = seen.z.unflatten(1, (seen.shown.shape[1], -1))
        assert torch.equal(part.z.unflatten(1, (count, -1)), z[:, start : start + count])
        outputs = model.decode(part, torch.nn.functional.normalize(torch.randn(2, 3, 6), dim=-1), 16 * (count - 3))
        assert outputs.isfinite().all()


# ------------------------------------------------------------------ real speech


def real(number, count, seconds=5.0):
    """Sources of ``count`` speakers of LibriSpeech, ``(count, samples)`` float32, of equal power."""
    files = sorted((LIBRISPEECH / "train-clean-100").glob("*/*/*.flac"))[number * 5 :][:count]
    sources = [soundfile.read(file, dtype="float32")[0][8000 : 8000 + int(8000 * seconds)] for file in files]
    return np.stack([0.05 * source / source.std() for source in sources])


def zeros(seconds):
    return np.zeros(round(8000 * seconds), np.float32)


@pytest.mark.skipif(not LIBRISPEECH.is_dir(), reason="no real speech: ../shared/corpora/LibriSpeech is not there")
@pytest.mark.parametrize("number, count", [(0, 2), (1, 3)])
def test_a_minute_of_zeros_around_real_mixtures(number, count):
    separator, sources = load_separator("best").separator, real(number, count)
    mixture = sources.sum(0)

    def separated(before, behind, middle=0.0):
        half = len(mixture) // 2 if middle else len(mixture)
        signal = np.concatenate([zeros(before), mixture[:half], zeros(middle), mixture[half:], zeros(behind)])
        outputs = separator.separate("x", signal, None).outputs
        begin, again = len(zeros(before)), len(zeros(before)) + half + len(zeros(middle))
        end = again + len(mixture) - half
        heard = np.concatenate([outputs[:, begin : begin + half], outputs[:, again:end]], axis=1)
        # what the frames at the edges reach into adds up to silence
        np.testing.assert_allclose(outputs.sum(0), signal, atol=1e-4)
        assert not outputs[:, : max(begin - 256, 0)].any() and not outputs[:, end + 256 :].any()
        return len(outputs), heard

    number_found, plain = separated(0, 0)
    assert number_found == count
    gain = improvements(plain.astype(np.float64), mixture, sources).mean()
    for before, behind, middle in ((60, 0, 0), (0, 60, 0), (60, 60, 0), (60.0051, 0, 0), (0, 0, 60)):
        got, outputs = separated(before, behind, middle)
        assert got == count, (before, behind, middle)
        change = improvements(outputs.astype(np.float64), mixture, sources).mean() - gain
        # a cut in the middle of a word costs something by itself
        assert abs(change) < (0.5 if middle else 0.2), (before, behind, middle)
        if not middle:
            np.testing.assert_allclose(outputs, plain, atol=1e-3)


@pytest.mark.parametrize("backbone", ["rnn", "attention", "blstm"])
@pytest.mark.parametrize("chosen", [[0], [1], [1, 2], [0, 2]])
def test_some_mixtures_of_a_batch_are_decoded_as_among_all(backbone, chosen):
    # most frames are shown of the first, fewer of the others, whose pauses are long
    model, sources = make(backbone), sounds()
    twice = torch.cat([sources, sources], -1)
    batch = torch.cat([padded(twice, 0, 700), padded(sources, 300, 500), padded(sources, 800, 0)])
    index = torch.tensor(chosen)
    with torch.no_grad():
        nodes, seen = model.analyse(batch.sum(1))
        assert seen.shown is not None and len(set(seen.frames.tolist())) > 1
        assign = torch.nn.functional.one_hot(model.granularity.targets(batch), 2).float()
        centroids = centroids_of(nodes.z, assign, nodes.weight * nodes.valid)
        whole = model.decode(seen, centroids, batch.shape[-1])
        part = model.decode(seen.rows(index), centroids[index], batch.shape[-1])
    assert seen.rows(index).level.shape[1] == seen.rows(index).frames.max()
    torch.testing.assert_close(part, whole[index], atol=1e-5, rtol=1e-4)
