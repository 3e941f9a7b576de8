"""Scores of a set: outputs that are not of its mixtures are refused."""

import numpy as np
import pytest
import soundfile

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.dumpset import DumpSet, SeparatedSet
from contrasep_lib.io.scp import write_table
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.score.options import ScoreOptions
from contrasep_lib.score.sets import Scorer

RATE, KEY = 8000, "a_b_1"


@pytest.fixture
def scored(tmp_path):
    """Outputs, as (samples, rate) -> the row of a mixture of two."""
    rng = np.random.default_rng(0)
    sources = 0.1 * rng.standard_normal((2, RATE))
    for folder, names in (("dump", ("wav", "spk1", "spk2")), ("separated", ("spk1", "spk2"))):
        for name in names:
            write_table(tmp_path / folder / f"{name}.scp", {KEY: str(tmp_path / folder / f"{name}.wav")})
    write_table(tmp_path / "dump/utt2spk", {KEY: "a_b"})
    for name, samples in (("wav", sources.sum(0)), ("spk1", sources[0]), ("spk2", sources[1])):
        soundfile.write(tmp_path / f"dump/{name}.wav", samples, RATE)
    head = "utt\tnum_spk_given\tnum_spk_est\tmodularity\tconductance\n"
    (tmp_path / "separated/evidence.tsv").write_text(f"{head}{KEY}\t0\t2\t\t\n")

    def row(change):
        for number, source in enumerate(sources, 1):
            soundfile.write(tmp_path / f"separated/spk{number}.wav", *change(source))
        dump, separated = DumpSet(tmp_path / "dump"), SeparatedSet(tmp_path / "separated")
        return Scorer(dump, separated, ScoreOptions(), FeatureOptions()).row(KEY)

    return row


def test_outputs_of_the_mixture_are_scored(scored):
    found = scored(lambda source: (source + 0.01 * np.roll(source, 7), RATE))
    assert found["si_snr"] == pytest.approx(40, abs=0.5)


@pytest.mark.parametrize("change, words", [
    # as many samples, of half the time
    (lambda source: (source, 2 * RATE), "spk1.scp: 'a_b_1': expected 8000 Hz as in the mixture, got 16000"),
    (lambda source: (np.repeat(source, 2), 2 * RATE), "expected 8000 Hz as in the mixture, got 16000"),
    (lambda source: (source[:-1], RATE), "'a_b_1': "),
])
def test_outputs_of_another_rate_or_length_are_one_line(scored, change, words):
    with pytest.raises(ContrasepError, match=f"separated.*{words}.*; run stage 5 again"):
        scored(change)
