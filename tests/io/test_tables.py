"""Two-column tables, atomic writes, keys of steps."""

import dataclasses

import pytest

from contrasep_lib.config import load_config
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io import done
from contrasep_lib.io.atomic import atomic_open, atomic_path, write_text
from contrasep_lib.io.scp import invert_utt2spk, parse_table, read_table, write_table


def test_round_trip_in_c_locale_order(tmp_path):
    rows = {"b": "2 with spaces", "B": "1", "a-1": "x", "a1": "y", "\u00e9": "z"}
    write_table(tmp_path / "t", rows)
    assert read_table(tmp_path / "t") == rows
    keys = [line.split()[0] for line in (tmp_path / "t").read_text().splitlines()]
    assert keys == sorted(rows, key=lambda key: key.encode())


@pytest.mark.parametrize("content, says", [
    ("b 1\na 2\n", "not sorted at 'a'.*sort"),
    ("a 1\na 2\n", "'a' stands twice"),
    ("a 1\nb 2", "no newline"),
    ("a\n", "no value"),
    ("a 1\n\nb 2\n", ":2: empty line"),
    ("", "empty"),
])
def test_errors_of_a_table(tmp_path, content, says):
    (tmp_path / "t").write_text(content)
    with pytest.raises(ContrasepError, match=says) as error:
        read_table(tmp_path / "t")
    assert str(tmp_path / "t") in str(error.value)


def test_every_error_is_listed(tmp_path):
    (tmp_path / "t").write_text("b 1\na 2\na 3\nc\nd 4")
    _, errors = parse_table(tmp_path / "t")
    assert len(errors) == 4


def test_missing_and_foreign_files(tmp_path):
    with pytest.raises(ContrasepError, match="no such file"):
        read_table(tmp_path / "t")
    (tmp_path / "t").write_bytes(b"a \xff\xfe\n")
    with pytest.raises(ContrasepError, match="not UTF-8"):
        read_table(tmp_path / "t")


def test_bad_keys_are_not_written(tmp_path):
    for rows in ([("a", "1"), ("a", "2")], [("a b", "1")], [("", "1")]):
        with pytest.raises(ContrasepError):
            write_table(tmp_path / "t", rows)
    assert not (tmp_path / "t").exists()


def test_inverse_of_utt2spk():
    assert invert_utt2spk({"b-1": "b", "a-2": "a", "a-1": "a"}) == {"a": "a-1 a-2", "b": "b-1"}


def test_a_failed_write_leaves_what_was_there(tmp_path):
    write_text(tmp_path / "t", "old")
    with pytest.raises(RuntimeError):
        with atomic_open(tmp_path / "t") as file:
            file.write("new")
            raise RuntimeError
    assert (tmp_path / "t").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["t"]
    with atomic_path(tmp_path / "a.wav") as temporary:
        assert temporary.suffix == ".wav" and temporary.parent == tmp_path
        temporary.write_text("x")
    assert (tmp_path / "a.wav").exists()


def test_the_key_follows_all_it_depends_on(tmp_path):
    scp = tmp_path / "wav.scp"
    scp.write_text("a 1\n")
    key = done.stage_key({"mix": {"seed": 1}}, [scp], {"k": "2"})
    assert key == done.stage_key({"mix": {"seed": 1}}, [scp], {"k": "2"})
    scp.touch()
    others = [
        done.stage_key({"mix": {"seed": 2}}, [scp], {"k": "2"}),
        done.stage_key({"mix": {"seed": 1}}, [scp], {"k": "3"}),
    ]
    assert key == done.stage_key({"mix": {"seed": 1}}, [scp], {"k": "2"}) and key not in others
    scp.write_text("a 2\n")
    assert key != done.stage_key({"mix": {"seed": 1}}, [scp], {"k": "2"})
    with pytest.raises(ContrasepError, match="earlier stage"):
        done.stage_key({}, [tmp_path / "none"], {})


def test_keys_of_steps_follow_what_a_step_reads_and_the_meaning_of_its_output(config, monkeypatch):
    def changed(*overrides, steps=None):
        monkeypatch.setattr(done, "FORMATS", steps or formats)
        now = done.step_keys(load_config(config, [separator, *overrides]))
        return {name for name in formats if now[name] != before[name]}

    formats, separator = dict(done.FORMATS), "separate.separator=model"
    before = done.step_keys(load_config(config, [separator]))
    assert changed() == set() and len(set(before.values())) == len(formats)
    assert changed("dump.shard=3") == {"dump"}
    assert changed("mix.seed=3") == {"mixtures", "pretrain", "finetune"}
    assert changed("mix.rate=16000") == {"mixtures", "pretrain", "finetune", "dump"}
    assert changed("finetune.epochs=3") == {"finetune"} and changed("modularity.seed=3") == {"modularity", "separate"}
    assert changed("corpus.espeak.seed=3") == {"sources"} and changed("score.plots=4") == {"score"}
    # an oracle reads no model
    separator = "separate.separator=oracle_ibm"
    before = done.step_keys(load_config(config, [separator]))
    assert changed("modularity.seed=3") == {"modularity"}
    raised = {**formats, "dump": dataclasses.replace(formats["dump"], format=formats["dump"].format + 1)}
    assert changed(steps=raised) == {"dump"}
