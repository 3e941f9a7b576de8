"""Finished mixtures: layouts of LibriMix, WHAM! and plain trees, noise, and one line for each error."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from contrasep_lib.corpus.mixture_tree import find_base, find_sets, read_entries, tree_of
from contrasep_lib.corpus.mixtures import find_talkers
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.scp import read_table
from contrasep_lib.io.validate import validate_tables
from tests.corpus.trees import tracks, write_librimix, write_tracks, write_wham

CLEAN, BOTH = ("--set", "corpus.mixtures.mixture=mix_clean"), ("--set", "corpus.mixtures.mixture=mix_both")


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trees")
    write_librimix(folder / "libri")
    write_librimix(folder / "libri", ("test",), 3, count=3)
    write_librimix(folder / "libri", ("test",), 3, mode="max")
    write_wham(folder / "wham")
    for part, source in (("train", "tr"), ("test", "tt")):
        for ours, theirs in (("mix", "mix_clean"), ("s1", "s1"), ("s2", "s2")):
            shutil.copytree(folder / "wham/wav8k/min" / source / theirs, folder / "plain" / part / ours)
    return folder


def tables(folder):
    errors, read = validate_tables(folder)
    assert errors == []
    return read


def test_librimix_by_its_own_lists(trees, contrasep, tmp_path):
    done = contrasep("import-mixtures", "--corpus", trees / "libri", "--out", "o", "--num-spk", 2, *CLEAN, check=True)
    assert "tr: 6 mixtures of 2 talkers in" in done.stdout
    assert "by the list mixture_train-100_mix_clean.csv" in done.stdout
    mixed = tables(tmp_path / "o/mixtures/tt")
    assert mixed["utt2spks"]["300_301_300-0-0000_301-1-0000"] == "300 301" and "noise.scp" not in mixed
    assert mixed["wav.scp"]["300_301_300-0-0000_301-1-0000"] == str(
        trees / "libri/Libri2Mix/wav8k/min/test/mix_clean/300-0-0000_301-1-0000.wav"
    )
    assert float(mixed["utt2dur"]["300_301_300-0-0000_301-1-0000"]) == 9000 / 8000
    single = tables(tmp_path / "o/tr")
    assert single["utt2spk"]["100-0-0000"] == "100" and len(single["utt2spk"]) == 12
    assert single["wav.scp"]["101-1-0000"].endswith("train-100/s2/100-0-0000_101-1-0000.wav")
    # nothing of a test set trains
    assert not (tmp_path / "o/tt").exists()


@pytest.mark.parametrize("where", ["libri", "libri/Libri2Mix", "libri/Libri2Mix/wav8k", "libri/Libri2Mix/wav8k/min"])
def test_any_of_the_upper_folders_does(trees, where):
    if where.endswith("wav8k"):
        assert find_base(trees / where, 8000, "min", 2).name == "min"
    else:
        assert find_base(trees / where, 8000, "min", 2) == trees / "libri/Libri2Mix/wav8k/min"


def test_first_lines_of_the_list(trees, contrasep, tmp_path):
    contrasep("import-mixtures", "--corpus", trees / "libri", "--out", "o", "--num-spk", 2, *BOTH, "--set",
              "mix.sets={tt: 2}", check=True)
    keys = list(read_table(tmp_path / "o/mixtures/tt/wav.scp"))
    # the list is in reverse order
    assert [key[-4:] for key in keys] == ["0004", "0005"]
    assert [path.name for path in (tmp_path / "o").iterdir()] == ["mixtures"]


def test_counts_modes_and_single_talkers(trees, contrasep, tmp_path):
    for name, words, count in (
        ("three", ("--num-spk", 3, *CLEAN), 3), ("max", ("--num-spk", 2, "--set", "mix.mode=max", *BOTH), 2),
        ("one", ("--num-spk", 1, "--set", "corpus.mixtures.mixture=mix_single"), 1),
    ):
        where = trees / "libri" if count != 1 else trees / "libri/Libri2Mix"
        contrasep("import-mixtures", "--corpus", where, "--out", name, "--set", "mix.sets={tt: 9}", *words, check=True)
        mixed = tables(tmp_path / name / "mixtures/tt")
        assert sum(table.startswith("spk") and table.endswith(".scp") for table in mixed) == count
        assert ("noise.scp" in mixed) == (name != "three")
        assert {len(names.split()) for names in mixed["utt2spks"].values()} == {count}
        assert (f"/{name}/" in next(iter(mixed["wav.scp"].values()))) == (name == "max")


def test_wham(trees, contrasep, tmp_path):
    done = contrasep("import-mixtures", "--corpus", trees / "wham", "--out", "o", *BOTH, check=True)
    assert "tt: 6 mixtures of 2 talkers and noise in" in done.stdout
    mixed = tables(tmp_path / "o/mixtures/tr")
    key = "01a_01b_01aa0100_1.0053_01bo0100_-1.0053"
    assert mixed["utt2spks"][key] == "01a 01b"
    assert mixed["noise.scp"][key].endswith("tr/noise/01aa0100_1.0053_01bo0100_-1.0053.wav")
    done = contrasep("validate-data", "o/mixtures/tr", "o/tr", "o/cv", "--rate", 8000, check=True)
    assert "o/mixtures/tr is valid (6 utterances, 2 speakers and noise)" in done.stdout
    # without its noise it is another mixture
    (tmp_path / "o/mixtures/tr/noise.scp").unlink()
    assert "the sources do not add up to the mixture" in contrasep("validate-data", "o/mixtures/tr").stderr


def test_a_plain_tree(trees, contrasep, tmp_path):
    done = contrasep("import-mixtures", "--corpus", trees / "plain", "--out", "o", check=True)
    assert "o: tr 6 mixtures, tt 6 mixtures" in done.stdout
    # the folders of one set
    done = contrasep("import-mixtures", "--corpus", trees / "plain/test", "--out", "one", check=True)
    assert "one: tt 6 mixtures" in done.stdout


def test_an_utterance_of_several_mixtures_is_taken_once_at_its_longest(contrasep, tmp_path, rng):
    for number, samples in enumerate((8000, 9000, 8500)):
        name = f"01aa0101_0.{number}1_01bo010{number}_-0.{number}1"
        made = tracks(rng, (100, 150), samples)
        write_tracks(tmp_path / "t/tr", name, {"mix": made["mix_clean"], "s1": made["s1"], "s2": made["s2"]})
    contrasep("import-mixtures", "--corpus", "t", "--out", "o", check=True)
    single = tables(tmp_path / "o/tr")
    assert len(single["wav.scp"]) == 4 and single["utt2dur"]["01aa0101"] == "1.125000"


def test_speakers_that_names_do_not_tell(trees, contrasep, tmp_path):
    tree = tmp_path / "t"
    shutil.copytree(trees / "plain/test", tree)
    names = sorted(path.stem for path in (tree / "mix").iterdir())
    for track in ("mix", "s1", "s2"):
        for number, name in enumerate(names):
            (tree / track / f"{name}.wav").rename(tree / track / f"m{number}.wav")
    done = contrasep("import-mixtures", "--corpus", "t", "--out", "o", check=True)
    assert "names tell no speakers" in done.stdout
    assert tables(tmp_path / "o/mixtures/tt")["utt2spks"]["m0-1_m0-2_m0"] == "m0-1 m0-2"
    (tmp_path / "who").write_text("".join(f"m{number}\tann  ben\n" for number in range(6)))
    table = ("--set", "corpus.mixtures.speakers=who")
    contrasep("import-mixtures", "--corpus", "t", "--out", "p", *table, check=True)
    assert tables(tmp_path / "p/mixtures/tt")["utt2spks"]["ann_ben_m0"] == "ann ben"
    (tmp_path / "who").write_text("m0 ann ben cy\n")
    done = contrasep("import-mixtures", "--corpus", "t", "--out", "q", *table)
    assert done.returncode == 1 and "who: 'm0': expected a line with 2 speakers, got 3" in done.stderr


def test_names_of_mixtures():
    libri, wsj = ["84-1-2_1-2-3"], ["01aa010k_1.3053_01po0310_-1.3053", "22ga010c_0_01bo030a_0"]
    assert find_talkers(libri, 2, "auto", None)[1] == "librispeech"
    assert find_talkers(wsj, 2, "auto", None)[1] == "wsj0mix"
    assert find_talkers(wsj, 2, "auto", None)[0][1] == [("22g", "22ga010c"), ("01b", "01bo030a")]
    assert find_talkers(libri + wsj, 2, "auto", None)[1] == "none" == find_talkers(libri, 2, "none", None)[1]
    # one talker of a mixture of two
    assert find_talkers(libri, 1, "auto", None)[0] == [[("84", "84-1-2")]]
    with pytest.raises(ContrasepError, match="01aa010k_.*: does not name 2 speakers, as names of 'librispeech' do"):
        find_talkers(wsj, 2, "librispeech", None)


def spoil_length(tree, name):
    sound, rate = soundfile.read(tree / f"s2/{name}.wav", dtype="int16")
    soundfile.write(tree / f"s2/{name}.wav", sound[:-10], rate)


def spoil_rate(tree, name):
    sound, _ = soundfile.read(tree / f"s1/{name}.wav", dtype="int16")
    soundfile.write(tree / f"s1/{name}.wav", sound, 16000)


def spoil_sum(tree, name):
    sound, rate = soundfile.read(tree / f"s1/{name}.wav", dtype="int16")
    sound[100] += 312
    soundfile.write(tree / f"s1/{name}.wav", sound, rate)


def spoil_noise(tree, name):
    sound, rate = soundfile.read(tree / f"noise/{name}.wav", dtype="int16")
    soundfile.write(tree / f"noise/{name}.wav", sound[:-10], rate)


@pytest.mark.parametrize("spoil, says", [
    (spoil_length, "source 2 has 7990 samples, the mixture 8000"),
    (spoil_noise, "noise has 7990 samples, the mixture 8000"),
    (spoil_rate, "expected 8000 Hz, got 16000 Hz"),
    (spoil_sum, "the sources and the noise do not add up to the mixture (off by 312 steps of 16 bits)"),
    (lambda tree, name: (tree / f"s2/{name}.wav").unlink(), "tr/s2: no such audio file"),
    (lambda tree, name: (tree / f"s2/{name}.wav").write_bytes(b""), "cannot be read as audio"),
    (lambda tree, name: (tree / f"mix_both/{name}.wav").unlink(), "in {tree}/s1 but not in mix_both (1 such files)"),
])
def test_errors_are_one_line_that_names_the_mixture(trees, contrasep, tmp_path, spoil, says):
    tree = shutil.copytree(trees / "wham/wav8k/min/tr", tmp_path / "t/tr")
    name = "01aa0100_1.0053_01bo0100_-1.0053"
    spoil(tree, name)
    done = contrasep("import-mixtures", "--corpus", "t", "--out", "o", *BOTH)
    assert done.returncode == 1 and not (tmp_path / "o/mixtures").exists()
    lines = (tmp_path / "o/errors.txt").read_text().splitlines()
    expected = says.format(tree="t/tr")
    assert lines and all(line.startswith(name) for line in lines) and expected in lines[0], lines
    assert lines[0] in done.stderr and "all are in o/errors.txt" in done.stderr
    leave_out = ("--set", "corpus.mixtures.leave_out=true")
    done = contrasep("import-mixtures", "--corpus", "t", "--out", "o", *BOTH, *leave_out, check=True)
    assert "tr 5 mixtures" in done.stdout and "mixtures have errors and are left out" in done.stderr


def test_other_lengths_than_the_list_says(trees, contrasep, tmp_path):
    base = shutil.copytree(trees / "libri/Libri2Mix/wav8k/min", tmp_path / "t")
    path = base / "metadata/mixture_test_mix_clean.csv"
    path.write_text(path.read_text().replace(",9000", ",9001"))
    done = contrasep("import-mixtures", "--corpus", "t", "--out", "o", *CLEAN, "--set", "mix.sets={tt: 9}")
    name = "300-0-0000_301-1-0000"
    assert f"{name}: t/test/mix_clean/{name}.wav: 9000 samples, its list says 9001" in done.stderr


@pytest.mark.parametrize("content, says", [
    ("a,b\n", "mixture_test_mix_clean.csv: no column 'mixture_ID'"),
    ("mixture_ID,mixture_path,length\nx,y\n", ":2: expected 3 fields"),
    ("mixture_ID,mixture_path,length\nx,y.wav,long\n", ":2: expected a length in samples, got 'long'"),
    ("mixture_ID,mixture_path,length\nx,../../x.wav,9\n", "x: t/test/mix_clean: no such audio file"),
    ("mixture_ID,mixture_path,length\nx,a/..wav,9\n", "expected a name of letters"),
    ("mixture_ID,mixture_path,length\n", "no mixtures in it"),
    (b"\xff\xfe", "cannot be read as a list"),
])
def test_faulty_lists(trees, contrasep, tmp_path, content, says):
    base = shutil.copytree(trees / "libri/Libri2Mix/wav8k/min", tmp_path / "t")
    path = base / "metadata/mixture_test_mix_clean.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    done = contrasep("import-mixtures", "--corpus", "t", "--out", "o", *CLEAN, "--set", "mix.sets={tt: 9}")
    assert done.returncode == 1 and says in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("words, says", [
    ((), "several folders of mixtures (mix_both, mix_clean, mix_single); name one"),
    (("--set", "corpus.mixtures.mixture=mix_all"), "no folder mix_all of mixtures; there are mix_both, mix_clean"),
    ((*BOTH, "--num-spk", 3), "expected sources of 3 talkers in mix_both, got s1, s2; --num-spk"),
    ((*BOTH, "--set", "corpus.mixtures.noise=hum"), "no folder hum of noise"),
    ((*BOTH, "--set", "corpus.mixtures.sets={tr: a, tt: tt}"), "no folder a for the set tr; there are cv, tr, tt"),
    ((*BOTH, "--set", "mix.sets={tr: 1, xx: 2}"), "no folder xx for the set xx"),
    ((*BOTH, "--set", "mix.rate=16000"), "no folder s1 of sources, neither in wav16k/min/SET nor in SET"),
])
def test_wrong_calls(trees, contrasep, words, says):
    done = contrasep("import-mixtures", "--corpus", trees / "wham", "--out", "o", *words)
    assert done.returncode == 1 and says in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_sets_that_may_be_missing(trees):
    found = find_sets(trees / "wham/wav8k/min", ["tr", "tt", "dev", "tt_far"], None)
    assert list(found) == ["tr", "tt"]
    entries, errors = read_entries(tree_of(found["tr"], "mix_clean", "auto", 2))
    assert len(entries) == 6 and errors == [] and len(entries[0].paths) == 3


def test_the_bench_of_imports(tmp_path):
    program = Path(__file__).resolve().parents[2] / "tools/bench/import_mixtures.py"
    command = [sys.executable, program, "--files", "180", "--seconds", "0.1", "--work", tmp_path]
    run = subprocess.run([*command, "--json", tmp_path / "f.json"], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    figures = json.loads((tmp_path / "f.json").read_text())
    assert figures["files"] == 180 and 0 < figures["processor"] and f"| 180 | {figures['processor']} |" in run.stdout
