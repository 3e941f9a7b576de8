"""The stand-in for WSJ0: names, formats, durations, lists."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from contrasep_lib.corpus import wsj0_rehearsal
from contrasep_lib.corpus.wsj0_lists import SETS, list_name, read_lists
from contrasep_lib.corpus.wsj0_rehearsal import make_rehearsal
from contrasep_lib.corpus.wsj0_tree import REHEARSAL, file_key, find_files
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.audio import resample_audio
from contrasep_lib.io.sphere import HEADER_BYTES, read_checked
from contrasep_lib.mix.level import active_level
from contrasep_lib.mix.levels import parse_levels

LISTS = Path(__file__).resolve().parents[2].parent / "shared/wsj0mix_lists"


def serially(work, items):
    return [work(*item) for item in items]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Six speakers of two recordings at 8 kHz."""
    folder, rng = tmp_path_factory.mktemp("corpus") / "recordings", np.random.default_rng(0)
    for speaker in range(6):
        for number in range(2):
            path = folder / f"{speaker:02d}-{number}.flac"
            path.parent.mkdir(exist_ok=True)
            tone = np.sin(np.arange(24000) * 2 * np.pi * (200 + 100 * speaker) / 8000)
            soundfile.write(path, 0.2 * tone + 0.01 * rng.standard_normal(24000), 8000)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory, recordings):
    return make(tmp_path_factory.mktemp("made"), recordings, scale=0.002)


def make(tmp_path, recordings, name="tree", **options):
    expected = {"scale": 0.001, "counts": (2, 3), "mix_lists": None, "corpus": recordings, "seed": 0, "jobs": 1}
    out = tmp_path / name
    return out, make_rehearsal(out, **{**expected, **options}, run=serially)


def test_names_formats_levels_and_hours(made):
    out, hours = made
    codings, seconds = set(), {}
    for num_spk in (2, 3):
        lists, errors = read_lists(out / "lists", num_spk)
        assert not errors and [len(lists[name]) for name in SETS] == [40, 10, 6]
        for name, mixtures in lists.items():
            keys = {file_key(source) for m in mixtures for source in m.sources}
            found = find_files(out, keys)
            assert found.files.keys() == keys
            for key, path in found.files.items():
                assert re.fullmatch(
                    r"11-\d\.1/wsj0/si_(tr_s|dt_05|et_05)/(\w{3})/\2c02\w\w\.wv1", str(path.relative_to(out))
                )
                assert key.startswith("si_tr_s") == (name != "tt")
                samples, rate, right = read_checked(path)
                assert rate == 16000 and right and samples.any()
                seconds[key] = len(samples) / rate
                codings.add(re.search(rb"sample_coding -s\d+ (\S+)", path.read_bytes()[:HEADER_BYTES]).group(1))
            total = sum(min(seconds[file_key(source)] for source in m.sources) for m in mixtures) / 3600
            assert hours[f"mix_{num_spk}_spk_{name}"] == pytest.approx(total)
    assert codings == {b"pcm", b"pcm,embedded-shorten-v2.00"}
    assert 1.5 <= min(seconds.values()) and max(seconds.values()) <= 20
    key = next(iter(seconds))
    samples, _, _ = read_checked(find_files(out, [key]).files[key])
    folder, _, utt = key.split("/")
    level = parse_levels(out / "lists" / f"activlev_{folder}.txt")[utt]
    assert level == pytest.approx(active_level(resample_audio(samples / 32768, 16000, 8000), 8000)[0], rel=1e-12)
    assert "other recordings (recordings) in place of WSJ0, scale 0.002" in (out / REHEARSAL).read_text()
    assert not (out / ".pool").exists()


