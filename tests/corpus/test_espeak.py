"""The embedded corpus: voices, sentences, determinism, reruns, errors."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from contrasep_lib.corpus import espeak, espeak_engine
from contrasep_lib.corpus.espeak import HIGH_FAMILIES, LOW_FAMILIES, draw_sentences, draw_voices, make_corpus
from contrasep_lib.corpus.options import EspeakOptions
from contrasep_lib.corpus.sentences import SENTENCES
from contrasep_lib.corpus.single import normalise_text
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.scp import invert_utt2spk, read_table

pytest.importorskip("espeakng_loader", reason="the wheel espeakng-loader is not installed")

SMALL = EspeakOptions(train_voices=4, test_voices=2, sentences_per_voice=3, seed=5)
FAMILY = {variant: family for family in LOW_FAMILIES + HIGH_FAMILIES for variant in family}


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    # a relative folder, so that the tables of copies elsewhere are the same bytes
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert make_corpus(SMALL, "sources", 1) == {"tr": 8, "cv": 4, "tt": 6}
    return folder / "sources"


def test_sets_are_whole_data_directories(corpus):
    for name in ("tr", "cv", "tt"):
        folder = corpus / name
        wav, utt2spk = read_table(folder / "wav.scp"), read_table(folder / "utt2spk")
        durations, text = read_table(folder / "utt2dur"), read_table(folder / "text")
        assert list(wav) == list(utt2spk) == list(durations) == list(text)
        assert read_table(folder / "spk2utt") == invert_utt2spk(utt2spk)
        assert set(read_table(folder / "spk2gender")) == set(utt2spk.values())
        for utt, entry in wav.items():
            assert utt.startswith(utt2spk[utt] + "-")
            samples, rate = soundfile.read(corpus.parent / entry)
            assert rate == 22050 and samples.ndim == 1
            assert float(durations[utt]) == pytest.approx(len(samples) / rate, abs=1e-6)
            assert 0.01 < np.abs(samples).max() < 1 and np.std(samples) > 1e-3
            assert re.fullmatch(r"[A-Z']+( [A-Z']+)*", text[utt])


def test_sets_share_what_they_should(corpus):
    speakers = {name: set(read_table(corpus / name / "utt2spk").values()) for name in ("tr", "cv", "tt")}
    texts = {name: set(read_table(corpus / name / "text").values()) for name in ("tr", "cv", "tt")}
    assert speakers["tr"] == speakers["cv"] and not speakers["tr"] & speakers["tt"]
    assert not texts["tr"] & texts["cv"] and not texts["tr"] & texts["tt"] and not texts["cv"] & texts["tt"]
    assert not set(read_table(corpus / "tr" / "wav.scp")) & set(read_table(corpus / "cv" / "wav.scp"))
    record = json.loads((corpus / "corpus.json").read_text())
    assert record["synthetic"] is True and record["options"]["seed"] == 5 and len(record["voices"]) == 6


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("counts", [(2, 2), (40, 12), (9, 30), (101, 18)])
def test_voices(seed, counts):
    training, test = draw_voices(EspeakOptions(*counts, seed=seed))
    assert (len(training), len(test)) == counts
    assert not {FAMILY[v.variant] for v in training} & {FAMILY[v.variant] for v in test}
    for voices in (training, test):
        assert abs(sum(v.gender == "f" for v in voices) - len(voices) / 2) <= 0.5
        assert len({v.speaker for v in voices}) == len(voices)
        for one in voices:
            for other in voices:
                if one is not other and one.variant == other.variant:
                    assert abs(one.pitch - other.pitch) >= 4
    assert (training, test) == draw_voices(EspeakOptions(*counts, seed=seed))
    assert (training, test) != draw_voices(EspeakOptions(*counts, seed=seed + 1))


def test_sentences_are_fit_to_be_spoken_and_written():
    assert len(SENTENCES) == len(set(SENTENCES)) == len({normalise_text(s) for s in SENTENCES}) >= 300
    for sentence in SENTENCES:
        assert 3 <= len(sentence.split()) <= 14
        assert re.fullmatch(r"[A-Z][A-Za-z',. ]+[.?!]", sentence), sentence
    pools = draw_sentences(EspeakOptions())
    assert sorted(sum(pools.values(), [])) == sorted(SENTENCES)


def test_any_number_of_jobs_gives_the_same_bytes(corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_corpus(SMALL, "sources", 3)
    assert contents(tmp_path / "sources") == contents(corpus)


def test_an_utterance_does_not_depend_on_what_was_said_before(tmp_path):
    def line(name: str, text: str, voice: str) -> espeak_engine.Line:
        return espeak_engine.Line(os.fspath(tmp_path / name), text, voice, 50, 50, 170, 3)

    other = line("other.wav", "Something else altogether, with a long tail.", "en-gb-scotland+m1")
    for voice in ("en-us+f3", "en+grandma", "en-029+adam"):
        alone, after = (
            line("alone.wav", "Where is the tea?", voice),
            line("after.wav", "Where is the tea?", voice),
        )
        lengths = sum(espeak_engine.speak_all([alone, other, after], 1), [])
        assert lengths[0] == lengths[2]
        assert (tmp_path / "alone.wav").read_bytes() == (tmp_path / "after.wav").read_bytes()
        for path in tmp_path.glob("*.wav"):
            path.unlink()


def test_rerun_keeps_whole_files_and_repairs_damaged_ones(corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(corpus, "sources")
    wavs = sorted(Path("sources").rglob("*.wav"))
    wavs[0].write_bytes(wavs[0].read_bytes()[:1000])
    wavs[1].write_bytes(b"")
    wavs[2].unlink()
    before = {path: path.stat().st_mtime_ns for path in wavs[3:]}
    make_corpus(SMALL, "sources", 2)
    assert contents(tmp_path / "sources") == contents(corpus)
    assert {path: path.stat().st_mtime_ns for path in wavs[3:]} == before


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="workers end with their parent on Linux only")
def test_kill_and_rerun(tmp_path, monkeypatch):
    config = tmp_path / "train.yaml"
    config.write_text("corpus: {espeak: {train_voices: 2, test_voices: 2, sentences_per_voice: 12}}\n")
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": os.fspath(root)}

    program = [sys.executable, "-m", "contrasep_lib.bin.main", "prepare-corpus", "espeak"]
    command = [*program, "--config", "../train.yaml", "--out", "sources", "--nj", "2"]
    for name in ("killed", "whole"):
        (tmp_path / name).mkdir()
    killed = subprocess.Popen(command, cwd=tmp_path / "killed", env=environment)
    deadline = time.monotonic() + 30
    while len(list((tmp_path / "killed").rglob("*.wav"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    time.sleep(0.5)
    left = len(list((tmp_path / "killed").rglob("es*.wav")))
    assert 0 < left < 48 and not (tmp_path / "killed/sources/tr").exists()
    time.sleep(0.5)
    assert len(list((tmp_path / "killed").rglob("es*.wav"))) == left, "a worker outlived its parent"
    for name in ("killed", "whole"):
        subprocess.run(command, cwd=tmp_path / name, env=environment, check=True)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_refuses_another_corpus_in_the_folder(corpus, tmp_path):
    with pytest.raises(ContrasepError, match=re.escape(f"{corpus}: holds a corpus of other options; remove")):
        make_corpus(EspeakOptions(4, 2, 3, seed=6), corpus)
    (tmp_path / "wav").mkdir()
    with pytest.raises(ContrasepError, match="no corpus.json"):
        make_corpus(SMALL, tmp_path)


def test_refuses_more_than_it_has(tmp_path):
    with pytest.raises(ContrasepError, match="expected at most .* low voices, .* got 1000; lower train_voices"):
        make_corpus(EspeakOptions(train_voices=2000), tmp_path / "a")
    with pytest.raises(ContrasepError, match=r"sentences_per_voice: 200 leave 200 for each voice of 'tt'"):
        make_corpus(EspeakOptions(sentences_per_voice=200), tmp_path / "b")
    assert not any(tmp_path.iterdir())


def test_tells_of_an_unknown_voice(tmp_path):
    line = espeak_engine.Line(os.fspath(tmp_path / "a.wav"), "Hello there.", "xx-none+f1", 50, 50, 170, 1)
    with pytest.raises(ContrasepError, match=r"a\.wav: not spoken by xx-none\+f1 .*does not know"):
        list(espeak_engine.speak_all([line], 1))
    assert not any(tmp_path.iterdir())


def test_tells_of_a_missing_wheel(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(ContrasepError, match=r"contrasep\[synthetic\]"):
        make_corpus(SMALL, tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_the_wheel_has_all_variants_and_accents():
    import espeakng_loader

    data = Path(espeakng_loader.get_data_path())
    assert set(FAMILY) <= {path.name for path in (data / "voices" / "!v").iterdir()}
    assert {accent.lower() for accent in espeak.ACCENTS} <= {
        path.name.lower() for path in (data / "lang/gmw").iterdir()
    }


def test_further_voices_are_of_the_training_families_and_none_sounds_like_a_test_voice():
    options = EspeakOptions(train_voices=12, test_voices=6, seed=5)
    training, test = draw_voices(options)
    further = espeak.draw_further_voices(options, 60)
    assert len({voice.speaker for voice in training + test + further}) == 78
    assert sorted(voice.gender for voice in further) == ["f"] * 30 + ["m"] * 30
    assert {FAMILY[voice.variant] for voice in further}.isdisjoint(FAMILY[voice.variant] for voice in test)
    # more accents and pitches of each variant, not the same again
    assert len({(voice.name, voice.pitch) for voice in further}) == 60
    assert draw_voices(options) == (training, test)
    with pytest.raises(ContrasepError, match=r"further_voices: expected at most \d+ .* voices.*; lower it"):
        espeak.draw_further_voices(options, 5000)
