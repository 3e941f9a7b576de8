"""Perceptual scores against their libraries, on known facts, and where they do not exist."""

import sys

import numpy as np
import pytest
from scipy.signal import lfilter

from contrasep_lib.bin.main import main
from contrasep_lib.config import build, create
from contrasep_lib.errors import ContrasepError
from contrasep_lib.extras import missing_extra
from contrasep_lib.report.pages import notes_on, partial_words
from contrasep_lib.score.means import aggregate
from contrasep_lib.score.metrics.base import Mixture
from contrasep_lib.score.options import ScoreOptions
from contrasep_lib.score.tables import Evidence, make_row, read_rows, write_rows
from contrasep_lib.score.utterance import UtteranceScore, score_utterance

RATE = 8000
LIBRARY = {"stoi": "pystoi", "estoi": "pystoi", "pesq": "pesq", "dnsmos": "speechmos"}


def voice(rng, seconds=2.0, pitch=120, rate=RATE):
    """Pulses through moving formants with pauses between syllables, ``(samples,)``."""
    time = np.arange(round(seconds * rate))
    sound = (time % (rate // pitch) == 0).astype(float) + 0.02 * rng.standard_normal(len(time))
    for formant in rng.uniform(300, 2800, 3):
        sound = lfilter([1], [1, -1.9 * np.cos(2 * np.pi * formant / rate), 0.9025], sound)
    swell = np.clip(np.sin(2 * np.pi * 3 * time / rate + rng.uniform(0, 6)), 0, None)
    sound = sound * swell
    return 0.3 * sound / np.abs(sound).max()


def noisy(rng, clean, snr_db):
    noise = rng.standard_normal(len(clean))
    return clean + noise * np.linalg.norm(clean) / np.linalg.norm(noise) * 10 ** (-snr_db / 20)


def metric(name, **options):
    return create(build(ScoreOptions, {"metrics": {name: options}}, "score").metrics[name])


def one(name, signal, source, rate=RATE, **options):
    return metric(name, **options).judge(signal, source, rate)


@pytest.fixture(params=LIBRARY)
def name(request):
    pytest.importorskip(LIBRARY[request.param], reason=f"{LIBRARY[request.param]} is not installed")
    return request.param


def test_scores_are_those_of_the_libraries(rng):
    pystoi, pesq = pytest.importorskip("pystoi"), pytest.importorskip("pesq")
    clean = voice(rng)
    heard = noisy(rng, clean, 5)
    assert one("stoi", heard, clean) == pytest.approx(pystoi.stoi(clean, heard, RATE), rel=1e-9)
    assert one("estoi", heard, clean) == pytest.approx(pystoi.stoi(clean, heard, RATE, extended=True), rel=1e-9)
    assert one("pesq", heard, clean) == pesq.pesq(RATE, clean, heard, "nb")
    wide = voice(rng, rate=16000)
    heard = noisy(rng, wide, 5)
    assert one("pesq", heard, wide, 16000, band="wb") == pesq.pesq(16000, wide, heard, "wb")
    assert one("pesq", heard, wide, 16000) == pesq.pesq(16000, wide, heard, "nb")


def test_dnsmos_is_that_of_the_library_on_one_thread(rng):
    dnsmos = pytest.importorskip("speechmos.dnsmos")
    clean = voice(rng, rate=16000)
    expected = dnsmos.run(clean, 16000)
    made = metric("dnsmos").score(Mixture(clean, clean[None], clean[None], (0,), True, 16000))
    assert made["dnsmos"] == pytest.approx(expected["ovrl_mos"], abs=1e-4)
    assert made["dnsmos_sig"] == pytest.approx(expected["sig_mos"], abs=1e-4)
    assert made["dnsmos_improvement"] is None


def test_clean_speech_has_the_largest_score(rng):
    pytest.importorskip("pystoi"), pytest.importorskip("pesq")
    clean = voice(rng)
    assert one("stoi", clean, clean) == pytest.approx(1, abs=1e-6)
    assert one("estoi", clean, clean) == pytest.approx(1, abs=1e-6)
    assert one("pesq", clean, clean) == pytest.approx(4.5486, abs=1e-3)
    wide = voice(rng, rate=16000)
    assert one("pesq", wide, wide, 16000, band="wb") == pytest.approx(4.6439, abs=1e-3)


@pytest.mark.parametrize("of", ["stoi", "estoi", "pesq"])
def test_scores_rise_with_the_ratio_to_noise(rng, of):
    pytest.importorskip(LIBRARY[of])
    clean = voice(rng, 3.0)
    noise = rng.standard_normal(len(clean))
    noise *= np.linalg.norm(clean) / np.linalg.norm(noise)
    scores = [one(of, clean + noise * 10 ** (-snr / 20), clean) for snr in (-10, 0, 10, 20, 30)]
    assert scores == sorted(scores) and scores[-1] > scores[0] + 0.3


@pytest.mark.parametrize("rate", [8000, 16000, 11025, 44100])
def test_every_rate_is_taken(rng, name, rate):
    clean = voice(rng, rate=rate)
    assert np.isfinite(one(name, noisy(rng, clean, 20), clean, rate))


def test_wide_band_needs_sixteen_kilohertz(rng):
    pytest.importorskip("pesq")
    clean = voice(rng)
    with pytest.raises(ContrasepError, match="score.metrics.pesq.band: wb needs mixtures of 16000 Hz, got 8000 Hz"):
        one("pesq", clean, clean, band="wb")
    with pytest.raises(ContrasepError, match=r"score.metrics.pesq.band: expected one of nb, wb"):
        build(ScoreOptions, {"metrics": {"pesq": {"band": "xx"}}}, "score")


@pytest.mark.parametrize("case", ["silent source", "silent output", "200 samples", "10 samples", "a click", "constant"])
def test_where_no_score_exists_none_is_made_and_nothing_raised(rng, name, case):
    clean = voice(rng)
    silence = np.zeros_like(clean)
    signal, source = {
        "silent source": (clean, silence), "silent output": (silence, clean), "200 samples": (clean[:200], clean[:200]),
        "10 samples": (clean[:10], clean[:10]), "a click": (np.eye(1, 8000)[0], np.eye(1, 8000)[0]),
        "constant": (silence + 0.2, clean),
    }[case]
    value = one(name, signal, source)
    if name == "dnsmos":
        assert (value is None) == (case == "silent output")
    elif case == "silent output" and name != "pesq":
        assert value == 0
    elif case in ("silent source", "silent output", "200 samples", "10 samples"):
        assert value is None
    else:
        assert value is None or np.isfinite(value)


def test_improvements_are_over_the_mixture_and_missing_outputs_score_as_it(rng):
    pytest.importorskip("pystoi")
    sources = np.stack([voice(rng, pitch=pitch) for pitch in (100, 200)])
    mixture = sources.sum(0)
    options = build(ScoreOptions, {"metrics": {"stoi": {}}}, "score")
    perfect = score_utterance(sources, sources, mixture, options, rate=RATE)
    assert perfect["stoi"] == pytest.approx(1, abs=1e-6)
    assert perfect["stoi_improvement"] == pytest.approx(1 - perfect["stoi_mix"]) and perfect["stoi_mix"] < 0.95
    none = score_utterance(sources[:0], sources, mixture, options, count_given=False, rate=RATE)
    assert none["stoi"] == none["stoi_mix"] and none["stoi_improvement"] == 0
    alone = score_utterance(sources[:1], sources[:1], sources[0], options, rate=RATE)
    assert alone["stoi"] == pytest.approx(1, abs=1e-6) and alone["stoi_improvement"] is None


def test_the_rate_is_that_of_the_set(rng):
    pytest.importorskip("pystoi")
    sources = np.stack([voice(rng, pitch=pitch) for pitch in (100, 200)])
    options = build(ScoreOptions, {"metrics": {"stoi": {}}}, "score")
    outputs = np.stack([noisy(rng, source, 5) for source in sources])
    scores = [score_utterance(outputs, sources, sources.sum(0), options, rate=rate)["stoi"] for rate in (8000, 16000)]
    assert abs(scores[0] - scores[1]) > 1e-3


def test_mixtures_without_a_score_are_counted_and_the_mean_is_over_the_others(tmp_path):
    options = build(ScoreOptions, {"metrics": {"stoi": {}}, "oracles": {}}, "score")
    rows = []
    for number, value in enumerate((0.6, 0.8, None)):
        scores = {"stoi_mix": value, "stoi": value, "stoi_improvement": value and value - 0.5}
        scored = UtteranceScore(2, 2, True, (0, 1), scores)
        rows.append(make_row(f"u{number}", (f"a{number}", f"b{number}"), scored, {}, Evidence(True)))
    write_rows(tmp_path / "scores.tsv", rows)
    means = aggregate(read_rows(tmp_path / "scores.tsv"), options)
    assert means["stoi"] == 0.7 and means["stoi_n"] == 2 and means["n"] == 3
    assert means["stoi_improvement"] == 0.2 and means["stoi_improvement_n"] == 2 and means["stoi_ci95"] is not None
    (words,) = partial_words(means)
    assert words == "STOI: the mean is over 2 of 3 mixtures, the others are silent or too short for it"
    assert any("Not in decibels: STOI" in note for note in notes_on([means]))
    none = aggregate([row for row in read_rows(tmp_path / "scores.tsv") if row["stoi"] is None], options)
    assert none["stoi"] is None and none["stoi_n"] == 0


def test_results_without_partial_scores_are_what_they_were():
    options = build(ScoreOptions, {"metrics": {"si_snr": {}}, "oracles": {}}, "score")
    sources = np.eye(2, 100)
    rows = [make_row("u", ("a", "b"), score_utterance(sources, sources, sources.sum(0), options), {}, Evidence(True))]
    assert not [key for key in aggregate(rows, options) if key.endswith("_n")]
    assert all("partial" not in column for column in aggregate(rows, options)["columns"])


@pytest.mark.parametrize("of", LIBRARY)
def test_a_missing_library_is_one_line_that_names_the_extra(rng, of, monkeypatch):
    for module in [module for module in sys.modules if module.partition(".")[0] == LIBRARY[of]]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, LIBRARY[of], None)
    from contrasep_lib.score.metrics import dnsmos

    dnsmos.network.cache_clear()
    clean = voice(rng)
    with pytest.raises(ImportError) as caught:
        one(of, clean, clean)
    extra = "stoi" if of == "estoi" else of
    assert f"pip install 'contrasep[{extra}]'" in missing_extra(caught.value)
    assert main(["list", "metrics"]) == 0