def test_sets_are_apart_as_those_of_wsj0mix(made):
    out, _ = made
    files = {}
    for num_spk in (2, 3):
        for name, mixtures in read_lists(out / "lists", num_spk)[0].items():
            files.setdefault(name, set()).update(source for m in mixtures for source in m.sources)
    assert not files["tr"] & files["cv"] and not (files["tr"] | files["cv"]) & files["tt"]
    speakers = {name: {source.split("/")[2] for source in sources} for name, sources in files.items()}
    assert not (speakers["tr"] | speakers["cv"]) & speakers["tt"]


def test_the_seed_decides_every_byte(tmp_path, recordings):
    def content(folder):
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    one, two, other = (
        content(make(tmp_path, recordings, name, counts=(2,), seed=seed)[0])
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert one == two != other


def test_hours_at_scale_1(rng):
    drawn = rng.normal(wsj0_rehearsal.SECONDS_MEAN, wsj0_rehearsal.SECONDS_DEVIATION, (20000, 2))
    shorter = np.clip(drawn, *wsj0_rehearsal.SECONDS_BOUNDS).min(axis=1).mean()
    hours = {name: lines * shorter / 3600 for name, lines in wsj0_rehearsal.LINES.items()}
    assert hours == {"tr": pytest.approx(30, abs=1), "cv": pytest.approx(8, abs=1), "tt": pytest.approx(5, abs=1)}


@pytest.mark.skipif(not LISTS.is_dir(), reason=f"no lists of WSJ0-mix in {LISTS}")
def test_real_lists_are_cut_to_the_scale(tmp_path, recordings):
    out, _ = make(tmp_path, recordings, mix_lists=LISTS)
    for num_spk in (2, 3):
        for name, count in (("tr", 20), ("cv", 5), ("tt", 3)):
            whole = (LISTS / list_name(num_spk, name)).read_text().splitlines()
            cut = (out / "lists" / list_name(num_spk, name)).read_text().splitlines()
            assert cut == [line.rstrip() for line in whole[:count]]
    lists, _ = read_lists(out / "lists", 2)
    keys = {file_key(source) for mixtures in lists.values() for m in mixtures for source in m.sources}
    assert find_files(out, keys).files.keys() == keys


@pytest.mark.parametrize("num_spk", [4, 5])
def test_more_talkers_where_lists_are_given(tmp_path, recordings, contrasep, config, num_spk):
    tree, _ = make(tmp_path, recordings, counts=(num_spk,))
    whole = ["--config", config, "--set", "mix.active_level=published", "--num-spk", num_spk]
    contrasep(
        "prepare-corpus",
        "wsj0",
        *whole,
        "--corpus",
        tree,
        "--mix-lists",
        tree / "lists",
        "--out",
        "sources",
        check=True,
    )
    contrasep("make-lists", *whole, "--sources", "sources", "--out", "lists", check=True)
    contrasep("mix", *whole[:4], "--list", "lists/tt.txt", "--sources", "sources/tt", "--out", "wav", check=True)
    contrasep(
        "prepare-data",
        "--sources",
        "sources/tt",
        "--list",
        "lists/tt.txt",
        "--mixtures",
        "wav",
        "--out",
        "data",
        check=True,
    )
    contrasep("validate-data", "data", "--rate", 8000, check=True)
    assert (tmp_path / f"data/spk{num_spk}.scp").is_file() and len(list((tmp_path / "wav/mix").iterdir())) == 3


@pytest.mark.parametrize("options, says", [
    ({"scale": 0.0}, "--scale 0: expected a number above 0"),
    ({"scale": 1.5}, "at most 1"),
    ({"corpus": "empty"}, "of at least 4 speakers, got 0"),
    ({"mix_lists": "empty"}, "no such list"),
])
def test_wrong_calls(tmp_path, recordings, monkeypatch, options, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ContrasepError, match=says):
        make(tmp_path, recordings, **options)


def test_a_folder_in_use_is_refused(tmp_path, recordings):
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "mine").write_text("")
    with pytest.raises(ContrasepError, match="not empty; remove it or name another folder"):
        make(tmp_path, recordings)
