"""Metrics against their definitions, against mir_eval, and on cases computed by hand."""

import itertools
import warnings

import numpy as np
import pytest

from contrasep_lib.config import build, implementation, load_config
from contrasep_lib.errors import ContrasepError
from contrasep_lib.score import ratios
from contrasep_lib.score.means import aggregate, mean_columns
from contrasep_lib.score.metrics.base import RESERVED, Column
from contrasep_lib.score.options import ScoreOptions
from contrasep_lib.score.ratios import LIMIT_DB, best_matching, pairwise_si_snr, sdr, si_snr
from contrasep_lib.score.tables import COLUMNS, OLD_ORACLES, Evidence, make_row
from contrasep_lib.score.utterance import score_utterance

METRICS = {"si_snr": {}, "sdr": {"filter_length": 32}, "si_snri_count_estimated": {}, "si_snri_penalised": {}}
METRICS["p_si_snr"] = {}
SHORT = build(ScoreOptions, {"metrics": METRICS}, "score")


def speech_like(rng, count, samples=8000):
    """Noise with a falling spectrum and slow swells, ``(count, samples)``."""
    noise = rng.standard_normal((count, samples))
    for index in range(1, 4):
        noise[:, index:] += 0.8 * noise[:, :-index] / index
    swell = 1.1 + np.sin(np.arange(samples) / 400 + rng.uniform(0, 6, (count, 1)))
    return 0.05 * noise * swell


def definition(estimate, source):
    """SI-SNR written out for one pair."""
    estimate, source = estimate - estimate.mean(), source - source.mean()
    target = np.dot(estimate, source) / np.dot(source, source) * source
    noise = estimate - target
    return 10 * np.log10(np.dot(target, target) / np.dot(noise, noise))


@pytest.mark.parametrize("offset", [0.0, 0.3])
@pytest.mark.parametrize("noise", [1e-2, 0.3, 10.0])
def test_si_snr_is_its_definition(rng, offset, noise):
    sources = speech_like(rng, 6).reshape(2, 3, -1)
    estimates = -2.5 * sources + noise * rng.standard_normal(sources.shape) * sources.std() + offset
    expected = [[definition(e, s) for e, s in zip(*pair)] for pair in zip(estimates, sources)]
    assert np.allclose(si_snr(estimates, sources), expected, atol=1e-9)
    pairwise = pairwise_si_snr(estimates, sources)
    assert pairwise.shape == (2, 3, 3)
    assert pairwise[1, 0, 2] == pytest.approx(definition(estimates[1, 2], sources[1, 0]), abs=1e-6)


def test_si_snr_ignores_scale_sign_and_offset(rng):
    source = speech_like(rng, 1)
    estimate = source + 0.1 * rng.standard_normal(source.shape)
    assert np.allclose(si_snr(-7.0 * estimate + 0.2, source), si_snr(estimate, source), atol=1e-9)


def test_single_precision_input_is_scored_in_double(rng):
    source = speech_like(rng, 1)
    estimate = (source + 1e-2 * source.std() * rng.standard_normal(source.shape)).astype(np.float32)
    value = si_snr(estimate, source.astype(np.float32))
    exact = definition(estimate[0].astype(float), source[0].astype(np.float32).astype(float))
    assert value.dtype == np.float64
    assert value[0] == pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize("num_spk", [1, 2, 3])
def test_sdr_is_that_of_mir_eval(rng, num_spk):
    separation = pytest.importorskip("mir_eval.separation")
    sources = speech_like(rng, num_spk)
    # a filtered copy, leakage of the others and noise
    estimates = np.stack([np.convolve(s, [0.6, 0.3, -0.2])[: s.size] for s in sources]) + 0.02
    estimates += 0.2 * sources[::-1] + 0.01 * rng.standard_normal(sources.shape)
    mixture = sources.sum(0)
    ours = sdr(np.stack([np.stack([e, mixture]) for e in estimates]), sources)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for column, theirs in ((0, estimates), (1, np.tile(mixture, (num_spk, 1)))):
            expected = separation.bss_eval_sources(sources, theirs, compute_permutation=False)[0]
            assert np.allclose(ours[:, column], np.minimum(expected, LIMIT_DB), atol=1e-4)


