"""The speakers of mixtures: utt2spks from data directory to dump, and directories that lack it."""

import numpy as np
import pytest
import soundfile

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.datadir import write_mixture_dir
from contrasep_lib.io.dumpset import DumpSet
from contrasep_lib.io.scp import read_table, write_table
from contrasep_lib.io.validate import validate_tables
from contrasep_lib.mix.options import MixOptions
from contrasep_lib.train.data import FixedMixtures
from contrasep_lib.train.options import TrainOptions

SPEAKERS = {"m1": ["spk_02", "spk_01"], "m2": ["spk_01", "spk_03"], "m3": ["a", "spk_03"]}
IDS = {"m1": "spk_02_spk_01_m1", "m2": "spk_01_spk_03_m2", "m3": "a_spk_03_m3"}


@pytest.fixture
def data(tmp_path, rng):
    """A data directory of mixtures of speakers whose ids hold ``_``."""
    files = {}
    for name in SPEAKERS:
        sources = 0.1 * rng.standard_normal((2, 2000))
        files[name] = [tmp_path / f"audio/{name}_{track}.wav" for track in ("mix", "s1", "s2")]
        files[name][0].parent.mkdir(exist_ok=True)
        for path, track in zip(files[name], (sources.sum(0), *sources)):
            soundfile.write(path, track, 8000, subtype="PCM_16")
    write_mixture_dir(tmp_path / "data/tt_2mix", files, SPEAKERS)
    return tmp_path / "data/tt_2mix"


@pytest.fixture
def dump(data, config, contrasep, tmp_path):
    for options in ((), ("--merge",)):
        contrasep("dump", "--config", config, "--data", data, "--out", "dump/tt_2mix", *options, check=True)
    return tmp_path / "dump/tt_2mix"


def test_speakers_stand_in_the_order_of_the_sources_from_data_to_dump(data, dump, contrasep):
    assert contrasep("validate-data", data).returncode == 0
    expected = {IDS[name]: tuple(names) for name, names in SPEAKERS.items()}
    assert (data / "utt2spks").read_text().splitlines() == sorted(
        f"{utt} {' '.join(names)}" for utt, names in expected.items()
    )
    assert (dump / "utt2spks").read_bytes() == (data / "utt2spks").read_bytes()
    assert DumpSet(dump).speakers == expected


def test_training_knows_speakers_whose_ids_hold_the_joining_sign(dump):
    options = TrainOptions(data="fixed", segment_seconds=None)
    dataset = FixedMixtures([DumpSet(dump)], options, MixOptions())
    assert sorted(dataset.labels) == ["a", "spk_01", "spk_02", "spk_03"]
    labels = {utt: dataset[0, number]["speaker"].tolist() for number, (_, utt) in enumerate(dataset.utterances)}
    assert labels[IDS["m1"]][1] == labels[IDS["m2"]][0] and labels[IDS["m2"]][1] == labels[IDS["m3"]][1]
    # without the table such speakers cannot be told apart: each counts as its own
    (dump / "utt2spks").unlink()
    old = FixedMixtures([DumpSet(dump)], options, MixOptions())
    assert len(old.labels) == 6 and f"{IDS['m1']}#1" in old.labels


def test_directories_of_earlier_versions_are_read_by_the_earlier_rule(data, dump, contrasep):
    for folder in (data, dump):
        (folder / "utt2spks").unlink()
        speakers = {utt: f"x{number}_y" for number, utt in enumerate(read_table(folder / "wav.scp"))}
        write_table(folder / "utt2spk", speakers)
    assert not [error for error in validate_tables(data)[0] if "utt2spks" in error]
    assert list(DumpSet(dump).speakers.values()) == [("x0", "y"), ("x1", "y"), ("x2", "y")]
    # of one speaker there is nothing to cut
    for name in ("spk1.scp", "spk2.scp"):
        (dump / name).unlink()
    assert list(DumpSet(dump).speakers.values()) == [("x0_y",), ("x1_y",), ("x2_y",)]


@pytest.mark.parametrize("line, violation", [
    ("spk_02", "'spk_02_spk_01_m1': expected 2 speakers, one for each source, got 1"),
    ("spk_02 spk_01 a", "expected 2 speakers, one for each source, got 3"),
    ("spk_01 spk_02", "expected the speakers of utt2spk, 'spk_02_spk_01', got 'spk_01 spk_02'"),
    (None, "utt2spks: key 'spk_02_spk_01_m1' missing"),
])
def test_a_table_at_odds_with_the_others_is_a_violation(data, line, violation):
    table = read_table(data / "utt2spks")
    table.pop(IDS["m1"]) if line is None else table.update({IDS["m1"]: line})
    write_table(data / "utt2spks", table)
    (error,) = validate_tables(data)[0]
    assert violation in error


def test_a_dump_with_a_speaker_too_few_is_refused(dump):
    write_table(dump / "utt2spks", {utt: "a" for utt in read_table(dump / "wav.scp")})
    with pytest.raises(ContrasepError, match="utt2spks: 'a_spk_03_m3': expected 2 speakers, got 1"):
        _ = DumpSet(dump).speakers
    write_table(dump / "utt2spks", {"other": "a b"})
    with pytest.raises(ContrasepError, match="utt2spks: key 'a_spk_03_m3' missing"):
        _ = DumpSet(dump).speakers


def test_scores_name_the_speakers(dump, config, contrasep, tmp_path):
    from contrasep_lib.score.tables import read_rows

    settings = ["--config", config, "--set", "separate.separator=oracle_ibm", "--set", "score.metrics=[si_snr]"]
    for options in ((), ("--merge", 1)):
        contrasep("separate-set", *settings, "--dump", dump, "--out", "separated", *options, check=True)
    contrasep("score", *settings, "--dump", dump, "--separated", "separated", "--out", "score", check=True)
    assert {row.utt: row.speakers for row in read_rows(tmp_path / "score/scores.tsv")} == DumpSet(dump).speakers
    assert np.unique([name for row in read_rows(tmp_path / "score/scores.tsv") for name in row.speakers]).tolist() == [
        "a", "spk_01", "spk_02", "spk_03",
    ]
