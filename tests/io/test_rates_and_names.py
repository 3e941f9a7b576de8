"""Stages 0 to 2 over what a corpus may bring: files of several rates, and names too long for a file."""

import numpy as np
import pytest
import soundfile

from contrasep_lib.io.dumpset import DumpSet
from contrasep_lib.io.ids import LONGEST, is_id, mixture_id, mixture_speaker, shortened
from contrasep_lib.io.scp import invert_utt2spk, read_table, write_table
from contrasep_lib.mix.lists import Mixture

CONFIG = "mix: {sets: {tt: 2}, rate: 8000}\ndump: {shard: 2}\nseparate: {separator: oracle_ibm}\n"


@pytest.fixture
def stages(contrasep, tmp_path):
    """Mixing, data directories and dumps of a set of single speakers: speaker -> rate of its file."""

    def run(rates, num_spk):
        rng, folder = np.random.default_rng(5), tmp_path / "sources/tt"
        (tmp_path / "c.yaml").write_text(CONFIG)
        wav, utt2spk = {}, {}
        for speaker, rate in rates.items():
            utt, path = f"{speaker}-1", tmp_path / f"{speaker}.wav"
            soundfile.write(path, 0.1 * rng.standard_normal(rate // 4).clip(-3, 3), rate, subtype="PCM_16")
            wav[utt], utt2spk[utt] = str(path), speaker
        tables = (("wav.scp", wav), ("utt2spk", utt2spk), ("spk2utt", invert_utt2spk(utt2spk)))
        for name, table in (*tables, ("utt2dur", dict.fromkeys(wav, "0.25"))):
            write_table(folder / name, table)
        mixed, single = f"data/tt_{num_spk}mix", "data/tt_single"
        for words in (
            f"make-lists --config c.yaml --sources sources --num-spk {num_spk} --out lists",
            "mix --config c.yaml --list lists/tt.txt --sources sources/tt --out tree",
            f"prepare-data --sources sources/tt sources/tt --list lists/tt.txt --mixtures tree --out {mixed} {single}",
            f"validate-data {mixed} {single} --rate 8000",
            f"dump --config c.yaml --data {mixed} {single} --out dump/tt_{num_spk}mix dump/tt_single",
            f"dump --config c.yaml --data {mixed} {single} --out dump/tt_{num_spk}mix dump/tt_single --merge",
        ):
            contrasep(*words.split(), check=True)
        return DumpSet(tmp_path / f"dump/tt_{num_spk}mix"), DumpSet(tmp_path / "dump/tt_single")

    return run


def test_files_of_several_rates_make_mixtures_of_one(stages):
    mixtures, singles = stages({"a": 8000, "b": 16000, "c": 44100, "d": 11025}, 2)
    for dump, keys in ((mixtures, 2), (singles, 4)):
        assert len(dump.keys) == keys
        for key in dump.keys:
            samples, rate = dump.mixture_and_rate(key)
            assert rate == 8000 and abs(len(samples) - 2000) <= 1
            assert np.abs(dump.sources(key).sum(0) - samples).max() < 2e-4


def test_mixtures_of_ten_talkers_with_long_names_reach_stage_5(stages, contrasep, tmp_path):
    names = [f"speaker{number:02d}-{'x' * 25}" for number in range(10)]
    mixtures, _ = stages(dict.fromkeys(names, 8000), 10)
    assert mixtures.num_spk == 10 and all(is_id(key) and len(key) == LONGEST for key in mixtures.keys)
    assert {frozenset(names) for names in mixtures.speakers.values()} == {frozenset(names)}
    contrasep(*"separate-set --config c.yaml --dump dump/tt_10mix --out out".split(), check=True)
    contrasep(*"separate-set --config c.yaml --dump dump/tt_10mix --out out --merge 1".split(), check=True)
    assert set(read_table(tmp_path / "out/spk10.scp")) == set(mixtures.keys)


def test_names_that_fit_stay_as_they_are():
    """Those of WSJ0-mix, and of five talkers of LibriSpeech."""
    mixture = Mixture(("x/01to030v.wav", "x/02aa010m.wav"), ("0.76421", "-0.76421"))
    assert mixture.name == "01to030v_0.76421_02aa010m_-0.76421"
    assert mixture_id(("01t", "02a"), mixture.name) == f"01t_02a_{mixture.name}"
    five = Mixture(tuple(f"{n}842-302203-0000" for n in range(1, 6)), ("-0.76421",) * 5)
    assert five.name.count("_") == 9 and len(mixture_id(["8842"] * 5, five.name)) < LONGEST


def test_shortened_names_are_ids_and_differ():
    long = ["é" * 300, "é" * 301, "a" * 241, "a" * 242]
    short = [shortened(name) for name in long]
    assert len(set(short)) == 4 and all(is_id(name) and len(name.encode()) <= LONGEST for name in short)
    speakers = [f"speaker{number}" for number in range(40)]
    assert mixture_id(speakers, "x" * 400).startswith(mixture_speaker(speakers))
