"""Done markers of utils/markers.sh: what is made again, kept, cleared and refused."""

import hashlib
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCED = f"""
set -euo pipefail
shopt -s inherit_errexit
. {ROOT}/utils/options.sh
. {ROOT}/utils/locks.sh
. {ROOT}/utils/markers.sh
recipe=toy key_dump=${{KEY:-1}} key_finetune=${{KEY:-1}} key_mixtures=${{KEY:-1}} key_sources=${{KEY:-1}}
"""
MAKE = '''
due {step} "{folder}" {on_change} "{values}" {inputs}
if $is_due; then echo made; {make}; mark "{folder}"; fi
'''


@pytest.fixture
def step(tmp_path):
    """``step('dump', make='echo x >dump/wav.1.ark')``: run it if it is due; returns status, output and errors."""

    def run(name="dump", folder="out", on_change="clear", values="", inputs="", make="true", key="1", before=""):
        body = MAKE.format(step=name, folder=folder, on_change=on_change, values=values, inputs=inputs, make=make)
        done = subprocess.run(
            ["bash", "-c", SOURCED + before + body], cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "KEY": key, "LC_ALL": "C"}, capture_output=True, text=True,
        )
        return done.returncode, done.stdout, done.stderr

    return run


WRITE = (
    "mkdir -p out/wavs out/log; printf 12345 >out/wavs/a.wav; printf 123 >out/wavs/b.wav; printf 1 >'out/b c.scp'; "
    "touch out/log/x.log"
)


def test_a_marker_holds_key_and_outputs(step, tmp_path):
    assert step(make=WRITE)[:2] == (0, "made\n")
    name, *outputs = (tmp_path / "out/.done").read_text().splitlines()
    assert name.startswith("dump ") and len(name.split()[1]) == 64 and outputs == [
        "1:433426081 b c.scp", "5 wavs/a.wav", "3 wavs/b.wav"
    ]
    status, out, _ = step(make=WRITE)
    assert status == 0 and "out is done" in out and "made" not in out


@pytest.mark.parametrize("change", ["key", "values", "input", "step"])
def test_all_that_a_step_depends_on_makes_it_again(step, tmp_path, change):
    (tmp_path / "scp").write_text("a\n")
    assert step(make=WRITE, inputs="scp", values="k=1")[1] == "made\n"
    assert "is done" in step(make=WRITE, inputs="scp", values="k=1")[1]
    (tmp_path / "scp").touch()
    assert "is done" in step(make=WRITE, inputs="scp", values="k=1")[1]
    if change == "input":
        (tmp_path / "scp").write_text("b\n")
    changed = {"key": {"key": "2"}, "values": {"values": "k=2"}, "step": {"name": "mixtures"}, "input": {}}[change]
    (tmp_path / "out/stale").write_text("x")
    status, out, _ = step(**{"make": WRITE, "inputs": "scp", "values": "k=1", **changed})
    assert (
        status == 0
        and out.endswith("made\n")
        and "out: made with other settings or by another version; made again" in out
    )
    assert not (tmp_path / "out/stale").exists()


