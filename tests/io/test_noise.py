"""Noise: a source that adds to the mixture and is no talker, from data directory to scores."""

import json

import numpy as np
import pytest
import soundfile

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.dumpset import DumpSet, SeparatedSet, source_tables
from contrasep_lib.io.scp import read_table, write_table
from contrasep_lib.score.tables import read_rows
from contrasep_lib.train.data import FixedMixtures
from tests.corpus.trees import write_wham


@pytest.fixture
def noisy(tmp_path, contrasep):
    """Four mixtures of two talkers and noise: their data directory and their dump."""
    write_wham(tmp_path / "w", ("tt",), 4)
    (tmp_path / "c.yaml").write_text("dump: {shard: 3}\nscore: {plots: 1}\n")
    contrasep("import-mixtures", "--corpus", "w", "--out", "o", "--set", "corpus.mixtures.mixture=mix_both", "--set",
              "mix.sets={tt: 9}", check=True)
    contrasep("prepare-data", "--sources", "o/mixtures/tt", "--out", "data/tt_2mix", check=True)
    for more in ((), ("--merge",)):
        contrasep("dump", "--config", "c.yaml", "--data", "data/tt_2mix", "--out", "dump/tt_2mix", *more, check=True)
    return tmp_path / "data/tt_2mix", tmp_path / "dump/tt_2mix"


def test_a_dump_has_it_beside_the_talkers(noisy):
    data, folder = noisy
    assert [path.name for path in source_tables(data)] == ["spk1.scp", "spk2.scp", "noise.scp"]
    dump = DumpSet(folder)
    assert dump.num_spk == 2 and all(len(names) == 2 for names in dump.speakers.values())
    for key in dump.keys:
        assert dump.sources(key).shape[0] == 2 and dump.noise(key).shape == dump.mixture(key).shape
        np.testing.assert_array_equal(dump.sources(key).sum(0) + dump.noise(key), dump.mixture(key))
    assert all(len(sums.split()) == 4 for sums in read_table(folder / "utt2checksum").values())
    # training learns talkers of the noisy mixture
    from contrasep_lib.mix.options import MixOptions
    from contrasep_lib.train.options import TrainOptions

    item = FixedMixtures([dump], TrainOptions(data="fixed", segment_seconds=None), MixOptions())[1, 0]
    assert item["sources"].shape[0] == 2 == len(item["speaker"])
    assert not np.allclose(item["sources"].sum(0), item["mixture"])


def test_a_set_without_noise_has_none(mixed):
    dump = DumpSet(mixed[3])
    assert dump.noise(dump.keys[0]) is None and source_tables(mixed[3])[-1].name == "spk2.scp"


def test_damage_is_found(noisy):
    _, folder = noisy
    ark = folder / "noise.1.ark"
    content = bytearray(ark.read_bytes())
    content[-3] ^= 1
    ark.write_bytes(content)
    dump = DumpSet(folder)
    with pytest.raises(ContrasepError, match=r"noise.1.ark: damaged at the entry of"):
        for key in dump.keys:
            dump.noise(key)
    table = read_table(folder / "noise.scp")
    write_table(folder / "noise.scp", dict(list(table.items())[1:]))
    with pytest.raises(ContrasepError, match="noise.scp: key '.*' missing"):
        DumpSet(folder)


def test_violations(noisy, contrasep, tmp_path):
    data, _ = noisy
    table = read_table(data / "noise.scp")
    key = next(iter(table))
    sound, rate = soundfile.read(table[key], dtype="int16")
    soundfile.write(tmp_path / "short.wav", sound[:-5], rate)
    soundfile.write(tmp_path / "silent.wav", 0 * sound, rate)
    for entry, says in (
        ("short.wav", f"{key}: noise has {len(sound) - 5} samples, the mixture {len(sound)}"),
        # no noise is no error, but then the talkers have to add up
        ("silent.wav", f"{key}: the sources and the noise do not add up to the mixture"),
        ("cat x |", "noise.scp: "), ("none.wav", f"{key}: none.wav: no such audio file"),
    ):
        write_table(data / "noise.scp", table | {key: entry})
        done = contrasep("validate-data", data)
        assert done.returncode == 1 and says in done.stderr and "all zero" not in done.stderr, done.stderr
    write_table(data / "noise.scp", {key: table[key]})
    assert "noise.scp: key" in contrasep("validate-data", data).stderr
    for number in (1, 2):
        (data / f"spk{number}.scp").unlink()
    assert "noise of mixtures whose sources, spk1.scp .., are not there" in contrasep("validate-data", data).stderr


