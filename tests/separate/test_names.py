"""Names of files and zeros around a recording change nothing of its separation."""

import shutil

import numpy as np
import soundfile

from contrasep_lib.config import build
from contrasep_lib.modularity.options import ModularityOptions
from contrasep_lib.separate.clustering_state import ClusteringState
from contrasep_lib.separate.model_separator import ModelSeparator
from contrasep_lib.separate.options import SeparateOptions
from contrasep_lib.separate.shipped import NamedSeparator
from tests.separate.test_files import RATE, Voices, outputs, run, separator, voice


def test_a_copy_under_another_name_is_separated_alike(tmp_path):
    # networks that are drawn at random and left as they are: each seed has its own partition
    solver = {"name": "network", "refine_steps": 0, "starts": 1}
    modularity = build(ModularityOptions, {"solver": solver}, "modularity")
    by = ModelSeparator(Voices(), ClusteringState.from_options(modularity), modularity, SeparateOptions("model"))
    mixture = voice(0, 3) + voice(2, 3)
    soundfile.write(tmp_path / "x.wav", mixture, RATE)
    files = [tmp_path / f"{name}.wav" for name in ("x", "y", "another")]
    for file in files[1:]:
        shutil.copy(files[0], file)
    assert not run(files, tmp_path / "out", NamedSeparator("voices", by, RATE), num_spk=2)[2]
    expected, *copies = (outputs(tmp_path / "out", file.stem)[0] for file in files)
    assert all(np.array_equal(copy, expected) for copy in copies)


def test_zeros_around_change_no_seed_and_the_first_window_begins_at_0(tmp_path, monkeypatch):
    by, draws, separate = separator(), [], ModelSeparator.separate
    monkeypatch.setattr(
        ModelSeparator, "separate", lambda *args, **options: draws.append(options["draw"]) or separate(*args, **options)
    )
    # whole hops but for 5 samples, which an excerpt leaves out
    for name, before in (("x", 0), ("y", 10 * RATE + 5)):
        mixture = np.pad(voice(0, 2) + voice(2, 2), (before, before // 7))
        soundfile.write(tmp_path / f"{name}.wav", mixture, RATE)
        assert not run([tmp_path / f"{name}.wav"], tmp_path / "out", by, num_spk=2)[2]
        got, content = outputs(tmp_path / "out", name)
        [window] = content["windows"]
        assert got.shape[1] == len(mixture) and (window["start"], window["stop"]) == (0, len(mixture) / RATE)
    assert draws[0] == draws[1]


def test_an_error_of_a_name_with_a_colon_is_whole(tmp_path):
    soundfile.write(tmp_path / "a: b.wav", np.zeros(RATE), RATE)
    [error] = run([tmp_path / "a: b.wav"], tmp_path / "out")[1]
    assert error == f"{tmp_path / 'a: b.wav'}: nothing but silence; there is no speaker to separate"