def test_sdr_is_that_of_fast_bss_eval_also_for_short_and_ill_conditioned_signals(rng):
    fast_bss_eval = pytest.importorskip("fast_bss_eval")
    time = np.arange(4000) / 8000
    sines = np.stack([np.sin(2 * np.pi * 440 * time), np.sin(2 * np.pi * 1234 * time)])
    for sources in (sines, speech_like(rng, 2, 600)):
        estimates = sources + 0.1 * sources[::-1] + 1e-3 * rng.standard_normal(sources.shape)
        expected = fast_bss_eval.sdr_loss(
            estimates, sources, pairwise=True, load_diag=ratios.DIAGONAL_LOAD, clamp_db=LIMIT_DB
        )
        assert np.allclose(sdr(estimates[:, None], sources)[:, 0], -np.diag(expected), atol=1e-3)


def test_sdr_of_a_signal_shorter_than_the_filter_is_finite(rng):
    source = rng.standard_normal((1, 40))
    value = sdr(rng.standard_normal((1, 1, 40)), source, filter_length=512)
    assert np.isfinite(value).all()


def test_sdr_falls_back_when_the_fast_solver_fails():
    constant = np.ones((1, 1000))
    value = sdr(constant[:, None], constant)
    assert np.isfinite(value).all() and value[0, 0] > 20


@pytest.mark.parametrize("num_spk", [1, 2, 3, 4, 5])
def test_every_permutation_is_undone_and_wrong_ones_score_lower(rng, num_spk):
    sources = speech_like(rng, num_spk, 2000)
    mixture = sources.sum(0)
    outputs = sources + 0.1 * rng.standard_normal(sources.shape) * sources.std()
    right = score_utterance(outputs, sources, mixture, SHORT)
    assert right.permutation == tuple(range(num_spk))
    for order in itertools.permutations(range(num_spk)):
        score = score_utterance(outputs[list(order)], sources, mixture, SHORT)
        assert [order[output] for output in score.permutation] == list(range(num_spk))
        assert score["si_snr"] == pytest.approx(right["si_snr"], abs=1e-9)
        assert score["sdr"] == pytest.approx(right["sdr"], abs=1e-6)
        if order != tuple(range(num_spk)):
            assert si_snr(outputs[list(order)], sources).mean() < right["si_snr"] - 1


def test_matching_takes_the_best_sum_not_the_best_pair():
    # taking 10 first leaves 0; the sum is larger the other way
    assert best_matching(np.array([[10.0, 9.0], [9.0, 0.0]])) == (1, 0)
    assert best_matching(np.array([[1.0], [3.0], [2.0]])) == (None, 0, None)
    assert best_matching(np.array([[1.0, 5.0, 2.0]])) == (1,)
    assert best_matching(np.zeros((2, 0))) == (None, None)


def orthogonal(count, samples=1024):
    """Zero-mean sources of norm 1, orthogonal to each other."""
    time = np.arange(samples) * 2 * np.pi / samples
    return np.stack([np.sin((index + 3) * time) for index in range(count)]) / np.sqrt(samples / 2)


def test_improvement_by_hand():
    sources = orthogonal(2)
    # each output: its source at 1, the other at 0.1, hence 20 dB; the mixture is at 0 dB
    outputs = np.array([[1.0, 0.1], [0.1, 1.0]]) @ sources
    score = score_utterance(outputs, sources, sources.sum(0), SHORT)
    assert score["si_snr_mix"] == pytest.approx(0, abs=1e-9)
    assert score["si_snri"] == pytest.approx(20, abs=1e-9)
    assert score["source_si_snri"] == pytest.approx((20, 20), abs=1e-9)
    assert score["si_snri_count_estimated"] is None and score["si_snri_penalised"] is None


