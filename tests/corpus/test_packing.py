"""Packs: within their size, speakers kept and even, and what comes out is what went in, but for the coding."""

import importlib.util
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from contrasep_lib.corpus.packing import encode, even_order, pack, read_spoken, size_of
from contrasep_lib.corpus.single import Utterance, write_single_set
from contrasep_lib.corpus.unpacking import decode, unpack
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.dumpset import DumpSet

ROOT = Path(__file__).resolve().parents[2]


def voiced(pitch, seconds, rate, seed):
    """A buzz of a wandering pitch under slow beats, as speech is to a codec, ``(samples,)``."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.1 * np.sin(2 * np.pi * rng.uniform(1, 3) * time))) / rate
    tone = sum(np.sin(k * phase) / k for k in range(1, 9))
    return 0.1 * tone * (0.55 + 0.45 * np.sin(2 * np.pi * 3 * time)) + 1e-4 * rng.standard_normal(len(time))


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Sources of stage 0 at 16 kHz: six speakers in tr, one of them with three times as much, two in cv."""
    folder = tmp_path_factory.mktemp("sources")
    for name, speakers in (("tr", "abcdef"), ("cv", "ab")):
        utterances = []
        for speaker in speakers:
            for number in range(12 if speaker == "c" else 4):
                samples = voiced(90 + 20 * ord(speaker) % 97, 1.5 + 0.37 * number % 1.1, 16000, [ord(speaker), number])
                path = folder / "wav" / f"{speaker}-{name}{number}.wav"
                path.parent.mkdir(exist_ok=True)
                soundfile.write(path, samples, 16000)
                gender = "f" if speaker in "ace" else "m"
                utterances.append(Utterance(path.stem, speaker, str(path), None, gender, len(samples), 16000))
        write_single_set(folder / name, utterances)
    return folder


@pytest.fixture(scope="module")
def sets(sources):
    return {name: read_spoken(sources / name, name) for name in ("tr", "cv")}


def by_speaker(index, name):
    seconds = Counter()
    for row in index["utterances"]:
        if row["set"] == name:
            seconds[row["speaker"]] += row["samples"] / 8000
    return seconds


def test_round_trip(sets, sources, tmp_path):
    pack(sets, tmp_path / "all.zip", 2**21)
    folders = unpack(tmp_path / "all.zip", tmp_path / "dump")
    assert [folder.name for folder in folders] == ["tr_single", "cv_single"]
    for name, folder in zip(sets, folders):
        dump = DumpSet(folder)
        assert dump.keys == sorted(u.utt_id for u in sets[name]) and dump.rate == 8000 and dump.num_spk == 1
        for table in ("utt2spk", "spk2utt", "spk2gender"):
            assert (folder / table).read_bytes() == (sources / name / table).read_bytes()
        for utterance in sets[name][::5]:
            original, rate = soundfile.read(utterance.entry)
            expected = original[::2] if rate == 16000 else original
            got = dump.mixture(utterance.utt_id)
            assert len(got) == len(expected)
            assert 10 * np.log10(np.square(expected).sum() / np.square(expected - got).sum()) > 10
        assert '"lossy": true' in (folder / "packed.json").read_text()
    assert not list((tmp_path / "dump").glob(".*"))


def test_a_dump_packs_as_its_sources_do(sets, tmp_path):
    pack(sets, tmp_path / "all.zip", 2**21)
    unpack(tmp_path / "all.zip", tmp_path / "dump")
    again = {name: read_spoken(tmp_path / "dump" / f"{name}_single", name) for name in sets}
    one, other = (pack(these, tmp_path / "small.zip", 60000) for these in (sets, again))
    chosen = [{(row["set"], row["utt"]) for row in index["utterances"]} for index in (one, other)]
    # coded twice, sizes differ by a little
    assert len(chosen[0] ^ chosen[1]) <= 2


def test_the_size_is_kept_and_speakers_are_even(sets, tmp_path):
    total = sum(u.seconds for u in sets["tr"])
    for size in (40_000, 60_000, 120_000):
        index = pack(sets, tmp_path / "p.zip", size)
        got = (tmp_path / "p.zip").stat().st_size
        assert 0.8 * size < got <= size
        seconds = by_speaker(index, "tr")
        assert sum(seconds.values()) < total and set(seconds) == set("abcdef")
        # one utterance apart at most, while all have some left
        if size < 120_000:
            assert max(seconds.values()) - min(seconds.values()) < 2.7
        assert by_speaker(index, "cv")
        # the same again
        assert pack(sets, tmp_path / "q.zip", size) == index
    assert pack(sets, tmp_path / "q.zip", 60_000, seed=1) != pack(sets, tmp_path / "p.zip", 60_000)
    with zipfile.ZipFile(tmp_path / "p.zip") as file:
        assert file.testzip() is None


