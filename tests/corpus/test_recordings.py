"""A corpus that a file lists: ids, sets, rates and codings side by side, and every mistake in one line of stage 0."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import soundfile

from contrasep_lib.corpus.base import Request
from contrasep_lib.corpus.listing import split_listed, summary
from contrasep_lib.corpus.options import RecordingsOptions
from contrasep_lib.corpus.recordings import (
    Listed,
    Recording,
    Recordings,
    list_recordings,
    load_function,
    name_all,
    plain,
    prefix_of,
    transcript,
)
from contrasep_lib.corpus.single import Utterance
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.scp import read_table
from contrasep_lib.io.validate import speaker_order, validate_tables
from tests.conftest import burst

LIST = """from pathlib import Path
from contrasep_lib.corpus.recordings import Recording
def recordings(corpus):
    for path in sorted(corpus.glob("*/*.*")):
        if path.suffix != ".txt":
            yield Recording(path, path.parent.name, text=path.with_suffix(".txt"){more})
"""


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


@pytest.fixture
def speech(tmp_path, rng):
    """Six speakers of three recordings; of one a rate, a coding and two channels of its own."""
    for number, speaker in enumerate(("p1", "p1-b", "p13", "p2", "p3", "p4")):
        for take in range(3):
            rate = (8000, 16000, 48000)[(number + take) % 3]
            path = tmp_path / "speech" / speaker / f"{take}.{'flac' if take else 'wav'}"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, burst(rng, 0.6 + 0.1 * take, rate), rate, subtype="PCM_16")
            write(path.with_suffix(".txt"), f"Take {take}.\n")
    return tmp_path / "speech"


def corpus_of(tmp_path, more="", **options):
    file = write(tmp_path / "egs/mine_2mix/local/corpus.py", LIST.format(more=more))
    return Recordings.of_file(file, RecordingsOptions(**options))


def test_sets_of_any_rates_and_codings(speech, tmp_path, capsys):
    two = np.stack([np.full(4000, 0.1), np.full(4000, 0.3)], 1)
    if importlib.util.find_spec("av"):
        soundfile.write(speech / "p2/9.wav", two, 8000, subtype="PCM_16")
        write(speech / "p2/9.txt", "Take 2")
    made = corpus_of(tmp_path).prepare(Request(str(tmp_path / "out"), str(speech), jobs=1))
    tables = {name: read_table(tmp_path / "out" / name / "wav.scp") for name in ("tr", "cv", "tt")}
    assert made == {name: len(table) for name, table in tables.items()} and sum(made.values()) in (18, 19)
    speakers = {name: set(read_table(tmp_path / "out" / name / "utt2spk").values()) for name in tables}
    # half of six at most, and nobody in two sets
    assert len(speakers["tt"]) == 3 and speakers["cv"] == speakers["tr"] and not speakers["tr"] & speakers["tt"]
    assert all(name.startswith("mine-p") for names in speakers.values() for name in names)
    for name in tables:
        errors, read = validate_tables(tmp_path / "out" / name)
        assert errors == [] and set(read["text"].values()) <= {"TAKE 0", "TAKE 1", "TAKE 2"}
    if importlib.util.find_spec("av"):
        decoded = next(table["mine-p2-9"] for table in tables.values() if "mine-p2-9" in table)
        assert np.allclose(soundfile.read(decoded)[0], 0.2, atol=1e-3) and str(tmp_path / "out") in decoded
    assert "48000 Hz" in capsys.readouterr().out
    assert not (tmp_path / "out/errors.txt").exists()


def test_ids_keep_the_order_of_speakers():
    names = ["p1", "p1-b", "p1+b", "p13", "p1.b", "P1", "p1 b", "ñ1", "p1=b", "p-"]
    listed, errors = name_all([Recording(__file__, name, name="-x") for name in names], "mine")
    assert len(errors) == 9 and "listed twice" in errors[0]  # one file, so one of them
    ids = {f"mine-{plain(name)}-x": f"mine-{plain(name)}" for name in names}
    assert speaker_order(dict(sorted(ids.items()))) is None


@pytest.mark.parametrize("path, prefix", [
    ("egs/vctk_2mix/local/corpus.py", "vctk"), ("egs/my_own_3mix/local/list.py", "my_own"), ("here/lines.py", "lines"),
    ("egs/my-own_2mix/local/corpus.py", "my_own"),
])
def test_prefix_of_ids(path, prefix):
    assert prefix_of(path) == prefix


IMPORT = "from contrasep_lib.corpus.recordings import Recording\n"


@pytest.mark.parametrize("text, says", [
    ("x = 1", "no function recordings(corpus) in it"),
    ("def recordings(corpus):\n    retrun 3", "corpus.py:2: invalid syntax"),
    ("import no_such_module", "corpus.py:1: ModuleNotFoundError: No module named 'no_such_module'"),
    ("def recordings(corpus):\n    yield 1\n", "expected recordings() to yield Recording(path, speaker), got 1"),
    ("def recordings(corpus):\n    return []\n", "yields nothing for speech, which holds a/, b.txt; wrong"),
    ("def recordings(corpus):\n    x = {}\n    yield x['a']\n", "corpus.py:3: KeyError: 'a'"),
    ("def recordings(corpus):\n    row = {'file': 1, 'talker': 2}\n    yield row['x']\n", "; there are file, talker"),
    ("def recordings(corpus):\n    return open(corpus / 'none')\n", "corpus.py:2: FileNotFoundError"),
    ("def recordings(corpus):\n    return open(corpus / 'none')\n", "'speech/none'; speech holds a/, b.txt"),
    (f"{IMPORT}def recordings(corpus):\n    return Recording('a', 'b')\n", "corpus.py: TypeError: 'Recording' object"),
    (f"{IMPORT}def recordings(corpus):\n    return Recording('a', 'b')\n", "has to yield each Recording"),
    (f"{IMPORT}def recordings(corpus):\n    yield Recording('a', 'b', sex='f')\n", "takes path, speaker, text, gender"),
    (
        f"{IMPORT}def recordings(corpus):\n    yield from [Recording(corpus / x, x) for x in 'xy']\n",
        "none of the 2 audio files is there, e.g. speech/x; speech holds a/, b.txt",
    ),
    ("raise SystemExit(3)", "corpus.py:1: SystemExit: 3"),
])
def test_mistakes_of_the_file_are_one_line(tmp_path, monkeypatch, text, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "speech/a").mkdir(parents=True)
    write(tmp_path / "speech/b.txt", "")
    write(tmp_path / "corpus.py", text)
    with pytest.raises(ContrasepError) as error:
        list_recordings("corpus.py", "speech")
    assert says in str(error.value) and "\n" not in str(error.value)


def test_a_folder_that_is_not_there(tmp_path):
    file = write(tmp_path / "corpus.py", "def recordings(corpus):\n    return open(corpus / 'none')\n")
    with pytest.raises(ContrasepError, match=r"corpus.py:2: FileNotFoundError: .*nowhere/none'$"):
        list_recordings(file, tmp_path / "nowhere")


def test_a_file_that_is_not_there():
    with pytest.raises(ContrasepError, match="none.py: no such file; write the function"):
        load_function("none.py")


def test_mistakes_of_the_list(tmp_path):
    there = write(tmp_path / "a.wav", "x")
    found = [
        Recording(there, "ann"), Recording(there, "ben"), Recording(tmp_path / "none.wav", "ben"),
        Recording(write(tmp_path / "b/a.wav", ""), "ann"), Recording(write(tmp_path / "c.wav", ""), " "),
        Recording(write(tmp_path / "d.wav", ""), "a!b"), Recording(write(tmp_path / "e.wav", ""), "a?b"),
        Recording(write(tmp_path / "f.wav", ""), "cy", gender="x"),
        Recording(write(tmp_path / "g.wav", ""), "cy", name="n" * 240),
        Recording(write(tmp_path / "h.wav", ""), "cy", gender=" Female "),
    ]
    listed, errors = name_all(found, "mine")
    assert [one.utt_id for one in listed] == ["mine-ann-a", "mine-a_b-d", "mine-cy-h"] and listed[-1].gender == "f"
    for error, says in zip(errors, [
        "listed twice", "no such audio file", f"has the id of {there}, mine-ann-a; tell them", "expected a speaker",
        "speaker 'a?b' has the id of 'a!b', mine-a_b", "expected gender m or f, got 'x'", "too long",
    ], strict=True):
        assert says in error and str(tmp_path) in error


@pytest.mark.parametrize("sets, says", [
    ("['tr', 'tr', None, 'tt', 'tt', 'tt']", "no set, which others have"),
    ("['tr', 'tr', 'cv', 'tt', 'tt', 'test']", "expected a set tr, cv, tt, dev or tt_.., got 'test'"),
    ("['tr', 'tr', 'cv', 'cv', 'dev', 'dev']", "no recording of set tt"),
])
def test_mistakes_of_sets(speech, tmp_path, capsys, sets, says):
    corpus = corpus_of(tmp_path, f", set=dict(zip(sorted(p.name for p in corpus.iterdir()), {sets}))[path.parent.name]")
    with pytest.raises(ContrasepError, match="all are in .*errors.txt"):
        corpus.prepare(Request(str(tmp_path / "out"), str(speech)))
    assert says in capsys.readouterr().err and says in (tmp_path / "out/errors.txt").read_text()
    assert not (tmp_path / "out/tr").exists()


def test_a_speaker_of_training_and_test_is_refused(speech, tmp_path, capsys):
    corpus = corpus_of(tmp_path, ", set='tt' if path.stem == '2' else 'tr'")
    with pytest.raises(ContrasepError):
        corpus.prepare(Request(str(tmp_path / "out"), str(speech)))
    assert "speaker 'p1' is in tr and in tt; keep test speakers apart" in capsys.readouterr().err


def test_sets_that_the_corpus_names(speech, tmp_path):
    corpus = corpus_of(tmp_path, ", set={'p1': 'tt', 'p2': 'tt_far'}.get(path.parent.name, 'tr')")
    made = corpus.prepare(Request(str(tmp_path / "out"), str(speech)))
    assert made == {"tr": 8, "cv": 4, "tt": 3, "tt_far": 3}


def test_few_speakers(speech, tmp_path, capsys):
    corpus = corpus_of(tmp_path)
    Path(corpus.file).write_text(Path(corpus.file).read_text().replace("path.parent.name", "corpus.name"))
    with pytest.raises(ContrasepError):
        corpus.prepare(Request(str(tmp_path / "out"), str(speech)))
    error = capsys.readouterr().err
    assert "expected at least 4 speakers, two to train and two to test, got 1: 'speech'" in error
    assert "has the id of" in error


def test_unusable_files_are_errors_or_left_out(speech, tmp_path, capsys):
    (speech / "p1/7.wav").write_bytes(b"RIFF" + b"x" * 100)
    soundfile.write(speech / "p2/8.wav", np.zeros(800), 8000, subtype="PCM_16")
    for name, options in (("out", {}), ("left", {"leave_out": True})):
        corpus, request = corpus_of(tmp_path, **options), Request(str(tmp_path / name), str(speech))
        if options:
            assert sum(corpus.prepare(request).values()) == 18
            assert "2 recordings cannot be used and are left out" in capsys.readouterr().err
        else:
            with pytest.raises(ContrasepError, match="2 errors; all are in .*--set corpus.recordings.leave_out=true"):
                corpus.prepare(request)
            error = capsys.readouterr().err
            assert "7.wav: cannot be" in error and "8.wav: all zero" in error
            assert len((tmp_path / "out/errors.txt").read_text().splitlines()) == 2


def listed(speakers, takes=2):
    return [
        Listed(Recording(__file__, speaker), f"m-{speaker}", f"m-{speaker}-{take}", gender)
        for speaker, gender in speakers for take in range(takes)
    ]


def test_test_speakers_are_drawn_evenly_over_genders():
    made = split_listed("f.py", listed([(f"s{n:02d}", "mf"[n % 2]) for n in range(40)]), RecordingsOptions())
    genders = [one.gender for one in made["tt"]]
    assert len({one.speaker for one in made["tt"]}) == 4 and genders.count("m") == genders.count("f")
    assert {one.speaker for one in made["cv"]} == {one.speaker for one in made["tr"]} and len(made["cv"]) == 36
    again = split_listed("f.py", listed([(f"s{n:02d}", "mf"[n % 2]) for n in range(40)])[::-1], RecordingsOptions())
    assert again == made


def test_speakers_of_one_recording_each():
    made = split_listed("f.py", listed([(f"s{n}", None) for n in range(10)], takes=1), RecordingsOptions())
    assert {name: len(members) for name, members in made.items()} == {"tr": 4, "cv": 2, "tt": 4}


def test_named_test_speakers():
    speakers = listed([("ann", "f"), ("ben", "m"), ("cy", "m")])
    made = split_listed("f.py", speakers, RecordingsOptions(test_speakers=("ben",)))
    assert {one.speaker for one in made["tt"]} == {"m-ben"}
    with pytest.raises(ContrasepError, match="no speaker 'bem' in f.py; did you mean 'ben'"):
        split_listed("f.py", speakers, RecordingsOptions(test_speakers=("bem",)))
    with pytest.raises(ContrasepError, match="no speaker 'xxx' in f.py; speakers are ann, ben, cy"):
        split_listed("f.py", speakers, RecordingsOptions(test_speakers=("xxx",)))
    with pytest.raises(ContrasepError, match="3 speakers have usable recordings, expected at least 4"):
        split_listed("f.py", speakers, RecordingsOptions())


def test_what_the_summary_warns_of():
    def utterance(speaker, samples=8000, text="A", gender=None):
        return Utterance(f"{speaker}-{samples}", speaker, "p", text, gender, samples, 8000)

    lines = list(summary({"tr": [utterance("a"), utterance("b", 3000, None)], "tt": [utterance("c")]}))
    assert any("each recording has a speaker of its own" in line for line in lines)
    assert any("1 recordings are shorter than 0.5 s" in line for line in lines)
    assert any("1 recordings have no text, e.g. b-3000" in line for line in lines)
    assert not any("gender" in line for line in lines)


def test_transcripts(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeffGrüße, it’s 3!\n".encode())
    assert transcript(tmp_path / "a.txt") == "GRÜSSE IT'S 3" == transcript("Grüße, it’s 3!")
    assert transcript(tmp_path / "none.txt") is None is transcript(None) is transcript("...")
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(ContrasepError, match="cannot be read as UTF-8"):
        transcript(tmp_path / "b.txt")


def test_the_command(speech, tmp_path, contrasep):
    write(tmp_path / "list.py", LIST.format(more=""))
    write(tmp_path / "c.yaml", "corpus: {recordings: {prefix: own}}\n")
    words = ["prepare-corpus", "list.py", "--config", "c.yaml", "--out", "o"]
    done = contrasep(*words, "--corpus", "speech", check=True)
    assert "o: tr" in done.stdout and (tmp_path / "o/tr/wav.scp").read_text().startswith("own-p")
    assert "--corpus: name the folder that holds the recordings" in contrasep(*words).stderr
    done = contrasep("prepare-corpus", "recordings", *words[2:], "--corpus", "speech")
    assert done.returncode == 1 and "expected a file that lists them" in done.stderr