@pytest.mark.parametrize(
    "mixing, estimated, penalised, permutation",
    [
        # right count: 20 and 40 dB
        ([[1, 0.1, 0], [0, 1, 0.01], [0.01, 0, 1]], 100 / 3, 100 / 3, (0, 1, 2)),
        # one output of three missing: the mixture stands in at 0 dB
        ([[0, 1, 0.1], [1, 0.01, 0]], 60 / 3, 60 / 3, (1, 0, None)),
        # one too many: dropped, or a fourth term of 0 dB
        ([[0, 0, 1e-9], [1, 0.1, 0], [0, 1, 0.1], [0.1, 0, 1]], 60 / 3, 60 / 4, (1, 2, 3)),
        # nothing at all
        (np.zeros((0, 3)), 0, 0, (None, None, None)),
    ],
)
def test_count_estimated_by_hand(mixing, estimated, penalised, permutation):
    sources = orthogonal(3)
    # two interferers of equal power: the mixture is at -10 log10 2 for every source
    mix_db = -10 * np.log10(2)
    outputs = np.asarray(mixing, dtype=float) @ sources
    if len(mixing) == 4:
        # the extra output is bad for every source
        outputs[0] = np.random.default_rng(0).standard_normal(sources.shape[1])
    score = score_utterance(outputs, sources, sources.sum(0), SHORT, count_given=False)
    matched = sum(output is not None for output in permutation)
    assert score.permutation == permutation
    assert score["si_snr_mix"] == pytest.approx(mix_db, abs=1e-9)
    assert score["si_snri_count_estimated"] == pytest.approx(estimated - mix_db * matched / 3, abs=1e-6)
    longer = max(3, len(mixing))
    assert score["si_snri_penalised"] == pytest.approx(penalised - mix_db * matched / longer, abs=1e-6)
    assert score["si_snri"] is None and score["sdri"] is None
    # without the mixture's level; 30 dB for each output too few or too many
    lost = 30 * abs(3 - len(mixing))
    sums = {3: 100, 2: 60, 4: 60, 0: 0}
    assert score["p_si_snr"] == pytest.approx((sums[len(mixing)] - lost) / longer, abs=1e-6)


@pytest.mark.parametrize("outputs", [0, 1, 2, 3, 4, 6])
@pytest.mark.parametrize("penalty", [30.0, 0.0])
def test_p_si_snr_is_the_best_of_all_matchings(rng, outputs, penalty):
    sources = rng.standard_normal((3, 800)) * [[1.0], [3.0], [0.3]]
    made = rng.standard_normal((outputs, 3)) @ sources + rng.standard_normal((outputs, 800))
    metrics = {"p_si_snr": {"penalty": penalty}}
    options = build(ScoreOptions, {"metrics": metrics}, "score")
    pairs = np.array([[definition(estimate, source) for source in sources] for estimate in made]).reshape(-1, 3)
    fewer, more = sorted((outputs, 3))
    best = max(
        sum(pairs[o, s] for o, s in zip(few, range(3)) if outputs >= 3) if outputs >= 3 else
        sum(pairs[o, s] for o, s in enumerate(few))
        for few in itertools.permutations(range(more), fewer)
    )
    score = score_utterance(made, sources, sources.sum(0), options, count_given=False)
    assert score["p_si_snr"] == pytest.approx((best - penalty * (more - fewer)) / more, abs=1e-6)


def test_p_si_snr_needs_an_estimated_count_and_caps_single_speakers(rng):
    source = speech_like(rng, 1, 2000)
    assert score_utterance(source, source, source[0], SHORT)["p_si_snr"] is None
    assert score_utterance(source, source, source[0], SHORT, False)["p_si_snr"] == 30
    two = np.vstack([source, rng.standard_normal(source.shape)])
    # one right output at the cap and one too many
    assert score_utterance(two, source, source[0], SHORT, False)["p_si_snr"] == pytest.approx(0, abs=1e-9)
    with pytest.raises(ContrasepError, match="score.metrics.p_si_snr.penalty: expected a number from 0 to 300, got -1"):
        build(ScoreOptions, {"metrics": {"p_si_snr": {"penalty": -1}}}, "score")
    titles = [mean_columns(build(ScoreOptions, {"metrics": {"p_si_snr": {"penalty": p}}}, "score")) for p in (30, 10)]
    assert [column.title for columns in titles for column in columns] == ["P-SI-SNR", "P-SI-SNR, penalty 10 dB"]


