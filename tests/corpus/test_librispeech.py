"""Mini LibriSpeech: the split, what goes wrong with copies, the download as a whole."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from contrasep_lib.corpus import librispeech
from contrasep_lib.corpus.download import md5_of
from contrasep_lib.corpus.librispeech import fetch, prepare, spread_choice
from contrasep_lib.corpus.options import LibrispeechOptions
from contrasep_lib.corpus.single import Utterance, write_single_set
from contrasep_lib.corpus.splits import Held, find_split, read_split, write_split
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.scp import invert_utt2spk, read_table

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "corpora" / "LibriSpeech"
OPTIONS = LibrispeechOptions(test_speakers=("19", "1867"), valid_fraction=0.2)


def make_part(folder: Path, speakers: dict[str, dict[str, int]], transcripts: bool = True) -> None:
    """Speakers with chapters with that many utterances of 0.1 s at 16 kHz."""
    for speaker, chapters in speakers.items():
        for chapter, count in chapters.items():
            place = folder / speaker / chapter
            place.mkdir(parents=True)
            names = [f"{speaker}-{chapter}-{number:04d}" for number in range(count)]
            for name in names:
                soundfile.write(place / f"{name}.flac", np.full(1600, 0.1), 16000, subtype="PCM_16")
            if transcripts:
                text = "".join(f"{name} IT'S NUMBER {name[-1]}\n" for name in names)
                (place / f"{speaker}-{chapter}.trans.txt").write_text(text.replace("NUMBER", "SAID"))


@pytest.fixture
def corpus(tmp_path) -> Path:
    corpus = tmp_path / "LibriSpeech"
    make_part(
        corpus / "train-clean-5", {"19": {"1": 3}, "1867": {"2": 2}, "32": {"3": 5, "4": 15}, "196": {"5": 1}}
    )
    (corpus / "SPEAKERS.TXT").write_text(
        ";ID  |SEX| SUBSET |MINUTES| NAME\n19 | F | x | 25 | A\n"
        "1867 | M | x | 2 | B\n32 | F | x | 2 | C | D\n"
        "196 | M | x | 3 | E\n77 | F | dev | 3 | F\n500 | M | x | 3 | G\n"
    )
    return corpus


def speakers_of(folder: Path) -> set[str]:
    return set(read_table(folder / "utt2spk").values())


def test_split(corpus, tmp_path):
    out = tmp_path / "sources"
    assert prepare(corpus, out, OPTIONS, jobs=2) == {"tr": 17, "cv": 4, "tt": 5}
    assert sorted(entry.name for entry in out.iterdir()) == ["cv", "tr", "tt"]
    assert speakers_of(out / "tt") == {"19", "1867"}
    assert speakers_of(out / "tr") == {"32", "196"} and speakers_of(out / "cv") == {"32"}
    tables = {name: read_table(out / name / "wav.scp") for name in ("tr", "cv", "tt")}
    everything = [utt for table in tables.values() for utt in table]
    assert len(set(everything)) == len(everything) == 26
    # a fifth of each chapter's utterances
    assert sorted(utt.split("-")[1] for utt in tables["cv"]) == ["3", "4", "4", "4"]
    for name, table in tables.items():
        utt2spk = read_table(out / name / "utt2spk")
        assert list(table) == list(utt2spk) == list(read_table(out / name / "text"))
        assert read_table(out / name / "spk2utt") == invert_utt2spk(utt2spk)
        assert set(read_table(out / name / "utt2dur").values()) == {"0.100000"}
        assert all(utt == Path(path).stem and os.path.isfile(path) for utt, path in table.items())
    assert read_table(out / "tt" / "text")["19-1-0002"] == "IT'S SAID 2"
    assert read_table(out / "tt" / "spk2gender") == {"19": "f", "1867": "m"}


def test_split_does_not_depend_on_jobs_or_earlier_runs(corpus, tmp_path):
    def read(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.*"))}

    prepare(corpus, tmp_path / "a", OPTIONS, jobs=1)
    prepare(corpus, tmp_path / "b", LibrispeechOptions(test_speakers=("32",)), jobs=4)
    prepare(corpus, tmp_path / "b", OPTIONS, jobs=4)
    assert read(tmp_path / "a") == read(tmp_path / "b")
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == ["cv", "tr", "tt"]


@pytest.mark.parametrize("count", [1, 2, 3, 10, 37, 119])
@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5, 0.99])
def test_spread_choice(count, fraction):
    chosen = spread_choice(count, fraction)
    assert len(chosen) == len(set(chosen)) == min(max(1, round(count * fraction)), count - 1)
    assert all(0 <= index < count for index in chosen)
    if len(chosen) > 1:
        gaps = np.diff(chosen)
        assert gaps.max() - gaps.min() <= 1


def test_extra_train(corpus, tmp_path, capsys):
    with pytest.raises(ContrasepError, match="no train-clean-100 in it, which --extra-train wants"):
        prepare(corpus, tmp_path / "out", OPTIONS, extra_train=True)
    # a test speaker, those of train-clean-5 again (one is in cv), one more of its speaker, a new speaker
    make_part(
        corpus / "train-clean-100",
        {"19": {"9": 2}, "32": {"3": 5, "8": 1}, "500": {"7": 2}},
        transcripts=False,
    )
    counts = prepare(corpus, tmp_path / "out", OPTIONS, extra_train=True)
    assert counts == {"tr": 17 + 3, "cv": 4, "tt": 5}
    added = {"32-8-0000", "500-7-0000", "500-7-0001"}
    assert added < set(read_table(tmp_path / "out/tr/wav.scp"))
    assert speakers_of(tmp_path / "out/tr") == {"32", "196", "500"}
    assert not (tmp_path / "out/tr/text").exists() and (tmp_path / "out/cv/text").exists()
    assert "3 utterances have no transcript" in capsys.readouterr().err
    assert prepare(corpus, tmp_path / "out", OPTIONS) == {"tr": 17, "cv": 4, "tt": 5}


def test_second_test_set(corpus, tmp_path):
    make_part(corpus / "dev-clean-2", {"77": {"1": 2}})
    assert prepare(corpus, tmp_path / "out", OPTIONS)["tt_dev"] == 2
    assert speakers_of(tmp_path / "out/tt_dev") == {"77"}
    shutil.rmtree(corpus / "dev-clean-2")
    prepare(corpus, tmp_path / "out", OPTIONS)
    assert not (tmp_path / "out/tt_dev").exists(), "of another corpus than the rest"
    make_part(corpus / "dev-clean-2", {"32": {"6": 2}})
    with pytest.raises(ContrasepError, match="speakers 32 are in training too"):
        prepare(corpus, tmp_path / "out", OPTIONS)


def test_bad_files_are_named_all_at_once(corpus, tmp_path):
    place = corpus / "train-clean-5" / "19" / "1"
    (place / "19-1-0000.flac").write_bytes(b"")
    (place / "19-1-0001.flac").write_bytes(b"no audio at all")
    (place / "19-1-0002.flac").unlink()
    soundfile.write(place / "19-1-0002.wav", np.zeros(0), 16000)
    shutil.copy(corpus / "train-clean-5/32/3/32-3-0000.flac", place / "32-9-0000.flac")
    with pytest.raises(ContrasepError) as caught:
        prepare(corpus, tmp_path / "out", OPTIONS)
    message = str(caught.value)
    assert message.startswith("4 bad audio files, fetch them again: ") and "\n" not in message
    for part in (r"0000\.flac \(empty file\)", r"0001\.flac \(unreadable\)", r"0002\.wav \(no samples\)"):
        assert re.search(f"19-1-{part}", message)
    assert "32-9-0000.flac (name is not that of its folders)" in message
    assert not (tmp_path / "out").exists()


def test_a_corpus_that_is_not_there(corpus, tmp_path):
    with pytest.raises(ContrasepError, match=re.escape(f"no train-clean-5 in it; give {corpus}, or")):
        prepare(tmp_path, tmp_path / "out", OPTIONS)
    with pytest.raises(ContrasepError, match="nowhere: no train-clean-5 in it; give the folder that holds"):
        prepare(tmp_path / "nowhere", tmp_path / "out", OPTIONS)
    (tmp_path / "empty" / "train-clean-5").mkdir(parents=True)
    with pytest.raises(ContrasepError, match="no audio in it"):
        prepare(tmp_path / "empty", tmp_path / "out", OPTIONS)


def test_speakers_that_do_not_fit(corpus, tmp_path):
    with pytest.raises(ContrasepError, match="test_speakers: 4680, 7 not in"):
        prepare(corpus, tmp_path / "out", LibrispeechOptions(test_speakers=("19", "7", "4680")))
    with pytest.raises(ContrasepError, match="no speaker of .* is left"):
        prepare(corpus, tmp_path / "out", LibrispeechOptions(test_speakers=("19", "1867", "32", "196")))


def test_download_as_a_whole(corpus, tmp_path, monkeypatch):
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
    from threading import Thread

    make_part(corpus / "dev-clean-2", {"77": {"1": 2}})
    served = tmp_path / "served" / "31"
    served.mkdir(parents=True)
    sums = {}
    for part in ("train-clean-5", "dev-clean-2"):
        with tarfile.open(served / f"{part}.tar.gz", "w:gz") as tar:
            tar.add(corpus / part, f"LibriSpeech/{part}")
            tar.add(corpus / "SPEAKERS.TXT", "LibriSpeech/SPEAKERS.TXT")
        sums[part] = (31, md5_of(served / f"{part}.tar.gz"))
    monkeypatch.setattr(librispeech, "ARCHIVES", sums)

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments, **named):
            super().__init__(*arguments, directory=os.fspath(served.parent), **named)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    address = [f"http://127.0.0.1:{server.server_port}"]
    fetched = fetch(tmp_path / "downloads", servers=address)
    server.shutdown()
    server.server_close()
    assert fetched == tmp_path / "downloads" / "LibriSpeech"
    assert [entry.name for entry in (tmp_path / "downloads").iterdir()] == ["LibriSpeech"]
    assert prepare(fetched, tmp_path / "out", OPTIONS) == {"tr": 17, "cv": 4, "tt": 5, "tt_dev": 2}
    assert fetch(tmp_path / "downloads", servers=address) == fetched, "needs no server now"


def test_command(corpus, tmp_path, contrasep):
    (tmp_path / "c.yaml").write_text("corpus: {librispeech: {test_speakers: ['19'], valid_fraction: 0.2}}\n")
    call = ["prepare-corpus", "librispeech", "--config", "c.yaml", "--out", "out", "--nj", 2, "--corpus", corpus]
    done = contrasep(*call, check=True)
    assert done.stdout == "out: tr 18 utterances, cv 5 utterances, tt 3 utterances\n"
    done = contrasep(*call, "--set", "corpus.librispeech.test_speakers=['3']")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "test_speakers: 3 not in" in done.stderr
    assert contrasep(*call, "--libri", "x").returncode == 2


@pytest.mark.parametrize("recipe, command", [
    ("mini_2mix", "prepare-corpus espeak"),
    ("mini_librispeech_2mix", "prepare-corpus librispeech"),
    ("mini_librispeech_3mix", "prepare-corpus librispeech"),
    ("mini_librispeech_mixed", "prepare-corpus librispeech"),
    ("audiomnist_2mix", "prepare-corpus audiomnist"),
    ("commonvoice_2mix", "prepare-corpus commonvoice"),
])  # fmt: skip
def test_recipes_call_their_command(recipe, command, tmp_path):
    stub = tmp_path / "contrasep"
    stub.write_text('#!/usr/bin/env bash\nprintf "%s|" "$@"\n')
    stub.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    script = ROOT / "egs" / recipe / "local" / "prepare_sources.sh"
    called = subprocess.run(
        [script, "--out", "a b", "--nj", "2"], env=environment, capture_output=True, text=True, check=True
    )
    assert called.stdout == command.replace(" ", "|") + "|--out|a b|--nj|2|"


def test_single_set_is_refused_or_replaced_whole(tmp_path):
    def utterance(utt_id: str, text: str | None = "A") -> Utterance:
        return Utterance(utt_id, "s1", "x.wav", text, None, 8000, 8000)

    folder = tmp_path / "set"
    write_single_set(folder, [utterance("s1-b"), utterance("s1-a")])
    assert sorted(entry.name for entry in folder.iterdir()) == [
        "spk2utt",
        "text",
        "utt2dur",
        "utt2spk",
        "wav.scp",
    ]
    assert list(read_table(folder / "wav.scp")) == ["s1-a", "s1-b"]
    with pytest.raises(ContrasepError, match="no utterance"):
        write_single_set(folder, [])
    with pytest.raises(ContrasepError, match="twice"):
        write_single_set(folder, [utterance("s1-c"), utterance("s1-c")])
    with pytest.raises(ValueError, match="does not begin"):
        write_single_set(folder, [utterance("s2-c")])
    assert list(read_table(folder / "wav.scp")) == ["s1-a", "s1-b"], "left as it was"
    write_single_set(folder, [utterance("s1-c", None)])
    assert sorted(entry.name for entry in folder.iterdir()) == ["spk2utt", "utt2dur", "utt2spk", "wav.scp"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["set"]


@pytest.mark.skipif(not SHARED.is_dir(), reason="no real speech: ../shared/corpora/LibriSpeech is not there")
def test_real_copy(tmp_path):
    options = LibrispeechOptions()
    counts = prepare(SHARED, tmp_path / "out", options, extra_train=True, jobs=2)
    held = read_split(find_split(options.split))
    test, dev = ({entry.speaker for entry in held if entry.part == part} for part in ("test", "dev"))
    assert (counts["cv"], counts["tt"]) == (106, 322) and counts["tr"] > 1076 and counts["dev"] > 150
    assert speakers_of(tmp_path / "out/tt") == test and len(test) == 8
    assert speakers_of(tmp_path / "out/dev") == dev and len(dev) == 16
    for name in ("tr", "cv"):
        assert not speakers_of(tmp_path / "out" / name) & (test | dev)
    assert len(speakers_of(tmp_path / "out/cv")) == 16 and speakers_of(tmp_path / "out/cv") < speakers_of(
        tmp_path / "out/tr"
    )
    genders = read_table(tmp_path / "out/tt/spk2gender")
    assert sorted(speaker for speaker in genders if genders[speaker] == "f") == ["19", "1970", "226", "4680"]
    assert sorted(read_table(tmp_path / "out/dev/spk2gender").values()) == ["f"] * 8 + ["m"] * 8
    small = prepare(SHARED, tmp_path / "out", options)
    # one utterance of each further speaker but the 6 + 6 of development: those and three others
    assert counts["tr"] - small["tr"] + counts["dev"] - small["dev"] == 239
    assert len(speakers_of(tmp_path / "out/dev")) == 4


def test_development_speakers(corpus, tmp_path):
    make_part(corpus / "train-clean-100", {"196": {"5": 2}, "200": {"1": 2}, "300": {"1": 1}, "19": {"7": 1}})
    split = tmp_path / "split.tsv"
    held = [Held("19", "test", "f"), Held("1867", "test", "m"), Held("196", "dev", "m"), Held("200", "dev", "f")]
    write_split(split, "for a test", [*held, Held("9999", "dev", "f")])
    options = LibrispeechOptions(split=str(split), valid_fraction=0.2)
    out = tmp_path / "out"
    assert prepare(corpus, out, options) == {"tr": 16, "cv": 4, "tt": 5, "dev": 1}
    assert prepare(corpus, out, options, extra_train=True) == {"tr": 17, "cv": 4, "tt": 5, "dev": 4}
    assert speakers_of(out / "dev") == {"196", "200"} and speakers_of(out / "tr") == {"32", "300"}
    # a test speaker by option is none for development; who is no test speaker then trains
    chosen = LibrispeechOptions(split=str(split), test_speakers=("196",), valid_fraction=0.2)
    assert prepare(corpus, out, chosen) == {"tr": 19, "cv": 6, "tt": 1}
    assert not (out / "dev").exists()
    with pytest.raises(ContrasepError, match="librispeech.split .*: 1867, 19 not in"):
        shutil.rmtree(corpus / "train-clean-5" / "19"), shutil.rmtree(corpus / "train-clean-5" / "1867")
        prepare(corpus, out, options)
