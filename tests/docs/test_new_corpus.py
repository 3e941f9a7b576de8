"""docs/howto/new_corpus.md, followed word for word: its files are written and its commands run, in order."""

import json
import os
import re
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/howto/new_corpus.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(bash|python)\n(.+?)^```", re.MULTILINE | re.DOTALL)
# what a recipe needs of the toolkit; that the environment is there is all that its installer would find out
NEEDED = ("conf", "utils", "contrasep_lib")
SPEAKERS, TAKES = (6, 4), 4


def steps():
    """Kind and text of the page's blocks: commands, and files whose first line is their name."""
    return BLOCK.findall(PAGE)


def scratch(folder):
    """A checkout whose ``egs`` is empty."""
    for name in NEEDED:
        (folder / name).symlink_to(ROOT / name)
    (folder / "tools").mkdir()
    (folder / "egs").mkdir()
    (folder / "tools/install.sh").write_text("#!/bin/sh\nexit 0\n")
    (folder / "tools/install.sh").chmod(0o755)
    return folder


def speak(folder):
    """A corpus in VCTK's layout: ``wav48/SPEAKER/*.flac`` and ``txt/``; its voices are eSpeak NG's."""
    from contrasep_lib.corpus.espeak import draw_voices
    from contrasep_lib.corpus.espeak_engine import Engine, Line
    from contrasep_lib.corpus.options import EspeakOptions
    from contrasep_lib.corpus.sentences import SENTENCES

    training, test = draw_voices(EspeakOptions(*SPEAKERS, sentences_per_voice=TAKES))
    engine = Engine()
    for number, voice in enumerate(training + test):
        speaker = f"p{225 + number}"
        for take in range(TAKES):
            name, text = f"{speaker}/{speaker}_{take + 1:03d}", SENTENCES[number * TAKES + take]
            wav = folder / f"{name}.wav"
            wav.parent.mkdir(parents=True, exist_ok=True)
            engine.speak(Line(str(wav), text, voice.name, voice.pitch, voice.pitch_range, voice.words_per_minute,
                              zlib.crc32(name.encode())))
            samples, rate = soundfile.read(wav, dtype="int16")
            for path in (folder / "wav48" / f"{name}.flac", folder / "txt" / f"{name}.txt"):
                path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(folder / "wav48" / f"{name}.flac", samples, rate)
            (folder / "txt" / f"{name}.txt").write_text(f"{text}\n")
            wav.unlink()
        wav.parent.rmdir()


def speak_apart(folder):
    """`speak` in a process without threads, which eSpeak NG's forks want."""
    subprocess.run([sys.executable, __file__, folder], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})


def follow(folder, kind, text):
    """One step of the page."""
    if kind == "python":
        name = re.match(r"# (\S+)\n", text)[1]
        # a recipe that is made has it; the reader changes it
        assert (folder / name).is_file()
        (folder / name).write_text(text)
        return None
    venv = Path(sys.executable).parent.parent
    run = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text], cwd=folder, env={**os.environ, "CONTRASEP_VENV": str(venv)},
        capture_output=True, text=True, timeout=1800,
    )
    assert run.returncode == 0, f"{text}\n{run.stdout}{run.stderr}"
    return run.stdout


def test_the_page_has_the_steps_and_few_lines_to_write():
    kinds = [kind for kind, _ in steps()]
    assert kinds == ["bash", "python", "bash", "bash"]
    own = [line for kind, text in steps() if kind == "python" for line in text.splitlines() if line.strip()]
    assert len(own) < 20
    assert all(len(text.strip().splitlines()) == 1 for kind, text in steps() if kind == "bash")


def test_a_new_recipe_is_short(tmp_path):
    from contrasep_lib.corpus.new_recipe import make_recipe

    for name, finished in (("vctk_2mix", False), ("mine_3mix", True)):
        (tmp_path / name).mkdir()
        made = make_recipe(scratch(tmp_path / name) / f"egs/{name}", None, finished)
        assert sum(len(path.read_text().splitlines()) for path in made) <= 40
        assert all(os.access(path, os.X_OK) == path.read_text().startswith("#!") for path in made)
        assert f"--num-spk {name[-4]}" in made[0].read_text() and ("--own-mixtures" in made[0].read_text()) == finished


def test_the_example_of_a_table(tmp_path):
    """One language of Common Voice: the sample at hand, else three lines of its table."""
    from contrasep_lib.corpus.recordings import list_recordings, name_all

    (code,) = re.findall(r"^```py\n(.+?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert f"{len(code.splitlines())} lines" in PAGE and len(code.splitlines()) < 20
    (tmp_path / "corpus.py").write_text(code)
    corpus = ROOT.parent / "shared/corpora/CommonVoice/de"
    if not corpus.is_dir():
        corpus = tmp_path / "de"
        (corpus / "clips").mkdir(parents=True)
        rows = [f"person{number}\tc{number}.mp3\tGuten \"Tag\tmale" for number in range(3)]
        (corpus / "validated.tsv").write_text("\n".join(["client_id\tpath\tsentence\tgender", *rows, ""]))
        for number in range(3):
            (corpus / f"clips/c{number}.mp3").write_bytes(b"x")
    listed, errors = name_all(list_recordings(tmp_path / "corpus.py", corpus), "german")
    assert errors == [] and len(listed) >= 3
    assert all(re.fullmatch(r"german-[0-9a-f]{16}", one.speaker) for one in listed)


@pytest.mark.slow
def test_the_page_word_for_word(tmp_path):
    pytest.importorskip("espeakng_loader")
    folder = scratch(tmp_path)
    speak_apart(folder / "VCTK")
    said = [follow(folder, kind, text) for kind, text in steps()]
    recipe = folder / "egs/vctk_2mix"
    # the lines that the page shows of stage 0
    table = re.search(r"```text\n(set +speakers.+?)```", PAGE, re.DOTALL)[1]
    assert table in said[2]
    text = (recipe / "data/tr_single/text").read_text().splitlines()
    assert len(text) == 18 and text[0].startswith("vctk-p225-p225_0") and text[0].isupper() is False
    results = json.loads((recipe / "exp/default_by_best/results.json").read_text())
    scores = results["sets"]["tt_2mix"]
    assert results["label"] == "read speech (VCTK)" and results["recipe"] == "vctk_2mix" and scores["n"] == 30
    assert scores["si_snri_count_estimated"] > 3 and "| **model** |" in said[3]
    # what the page says of protection
    listing = recipe / "local/corpus.py"
    listing.write_text(listing.read_text().replace("sorted(", "sorted(sorted(").replace('")):', '"))):'))
    venv = {**os.environ, "CONTRASEP_VENV": str(Path(sys.executable).parent.parent)}
    again = subprocess.run([recipe / "run.sh", "--corpus", "VCTK", "--stop-stage", "0"], cwd=folder, env=venv,
                           capture_output=True, text=True)
    assert again.returncode != 0 and "made with other settings" in again.stderr


@pytest.mark.slow
def test_mistakes_are_found_before_anything_is_mixed_and_mended_in_place(tmp_path):
    pytest.importorskip("espeakng_loader")
    folder = scratch(tmp_path)
    speak_apart(folder / "VCTK")
    (make, write, check, _) = steps()
    follow(folder, *make)
    recipe, venv = folder / "egs/vctk_2mix", {**os.environ, "CONTRASEP_VENV": str(Path(sys.executable).parent.parent)}
    run = [recipe / "run.sh", "--corpus", "VCTK", "--stop-stage", "0"]
    says = []
    # as it is made, then with each mistake that the page shows
    right = write[1]
    for text in (None, right.replace("path.parent.name", "path.parent.parent.name"), right):
        if text is not None:
            (recipe / "local/corpus.py").write_text(text)
        done = subprocess.run(run, cwd=folder, env=venv, capture_output=True, text=True)
        says.append((done.returncode, done.stderr))
        assert (recipe / "mixtures/2mix").exists() == (text == right)
    assert "recordings() yields nothing for" in says[0][1] and "which holds txt/, wav48/; wrong pattern?" in says[0][1]
    assert "expected at least 4 speakers, two to train and two to test, got 1: 'wav48'" in says[1][1]
    assert [status for status, _ in says] == [1, 1, 0], says


if __name__ == "__main__":
    speak(Path(sys.argv[1]))