def test_extra_output_never_raises_the_penalised_score():
    sources = orthogonal(2)
    outputs = np.array([[1.0, 0.1], [0.1, 1.0]]) @ sources
    right = score_utterance(outputs, sources, sources.sum(0), SHORT, count_given=False)
    doubled = np.vstack([outputs, outputs[:1]])
    extra = score_utterance(doubled, sources, sources.sum(0), SHORT, count_given=False)
    assert extra["si_snri_count_estimated"] == pytest.approx(right["si_snri_count_estimated"])
    assert extra["si_snri_penalised"] == pytest.approx(right["si_snri_penalised"] * 2 / 3)


@pytest.mark.parametrize("count_given", [True, False])
def test_a_single_speaker_has_no_improvement_and_a_cap(rng, count_given):
    source = speech_like(rng, 1, 2000)
    perfect = score_utterance(source, source, source[0], SHORT, count_given)
    assert perfect["si_snr"] == 30 and perfect["sdr"] == 30
    for name in ("si_snri", "sdri", "si_snr_mix", "sdr_mix", "si_snri_count_estimated", "si_snri_penalised"):
        assert perfect[name] is None
    noisy = source + source.std() * rng.standard_normal(source.shape)
    assert score_utterance(noisy, source, source[0], SHORT, count_given)["si_snr"] == pytest.approx(0, abs=1)


def test_silence_and_identity_stay_finite(rng):
    sources = speech_like(rng, 2, 2000)
    mixture = sources.sum(0)
    silent = np.zeros_like(sources)
    cases = {
        "silent outputs": (silent, sources, -LIMIT_DB),
        "constant outputs": (silent + 0.5, sources, -LIMIT_DB),
        "perfect outputs": (sources, sources, LIMIT_DB),
        "silent sources": (sources, silent, -LIMIT_DB),
    }
    for name, (outputs, references, expected) in cases.items():
        score = score_utterance(outputs, references, mixture, SHORT)
        values = [score["si_snr"], score["sdr"], score["si_snri"], score["sdri"], score["si_snr_mix"], score["sdr_mix"]]
        assert np.isfinite(values).all(), name
        assert score["si_snr"] == pytest.approx(expected), name
    one_silent = np.stack([sources[0], silent[0]])
    score = score_utterance(one_silent, one_silent, sources[0], SHORT)
    assert score["si_snr"] == pytest.approx(0, abs=1e-9) and score["si_snri"] == pytest.approx(0, abs=1e-9)


def test_the_mixture_improves_nothing(rng):
    sources = speech_like(rng, 3, 2000)
    score = score_utterance(np.tile(sources.sum(0), (3, 1)), sources, sources.sum(0), SHORT)
    assert score["si_snri"] == pytest.approx(0, abs=1e-12) and score["sdri"] == pytest.approx(0, abs=1e-9)


def test_bad_input_is_refused(rng):
    sources = speech_like(rng, 2, 500)
    mixture = sources.sum(0)
    with pytest.raises(ValueError, match="outputs have 499 samples, the mixture 500"):
        score_utterance(sources[:, :-1], sources, mixture)
    with pytest.raises(ValueError, match="sources have 499"):
        score_utterance(sources, sources[:, :-1], mixture)
    with pytest.raises(ValueError, match="3 outputs for 2 sources though the count was given"):
        score_utterance(np.vstack([sources, mixture]), sources, mixture)
    broken = sources.copy()
    broken[0, 7] = np.nan
    with pytest.raises(ValueError, match="outputs hold NaN"):
        score_utterance(broken, sources, mixture)
    with pytest.raises(ValueError, match="expected 1 dimensions"):
        score_utterance(sources, sources, sources)
    with pytest.raises(ValueError, match="expected at least one source"):
        score_utterance(sources[:0], sources[:0], mixture)
    with pytest.raises(ValueError, match="estimates have"):
        si_snr(sources[:, 1:], sources)
    with pytest.raises(ValueError, match="K, E, samples"):
        sdr(sources, sources)


