"""Packs of models: the same bytes for the same model, the same outputs after unpacking, nothing of damaged ones."""

import json
import os
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from contrasep_lib.config import load_config
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import PREFIX
from contrasep_lib.packs.card import Card
from contrasep_lib.packs.layout import SECTIONS
from contrasep_lib.packs.reading import unpack
from contrasep_lib.packs.settings import settings_text
from contrasep_lib.packs.summary import Summary
from contrasep_lib.packs.writing import pack
from contrasep_lib.separate.shipped import FOLDER, names
from tests.bad_input.kinds import inside
from tests.bad_input.model_packs import packed

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The smallest model of the package, packed."""
    path = tmp_path_factory.mktemp("packs") / "small.zip"
    pack("small", path)
    return path


@pytest.mark.slow
def test_an_unpacked_model_separates_to_the_same_bytes(small, contrasep, tmp_path, rng):
    soundfile.write("two.wav", 0.1 * rng.standard_normal(6400), 8000)
    contrasep("unpack", small, "models/small", check=True)
    for model, out in (("small", "a"), ("models/small", "b")):
        contrasep("separate", "two.wav", "--out", out, "--num-spk", 2, "--model", model, check=True)
    made = sorted(path.name for path in Path("a").iterdir())
    assert len(made) >= 2 and made == sorted(path.name for path in Path("b").iterdir())
    assert all((Path("a") / name).read_bytes() == (Path("b") / name).read_bytes() for name in made)


def test_the_same_model_gives_the_same_bytes(small, tmp_path):
    pack("small", tmp_path / "again.zip")
    unpack(small, tmp_path / "small")
    # times of files and where they lie do not matter
    for path in (tmp_path / "small").rglob("*"):
        os.utime(path, (0, 0))
    pack(str(tmp_path / "small"), tmp_path / "unpacked.zip")
    assert small.read_bytes() == (tmp_path / "again.zip").read_bytes() == (tmp_path / "unpacked.zip").read_bytes()


def test_a_pack_holds_card_licence_and_weights(small, tmp_path):
    manifest = unpack(small, tmp_path / "x")
    assert manifest.name == "small" and manifest.licence == "Apache-2.0, weights included"
    assert "Apache License" in (tmp_path / "x/LICENSE.txt").read_text()
    assert (tmp_path / "x/LICENSE.txt").read_text() == (ROOT / "LICENSE").read_text()
    for name in ("README.md", "finetune/model.pth", "modularity/null.json", "modularity/network.pth"):
        assert (tmp_path / "x" / name).read_bytes() == (FOLDER / "small" / name).read_bytes()
    # readable by others, as any new folder is
    assert (tmp_path / "x").stat().st_mode == (tmp_path / "x/finetune").stat().st_mode
    assert not list(tmp_path.glob(f"{PREFIX}*"))


@pytest.mark.parametrize("name", names())
def test_settings_are_those_of_the_model(name, tmp_path):
    config = load_config(FOLDER / name / "config.yaml")
    (tmp_path / "config.yaml").write_text(settings_text(config))
    read = load_config(tmp_path / "config.yaml")
    assert all(read[section] == config[section] for section in SECTIONS) and read["mix"].rate == config["mix"].rate
    assert settings_text(read) == settings_text(config)


def test_an_experiment_gets_a_card_and_a_licence(contrasep, tmp_path):
    unpacked = tmp_path / "exp/tf"
    pack("small", tmp_path / "x.zip")
    unpack(tmp_path / "x.zip", unpacked)
    config = unpacked / "config.yaml"
    config.rename(tmp_path / "tf.yaml")
    (unpacked / "README.md").unlink()
    done = contrasep("pack", unpacked, "tf.zip", "--config", "tf.yaml")
    assert done.returncode == 1 and "no card; write one with" in done.stderr and "--licence" in done.stderr
    contrasep("pack", unpacked, "tf.zip", "--config", "tf.yaml", "--licence", "CC BY 4.0", check=True)
    contrasep("unpack", "tf.zip", "tf", check=True)
    card = Card.of(Path("tf/README.md").read_text())
    assert card.licence == "CC BY 4.0" and card.trained_on == "the sets tr_single"
    # a card without a licence gets a line
    (unpacked / "README.md").write_text("# tf: mine\n\n- Trained on: a\n  and b\n")
    contrasep("pack", unpacked, "u.zip", "--config", "tf.yaml", "--licence", "MIT", check=True)
    contrasep("unpack", "u.zip", "u", check=True)
    assert Path("u/README.md").read_text() == "# tf: mine\n\n- Trained on: a\n  and b\n- Licence: MIT\n"
    assert contrasep("models", "u").stdout.split()[-3:] == ["a", "and", "b"]


def test_models_lists_those_of_the_package(contrasep):
    lines = contrasep("models", check=True).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["model", *names()]
    assert "1 to 5    8 kHz  841,283" in lines[1] and lines[1].endswith("Mini LibriSpeech, train-clean-100 (CC BY 4.0)")
    for name in names():
        summary = Summary.of(name)
        assert summary.licence.startswith("Apache-2.0") and summary.trained_on and summary.speakers


def test_nothing_is_left_of_a_damaged_pack(small, tmp_path):
    whole = small.read_bytes()
    rng = np.random.default_rng(0)
    # half of them in what says where things are
    places = [*rng.integers(len(whole), size=15), *rng.integers(len(whole) - 900, len(whole), size=25)]
    for number, place in enumerate(places):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.integers(8)
        path = tmp_path / f"{number}.zip"
        path.write_bytes(damaged if number % 3 else whole[:place])
        try:
            unpack(path, tmp_path / "out/x")
        except ContrasepError as error:
            assert "\n" not in str(error) and str(path) in str(error)
        else:
            # a bit that says nothing, such as a time: the same model
            assert number % 3
            assert (tmp_path / "out/x/finetune/model.pth").read_bytes() in whole
            (tmp_path / "out/x").rename(tmp_path / f"{number}")
        assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


def test_a_large_table_takes_no_memory(tmp_path):
    with inside(tmp_path):
        packed({f"modularity/a{number}.json": b"" for number in range(10_000)}, {})
    tracemalloc.start()
    try:
        with pytest.raises(ContrasepError, match="entries, more than a model has"):
            unpack(tmp_path / "m.zip", tmp_path / "x")
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_a_local_name_that_differs_is_refused(small, tmp_path):
    content = small.read_bytes().replace(b"modularity/null.json", b"modularity/../e.json", 1)
    assert content != small.read_bytes()
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(ContrasepError):
        unpack(tmp_path / "x.zip", tmp_path / "out")
    assert not list(tmp_path.rglob("e.json")) and not (tmp_path / "out").exists()


def test_a_pack_as_a_model_names_the_command(small, contrasep, tmp_path, rng):
    soundfile.write("two.wav", 0.1 * rng.standard_normal(800), 8000)
    done = contrasep("separate", "two.wav", "--out", "a", "--model", small)
    assert done.returncode == 1 and "contrasep unpack" in done.stderr


def test_the_manifest_is_first_and_sorted(small):
    with zipfile.ZipFile(small) as file:
        entries = file.namelist()
        manifest = json.loads(file.read("manifest.json"))
    assert entries[0] == "manifest.json" and entries[1:] == sorted(entries[1:]) == list(manifest["files"])