def test_order_is_even_from_the_start(sets):
    order = even_order(sets["tr"], 3)
    assert sorted(u.utt_id for u in order) == sorted(u.utt_id for u in sets["tr"])
    assert {u.speaker for u in order[:6]} == set("abcdef")


def test_the_rate_of_bits_is_about_what_is_asked_for():
    samples = voiced(120, 20, 8000, 0)
    for kbits in (8, 16, 32):
        assert 0.6 * kbits < len(encode(samples, kbits)) * 8 / 20 / 1000 < 1.4 * kbits
    assert len(decode(encode(samples), "x", len(samples))) == len(samples)


def test_training_reads_it(sets, tmp_path):
    from contrasep_lib.mix.options import MixOptions
    from contrasep_lib.train.data import train_dataset
    from contrasep_lib.train.options import TrainOptions

    pack(sets, tmp_path / "p.zip", 60_000)
    folder = unpack(tmp_path / "p.zip", tmp_path / "dump")[0]
    data = train_dataset([folder], TrainOptions(data="dynamic", num_spk=(2,), segment_seconds=1.0), MixOptions())
    item = data[1, 0]
    assert item["sources"].shape == (2, 8000) and np.abs(item["mixture"]).max() > 0


def test_errors(sets, sources, tmp_path, mixed):
    with pytest.raises(ContrasepError, match="no utterance of 'tr' fits"):
        pack(sets, tmp_path / "p.zip", 3000)
    assert not list(tmp_path.glob("*p.zip*"))
    with pytest.raises(ContrasepError, match="between 6 and 256"):
        pack(sets, tmp_path / "p.zip", 10**6, kbits=2)
    with pytest.raises(ContrasepError, match="a set of mixtures"):
        read_spoken(mixed[3], "tt")
    pack(sets, tmp_path / "p.zip", 60_000)
    unpack(tmp_path / "p.zip", tmp_path / "dump")
    with pytest.raises(ContrasepError, match="already there"):
        unpack(tmp_path / "p.zip", tmp_path / "dump")
    whole = (tmp_path / "p.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[:5000])
    (tmp_path / "bad.zip").write_bytes(whole[:2000] + bytes(500) + whole[2500:])
    for name in ("cut", "bad"):
        with pytest.raises(ContrasepError, match="damaged"):
            unpack(tmp_path / f"{name}.zip", tmp_path / name)
        assert not (tmp_path / name / "tr_single" / "wav.scp").exists()
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as file:
        file.writestr(
            "index.json",
            '{"format": "contrasep pack", "version": 1, "rate": 8000, "kbits": 16, "utterances": '
            '[{"set": "../tr", "utt": "a", "speaker": "a", "gender": null, "samples": 1}]}',
        )
    with pytest.raises(ContrasepError, match="expected an id"):
        unpack(tmp_path / "evil.zip", tmp_path / "evil")


@pytest.mark.parametrize(
    "text, size", [("40M", 40 * 2**20), ("1.5G", 3 * 2**29), ("800k", 800 * 1024), ("12", 12), ("2MiB", 2**21)]
)
def test_sizes(text, size):
    assert size_of(text) == size


@pytest.mark.parametrize("text", ["", "M", "-3M", "4T", "0"])
def test_no_sizes(text):
    with pytest.raises(ContrasepError, match="40M"):
        size_of(text)


def test_the_tool(sources, tmp_path, capsys):
    spec = importlib.util.spec_from_file_location("pack_corpus", ROOT / "tools/pack_corpus.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.main(["--sources", str(sources), "--size", "50K", "--out", str(tmp_path / "p.zip")]) == 0
    assert "of 6 speakers" in capsys.readouterr().out
    assert tool.main(["--unpack", str(tmp_path / "p.zip"), "--out", str(tmp_path / "dump")]) == 0
    assert (tmp_path / "dump/tr_single/wav.scp").is_file()
    assert tool.main(["--sources", str(tmp_path), "--out", str(tmp_path / "q.zip")]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("pack_corpus.py: ") and "wav.scp" in error