TOY = """
import dataclasses
import numpy as np
from contrasep_lib.config import choice
from contrasep_lib.score.metrics.base import Column, Metric


@choice("metric", "toy_peak", target="Peak")
@dataclasses.dataclass(frozen=True)
class PeakOptions:
    "Largest sample of the outputs, for tests."
    scale: float = 1.0


class Peak(Metric):
    columns = (Column("toy_peak", title="peak"),)

    def score(self, mixture):
        return {"toy_peak": self.options.scale * float(np.abs(mixture.estimates).max())}
"""


@pytest.fixture
def toy(tmp_path, monkeypatch, plugins):
    """A configuration that lists a metric of a module outside the package."""
    (tmp_path / "toy_peak_metric.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    config = tmp_path / "config.yaml"
    config.write_text("plugins: [toy_peak_metric]\nscore: {metrics: {si_snr: {}, toy_peak: {scale: 2.0}}}\n")
    return load_config(config)["score"]


def test_a_metric_from_outside_the_package_is_scored(toy):
    sources = orthogonal(2)
    score = score_utterance(sources, sources, sources.sum(0), toy)
    assert score["toy_peak"] == pytest.approx(2 * np.abs(sources).max())
    assert score["sdri"] is None and "sdri" not in score.scores
    assert [column.title for column in mean_columns(toy)] == ["output SI-SNR", "SI-SNRi", "peak"]


def test_two_metrics_with_one_column_are_refused(toy, monkeypatch):
    monkeypatch.setitem(toy.metrics, "again", toy.metrics["toy_peak"])
    with pytest.raises(ContrasepError, match="'toy_peak' and 'again' both have a column 'toy_peak'"):
        mean_columns(toy)


@pytest.mark.parametrize("values, says", [
    ({"toy_peak": float("nan")}, "metric 'toy_peak': toy_peak: expected a finite number, got nan"),
    ({"toy_peak": "high"}, "metric 'toy_peak': toy_peak: expected a finite number, got 'high'"),
    ({"toy_peak": (1.0, float("inf"))}, "expected a finite number, got inf"),
    ({"toy_peaks": 1.0}, "metric 'toy_peak': 'toy_peaks' is none of its columns, toy_peak"),
])
def test_scores_from_outside_the_package_are_checked(toy, monkeypatch, values, says):
    peak = implementation(toy.metrics["toy_peak"])
    monkeypatch.setattr(peak, "score", lambda self, mixture: values)
    sources = np.random.default_rng(0).standard_normal((2, 800))
    with pytest.raises(ContrasepError, match=says):
        score_utterance(sources, sources, sources.sum(0), toy)
    monkeypatch.setattr(peak, "score", lambda self, mixture: {"toy_peak": np.float32(0.5)})
    assert score_utterance(sources, sources, sources.sum(0), toy)["toy_peak"] == 0.5


def test_columns_have_names_of_their_own(rng):
    for name in ("utt", "n", "ibm", "oracle_mine"):
        with pytest.raises(ValueError, match=f"column '{name}': tables have one of that name already"):
            Column(name)
    with pytest.raises(ValueError, match="expected letters, digits and _"):
        Column("a\tb")
    # all that a table and a set's means have beside the scores
    sources = rng.standard_normal((2, 800))
    row = make_row("a", ("x", "y"), score_utterance(sources, sources, sources.sum(0), SHORT), {}, Evidence(True))
    beside = {name for name in aggregate([row], SHORT) if name.removesuffix("_ci95") not in row.scores}
    assert RESERVED == beside | set(COLUMNS) | set(OLD_ORACLES)


def test_the_earlier_spelling_of_the_filter(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("score: {sdr_filter: 32, plots: 1}\n")
    assert load_config(config)["score"] == build(ScoreOptions, {"metrics": METRICS, "plots": 1}, "score")
    with pytest.raises(ContrasepError, match="filter_length[)]: expected a whole number from 1 to 8192, got 0"):
        load_config(config, ["score.sdr_filter=0"])
