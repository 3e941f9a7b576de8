"""The dump: round trips through kaldiio and by Kaldi's format, shards, resuming, errors."""

import io
import struct
import wave

import kaldiio
import numpy as np
import pytest
import soundfile

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import _remove_leftovers
from contrasep_lib.io.dumpset import DumpSet
from contrasep_lib.io.scp import read_table
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.nodes.spectra import log_spectrum, mean_and_std


def test_samples_survive(mixed):
    _, _, data, folder = mixed
    dump = DumpSet(folder)
    assert dump.num_spk == 2 and dump.rate == 8000 and dump.keys == list(read_table(data / "wav.scp"))
    for key in dump.keys:
        original, _ = soundfile.read(read_table(data / "wav.scp")[key], dtype="int16")
        np.testing.assert_array_equal(dump.mixture(key) * 2**15, original)
        rate, loaded = kaldiio.load_mat(dump.wav[key])
        assert rate == 8000 and loaded.dtype == np.int16
        np.testing.assert_array_equal(loaded, original)
        for number, row in enumerate(dump.sources(key), 1):
            source, _ = soundfile.read(read_table(data / f"spk{number}.scp")[key], dtype="int16")
            np.testing.assert_array_equal(row * 2**15, source)
        assert int(read_table(folder / "utt2num_samples")[key]) == len(original)
    assert read_table(folder / "utt2spk") == read_table(data / "utt2spk")


def test_entries_are_what_kaldi_reads(mixed):
    """Kaldi seeks to the offset of an scp entry and reads a RIFF file from there; before it stands 'KEY '."""
    folder = mixed[3]
    for key, entry in read_table(folder / "wav.scp").items():
        ark, _, offset = entry.rpartition(":")
        content = open(ark, "rb").read()
        assert content[: int(offset)].endswith(key.encode() + b" ")
        with wave.open(io.BytesIO(content[int(offset):])) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
            assert file.getnframes() == int(read_table(folder / "utt2num_samples")[key])