def test_what_markers_of_earlier_versions_lead_to_stays_valid(step, tmp_path):
    """Theirs have no checksums; the key of a later step is that of the version that wrote them."""
    (tmp_path / "up").mkdir()
    lines = f"dump {'0' * 64}\n1 b\n12 a.ark\n96 wav.scp\n"
    (tmp_path / "up/.done").write_text(lines)
    sums = hashlib.sha256(lines.encode()).hexdigest() + " .done\n"
    expected = hashlib.sha256(f"1 \n{sums}".encode()).hexdigest()

    def key():
        command = ["bash", "-c", SOURCED + "key_of dump '' up/.done"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout.strip()

    assert key() == expected
    (tmp_path / "up/.done").write_text(f"dump {'0' * 64}\n12 a.ark\n1:433426081 b\n96:7 wav.scp\n")
    assert key() == expected


def test_a_table_changed_in_place_is_made_again(step, tmp_path):
    """The same size, another content: only tables and models are small enough to be read at every start."""
    step(make=WRITE)
    (tmp_path / "out/b c.scp").write_text("2")
    status, out, _ = step(make="printf 1 >'out/b c.scp'")
    assert status == 0 and "an output is missing or damaged: b c.scp; made again" in out


def test_a_small_ark_changed_in_place_is_made_again(step, tmp_path):
    """Statistics are in no table of checksums; the large arks beside them are."""
    write = "mkdir -p out; for name in stats.1 global_cmvn wav.1; do printf 1 >out/$name.ark; done"
    step(make=write)
    for name, lost in (("stats.1.ark", True), ("global_cmvn.ark", True), ("wav.1.ark", False)):
        (tmp_path / "out" / name).write_text("2")
        status, out, _ = step(make=write)
        assert status == 0 and (f"an output is missing or damaged: {name}; made again" in out) == lost, name


def test_audio_that_nothing_records_is_made_again(step, tmp_path):
    """corpus.json says of which corpus the audio is: without it a kept file may be of another one."""
    write = "mkdir -p out/wav; [ -e out/wav/a.wav ] || printf 12345 >out/wav/a.wav; printf 1 >out/corpus.json"
    step("sources", make=write)
    (tmp_path / "out/corpus.json").write_text("")
    status, out, err = step("sources", make="[ ! -e out/wav ] || echo kept; " + write)
    assert (status, err) == (0, "") and "corpus.json; made again" in out and "kept" not in out


def test_a_damaged_input_names_its_stage(step, tmp_path):
    step(make=WRITE)
    (tmp_path / "out/wavs/a.wav").unlink()
    status, _, err = step("finetune", folder="next", inputs="out/.done")
    assert status != 0 and err == "toy/run.sh: out/wavs/a.wav: missing or damaged; run stage 2 again\n"


@pytest.mark.parametrize("damage", ["rm out/wavs/a.wav", "printf 1234 >out/wavs/a.wav", "rm -r out/wavs"])
def test_a_damaged_or_removed_output_is_made_again_and_the_rest_is_kept(step, tmp_path, damage):
    step(make=WRITE)
    (tmp_path / "out/notes").write_text("a file beside the outputs is no damage")
    before = (tmp_path / "out/b c.scp").stat().st_mtime_ns
    assert "is done" in step(make=WRITE)[1]
    subprocess.run(["bash", "-c", damage], cwd=tmp_path, check=True)
    # programs keep what is there: the damaged file is not
    again = "mkdir -p out/wavs; [ -f out/wavs/a.wav ] || printf 12345 >out/wavs/a.wav"
    status, out, _ = step(make=again)
    assert status == 0 and "an output is missing or damaged: wavs/a.wav; made again" in out and out.endswith("made\n")
    assert (tmp_path / "out/b c.scp").stat().st_mtime_ns == before and "is done" in step(make="false")[1]


def test_many_lost_outputs_are_removed_by_few_programs(step, tmp_path):
    make = "mkdir -p out/wavs; cd out/wavs; seq -f '-%g b.wav' 200 | tr '\\n' '\\0' | xargs -0 touch --; cd ../.."
    step(make=make)
    for path in (tmp_path / "out/wavs").iterdir():
        path.write_text("damaged")
    count = "rm() { echo run; command rm \"$@\"; }\n"
    status, out, err = step(make="ls out/wavs; " + make, before=count)
    assert (status, err) == (0, "") and out.count("run\n") < 10
    assert out.partition("made again\n")[2].replace("run\n", "") == "made\n"


def test_the_marker_of_what_is_done_is_enough(step, tmp_path):
    step(make=WRITE)
    for damage, key in ("rm out/.begun", "1"), ("rm out/.begun out/wavs/a.wav", "1"), ("rm out/.begun", "2"):
        subprocess.run(["bash", "-c", damage], cwd=tmp_path, check=True)
        assert step(make=WRITE, key=key)[0] == 0 and (tmp_path / "out/wavs/a.wav").exists(), damage


def test_outputs_may_be_moved_to_another_disk(step, tmp_path):
    step(make=WRITE)
    marker = (tmp_path / "out/.done").read_text()
    (tmp_path / "out/wavs").rename(tmp_path / "scratch")
    (tmp_path / "out/wavs").symlink_to(tmp_path / "scratch")
    (tmp_path / "out/b c.scp").rename(tmp_path / "b c.scp")
    (tmp_path / "out/b c.scp").symlink_to(tmp_path / "b c.scp")
    assert "is done" in step(make="false")[1] and (tmp_path / "scratch/a.wav").exists()
    (tmp_path / "scratch/a.wav").unlink()
    status, out, _ = step(make="printf 12345 >out/wavs/a.wav")
    assert status == 0 and "an output is missing or damaged: wavs/a.wav" in out
    assert (tmp_path / "out/.done").read_text() == marker and (tmp_path / "scratch/a.wav").exists()


def test_of_training_the_model_alone_is_an_output(step, tmp_path):
    make = "touch out/checkpoint.pth; printf 123 >out/model.pth"
    step("finetune", make=make)
    assert (tmp_path / "out/.done").read_text().splitlines()[1:] == ["3:1411111867 model.pth"]
    (tmp_path / "out/checkpoint.pth").unlink()
    assert "is done" in step("finetune", make="false")[1]


def test_what_an_interrupted_run_left_is_kept(step, tmp_path):
    assert step(make="touch out/shard; false")[0] != 0
    assert not (tmp_path / "out/.done").exists()
    assert step(make="[ -f out/shard ]")[0] == 0


def test_other_settings_are_refused_where_output_is_dear(step, tmp_path):
    step("mixtures", make=WRITE)
    status, _, err = step("mixtures", on_change="refuse", key="2", make=WRITE)
    assert status != 0 and err == (
        "toy/run.sh: out: made with other settings or by another version; delete it, or name another folder\n"
    )
    assert (tmp_path / "out/wavs/a.wav").exists() and "is done" in step("mixtures", make="false")[1]


def test_markers_of_earlier_versions(step, tmp_path):
    """Theirs is a hash alone: made again, but what was trained is not thrown away."""
    for name in ("out", "model"):
        (tmp_path / name).mkdir()
        for marker in (".done", ".begun"):
            (tmp_path / name / marker).write_text("3b1f" * 16 + "\n")
        (tmp_path / name / "model.pth").write_text("x")
    status, _, err = step("finetune", folder="model")
    assert status != 0 and "model: made with other settings or by another version; delete it" in err
    assert (tmp_path / "model/model.pth").exists()
    status, out, _ = step(make=WRITE)
    assert status == 0 and "by another version; made again" in out and not (tmp_path / "out/model.pth").exists()


def test_a_folder_of_somebody_else_is_never_cleared(step, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.tex").write_text("x")
    (tmp_path / "out/.done").write_text("by somebody else\n")
    status, _, err = step()
    assert status != 0 and err == "toy/run.sh: out: not empty and not made by a stage; move it or name another\n"
    assert (tmp_path / "out/thesis.tex").exists()


def test_a_missing_input_is_one_line(step, tmp_path):
    status, out, err = step(inputs="none/.done")
    assert (
        status != 0
        and out == ""
        and err == "toy/run.sh: none/.done: not there; run the earlier stage that makes it first\n"
    )
    assert not (tmp_path / "out").exists()


def test_a_kill_while_a_folder_is_begun_leaves_it_a_stages(step, tmp_path):
    """The note of what was begun under its temporary name, whole or in part, is not somebody's file."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out/.begun.tmp").write_text("dum")
    assert step(make=WRITE)[:2] == (0, "made\n")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        ".begun", ".done", ".lock", "wavs", "log", "b c.scp"}
    (tmp_path / "other").mkdir()
    for name in (".begun.tmp", "thesis.tex"):
        (tmp_path / "other" / name).write_text("x")
    status, _, says = step(folder="other")
    assert status != 0 and "other: not empty and not made by a stage" in says
