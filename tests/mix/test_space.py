"""Room on disk is asked for before mixing begins."""

import shutil

import numpy as np
import pytest
import soundfile

from contrasep_lib.errors import ContrasepError
from contrasep_lib.mix.lists import Mixture
from contrasep_lib.mix.mixer import Mixer, write_mixture
from contrasep_lib.mix.options import MixOptions
from contrasep_lib.mix.space import cache_bytes, mixture_bytes, require_space

SECONDS = {"a": 1.0, "b": 1.5, "c": 0.7}
LIST = [Mixture(("a", "b"), ("1", "-1")), Mixture(("b", "c"), ("1", "-1"))]


@pytest.mark.parametrize("mode, rate", [("min", 8000), ("max", 8000), ("min", 16000)])
def test_bytes_are_those_that_are_written(tmp_path, rng, mode, rate):
    wav = {}
    for utt, seconds in SECONDS.items():
        wav[utt] = str(tmp_path / f"{utt}.wav")
        soundfile.write(wav[utt], rng.standard_normal(round(16000 * seconds)) * 0.1, 16000)
    options = MixOptions(mode=mode, rate=rate)
    mixer = Mixer(wav, options, cache=tmp_path / "cache")
    for mixture in LIST:
        write_mixture(tmp_path / "set", mixture, mixer)
    written = sum(-(-path.stat().st_size // 4096) * 4096 for path in (tmp_path / "set").rglob("*.wav"))
    assert mixture_bytes(LIST, SECONDS, options) == written
    kept = sum(np.load(path).nbytes for path in (tmp_path / "cache").glob("*.npy"))
    assert cache_bytes(LIST, SECONDS, options) == kept


def test_too_little_room(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(10**12, 10**12, 5 * 10**9))
    require_space(tmp_path / "not" / "made", 5 * 10**9)
    with pytest.raises(ContrasepError, match="the mixtures need 7.0 GB, 5.0 GB are free; make room"):
        require_space(tmp_path / "not" / "made", 7 * 10**9)
    with open(tmp_path / "held", "wb") as file:
        file.write(b"\1" * 3_000_000)
    require_space(tmp_path, 5 * 10**9 + 2_000_000)


def test_nothing_is_mixed_without_room(sources_dir, config, contrasep, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(10**9, 10**9, 10**4))
    done = contrasep(
        "make-lists", "--config", config, "--sources", sources_dir.parent, "--num-spk", 2, "--out", "m/lists"
    )
    assert done.returncode == 1 and "are free; make room there" in done.stderr and done.stderr.count("\n") == 1