def test_statistics(mixed):
    folder = mixed[3]
    [(key, stats)] = kaldiio.load_ark(str(folder / "global_cmvn.ark"))
    dump = DumpSet(folder)
    spectra = np.concatenate([log_spectrum(dump.mixture(key), FeatureOptions()) for key in dump.keys])
    mean, std = mean_and_std(stats)
    assert key == "global" and stats.dtype == np.float64
    np.testing.assert_allclose(mean, spectra.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(std, spectra.std(axis=0), rtol=1e-4)


def dump_again(contrasep, config, data, out, *options, parts=1):
    for part in range(1, parts + 1):
        contrasep(
            "dump", "--config", config, "--data", data, "--out", out, "--part", f"{part}/{parts}", *options, check=True
        )
    contrasep("dump", "--config", config, "--data", data, "--out", out, "--merge", *options, check=True)


@pytest.mark.parametrize("kind, tolerance", [("float32", 1e-6), ("compressed", 0.1)])
def test_spectra(mixed, contrasep, config, tmp_path, kind, tolerance):
    dump_again(contrasep, config, mixed[2], "d", "--set", f"dump.spectra={kind}")
    dump = DumpSet(tmp_path / "d")
    for key, entry in read_table(tmp_path / "d/feats.scp").items():
        spectrum = log_spectrum(dump.mixture(key), FeatureOptions())
        loaded = kaldiio.load_mat(str(tmp_path / entry))
        assert loaded.shape == spectrum.shape and np.abs(loaded - spectrum).max() < tolerance * np.ptp(spectrum)
        ark, _, offset = entry.rpartition(":")
        head = open(tmp_path / ark, "rb").read()[int(offset):][:5]
        assert head[:2] == b"\0B" and head[2:4] == (b"CM" if kind == "compressed" else b"FM")


def test_flac(mixed, contrasep, config, tmp_path):
    dump_again(contrasep, config, mixed[2], tmp_path / "f", "--set", "dump.audio=flac")
    plain, flac = DumpSet(mixed[3]), DumpSet(tmp_path / "f")
    for key in plain.keys:
        np.testing.assert_array_equal(plain.sources(key), flac.sources(key))
    assert (tmp_path / "f/wav.1.ark").stat().st_size < (mixed[3] / "wav.1.ark").stat().st_size


def test_same_bytes_on_any_number_of_jobs_and_after_a_kill(mixed, contrasep, config, tmp_path):
    dump_again(contrasep, config, mixed[2], "many", parts=3)
    # a kill between an ark and its statistics, and one that leaves a half-written temporary file
    contrasep("dump", "--config", config, "--data", mixed[2], "--out", "killed", check=True)
    (tmp_path / "killed/stats.2.ark").unlink()
    (tmp_path / "killed/spk1.2.ark").write_bytes(b"half")
    (tmp_path / "killed/.contrasep-0123456789abcdef.ark").write_bytes(b"half")
    # commands run in this process, which has looked for leftovers already
    _remove_leftovers.cache_clear()
    dump_again(contrasep, config, mixed[2], "killed")
    names = sorted(path.name for path in (tmp_path / "many").iterdir())
    assert sorted(path.name for path in (tmp_path / "killed").iterdir()) == names and "wav.3.ark" in names
    for name in names:
        expected = (tmp_path / "many" / name).read_bytes()
        assert (tmp_path / "killed" / name).read_bytes().replace(b"killed/", b"many/") == expected, name


def test_an_unfinished_dump_is_not_merged(mixed, contrasep, config):
    (mixed[3] / "stats.2.ark").unlink()
    done = contrasep("dump", "--config", config, "--data", mixed[2], "--out", mixed[3], "--merge")
    assert done.returncode == 1 and "shard 2 of 3 is missing" in done.stderr


def test_other_rates_are_resampled(sources_dir, contrasep, config, tmp_path):
    dump_again(contrasep, config, sources_dir, tmp_path / "d", "--set", "mix.rate=16000")
    single = DumpSet(tmp_path / "d")
    assert single.num_spk == 1 and single.rate == 16000
    original, _ = soundfile.read(read_table(sources_dir / "wav.scp")["a-0"])
    assert single.mixture("a-0").shape == (2 * len(original),)
    np.testing.assert_array_equal(single.sources("a-0"), single.mixture("a-0")[None])


def test_sources_of_another_length_are_refused(mixed, contrasep, config):
    data = mixed[2]
    key, path = next(iter(read_table(data / "spk2.scp").items()))
    samples, rate = soundfile.read(path, dtype="int16")
    soundfile.write(path, samples[:-7], rate)
    done = contrasep("dump", "--config", config, "--data", data, "--out", "d")
    assert done.returncode == 1 and path in done.stderr and "samples, the mixture" in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("contrasep dump:")


@pytest.mark.parametrize("damage, says", [
    (lambda content, offset: content[:offset] + b"JUNK" + content[offset + 4:], "corrupt"),
    (lambda content, offset: content[: offset + 30], "corrupt"),
    (lambda content, offset: content[:offset] + b"\0BFM \4" + struct.pack("<i", 7), "corrupt"),
    (lambda content, offset: b"", "corrupt"),
])
def test_a_corrupt_ark_is_named(mixed, damage, says):
    dump = DumpSet(mixed[3])
    key = dump.keys[0]
    ark, _, offset = dump.wav[key].rpartition(":")
    content = open(ark, "rb").read()
    open(ark, "wb").write(damage(content, int(offset)))
    with pytest.raises(ContrasepError, match=says) as error:
        dump.mixture(key)
    assert ark in str(error.value) and "\n" not in str(error.value)


def test_missing_pieces_are_named(mixed):
    folder = mixed[3]
    dump = DumpSet(folder)
    ark = dump.wav[dump.keys[0]].rpartition(":")[0]
    import os

    os.unlink(ark)
    with pytest.raises(ContrasepError, match="which is not there; run the stage"):
        dump.mixture(dump.keys[0])
    lines = (folder / "spk2.scp").read_text().splitlines(keepends=True)
    (folder / "spk2.scp").write_text("".join(lines[1:]))
    with pytest.raises(ContrasepError, match="spk2.scp: key .* missing"):
        DumpSet(folder)
    with pytest.raises(ContrasepError, match="run stage 2"):
        DumpSet(folder.parent / "nothing")


def test_a_set_of_another_recipe_is_read_from_anywhere(tmp_path, monkeypatch):
    """Entries are relative to a recipe's folder, and two recipes have files of the same names."""
    for number, recipe in enumerate(("one_2mix", "other_2mix"), 1):
        (tmp_path / recipe / "dump/tt_2mix").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / recipe)
        entries = {"utt": (8000, np.full(100, 100 * number, np.int16))}
        kaldiio.save_ark("dump/tt_2mix/wav.ark", entries, scp="dump/tt_2mix/wav.scp")
    for place in (".", "../one_2mix", ".."):
        monkeypatch.chdir(tmp_path / "other_2mix" / place)
        for number, recipe in enumerate(("one_2mix", "other_2mix"), 1):
            samples = DumpSet(tmp_path / recipe / "dump/tt_2mix").mixture("utt")
            np.testing.assert_array_equal(samples * 32768, np.full(100, 100 * number))


@pytest.mark.parametrize("audio", ["wav", "flac"])
def test_a_flipped_bit_is_found(mixed, config, contrasep, tmp_path, audio):
    """In the middle of the samples: headers and lengths are as they were."""
    out = tmp_path / "flipped"
    dump_again(contrasep, config, mixed[2], out, "--set", f"dump.audio={audio}")
    whole = DumpSet(out)
    key = whole.keys[0]
    sources = whole.sources(key)
    np.testing.assert_array_equal(sources, DumpSet(mixed[3]).sources(key))
    if audio == "flac":
        return
    ark, _, offset = read_table(out / "spk2.scp")[key].rpartition(":")
    content = bytearray(open(ark, "rb").read())
    content[int(offset) + 44 + len(sources[1])] ^= 1
    open(ark, "wb").write(content)
    DumpSet(out).mixture(key)
    with pytest.raises(ContrasepError, match=r"spk2\.1\.ark: damaged at the entry of .*; delete it and run stage 2"):
        DumpSet(out).sources(key)
    # what was dumped without sums is read as it is
    (out / "utt2checksum").unlink()
    DumpSet(out).sources(key)


def test_a_dump_without_checksums(mixed, config, contrasep, tmp_path):
    out = tmp_path / "plain"
    dump_again(contrasep, config, mixed[2], out, "--set", "dump.checksum=none")
    assert not list(out.glob("utt2checksum*")) and (mixed[3] / "utt2checksum").is_file()
    assert DumpSet(out).mixture(DumpSet(out).keys[0]).any()