@pytest.mark.parametrize("oracle", ["oracle_ibm", "oracle_irm"])
def test_oracles_give_it_to_no_talker(noisy, contrasep, tmp_path, oracle):
    _, folder = noisy
    words = ("--config", "c.yaml", "--set", f"separate.separator={oracle}", "--dump", folder)
    contrasep("separate-set", *words, "--out", "s", check=True)
    contrasep("separate-set", *words, "--out", "s", "--merge", 1, check=True)
    dump, separated = DumpSet(folder), SeparatedSet(tmp_path / "s")
    noises = read_table(tmp_path / "s/noise.scp")
    assert len(separated.spk) == 2 and list(noises) == dump.keys
    for key in dump.keys:
        outputs, (noise, _) = separated.outputs(key), soundfile.read(noises[key])
        assert len(outputs) == 2
        np.testing.assert_allclose(outputs.sum(0) + noise, dump.mixture(key), atol=3 / 32768)
        assert np.corrcoef(noise, dump.noise(key))[0, 1] > 0.7
    # what goes to the noise is 0, as silent nodes are
    from contrasep_lib.report.plots import read_assignment

    labels = read_assignment(tmp_path / "s", dump.keys[0])
    assert labels.max() == 2 and (labels == 0).mean() > 0.2
    contrasep("score", *words, "--separated", "s", "--out", "x", check=True)
    rows = read_rows(tmp_path / "x/scores.tsv")
    assert all(row.num_spk == 2 == row.outputs == len(row.permutation) == len(row.speakers) for row in rows)
    name = oracle.removeprefix("oracle_")
    # through files and in memory
    assert all(row.oracles[name] == pytest.approx(row["si_snri"], abs=0.05) for row in rows)
    assert (tmp_path / "x/plots").is_dir()


def test_oracles_that_know_the_noise_reach_more(noisy):
    from contrasep_lib.config.choices import options_class
    from contrasep_lib.nodes.options import FeatureOptions
    from contrasep_lib.score.oracles import oracle_improvements

    dump, oracles = DumpSet(noisy[1]), {"irm": options_class("oracle", "irm")()}
    gains = []
    for key in dump.keys:
        mixture, sources = dump.mixture(key), dump.sources(key)
        known, unknown = (
            oracle_improvements(mixture, sources, FeatureOptions(), oracles, noise)["irm"]
            for noise in (dump.noise(key), None)
        )
        gains.append(known - unknown)
    assert min(gains) > 0.1


def test_what_separates_depends_on_the_noise(noisy, contrasep, tmp_path):
    """A rerun after another noise keeps nothing of the run before."""
    _, folder = noisy
    words = ("separate-set", "--config", "c.yaml", "--set", "separate.separator=oracle_irm")
    words += ("--dump", folder, "--out", "s")
    contrasep(*words, check=True)
    assert "4 utterances of an interrupted run kept" in contrasep(*words, check=True).stdout
    (folder / "noise.scp").unlink()
    assert "kept" not in contrasep(*words, check=True).stdout


def test_speech_of_a_model_has_no_noise(tmp_path):
    """A separator without an output for noise leaves no table of it."""
    from contrasep_lib.separate.separation import Separation
    from contrasep_lib.separate.writer import Writer, merge_parts

    made = Separation(np.zeros((2, 800), np.float32), np.eye(2, dtype=np.float32), (2,), True)
    with Writer(tmp_path, 1, 8000) as writer:
        writer.write("a", made, 0.1)
    merge_parts(tmp_path, 1)
    assert not (tmp_path / "noise.scp").exists() and not (tmp_path / "wavs/noise").exists()
    assert json.loads((tmp_path / "speed.json").read_text())
