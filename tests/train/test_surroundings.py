"""Noise and rooms of mixtures drawn on the fly."""

import json

import numpy as np
import pytest
import soundfile

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.dumpset import DumpSet
from contrasep_lib.mix.level import active_level
from contrasep_lib.mix.options import MixOptions
from contrasep_lib.train.data import train_dataset, valid_dataset
from contrasep_lib.train.options import TrainOptions
from contrasep_lib.train.surroundings_options import TrainNoiseOptions, TrainRoomOptions
from tests.train.conftest import write_dump

MIX = MixOptions()
RATE = 8000


def dataset(folder, **options):
    return train_dataset([folder], TrainOptions(**{"segment_seconds": 1.2, "num_spk": (1, 2, 3), **options}), MIX)


def beside(item):
    return item["mixture"] - item["sources"].sum(0)


def test_noise_at_the_ratio_asked_for(single_dump, tmp_path, rng):
    (tmp_path / "noise").mkdir()
    for number in range(4):
        soundfile.write(tmp_path / "noise" / f"{number}.wav", 0.1 * rng.standard_normal(RATE // 2), RATE)
    dump = DumpSet(single_dump)
    for kinds in (("folder",), ("white",), ("brown",), ("speech",)):
        folder = str(tmp_path / "noise") if "folder" in kinds else None
        made = dataset(single_dump, noise=TrainNoiseOptions(kinds, folder, (3.0, 3.0)), segment_seconds=None)
        counts = set()
        for number in range(12):
            item = made[1, number]
            counts.add(len(item["sources"]))
            # whole utterances at their own speed: a source is its utterance by a factor
            speech = 0.0
            for source, key in zip(item["sources"], item["utt_id"].partition(":")[2].split("+")):
                spoken = dump.mixture(key)
                speech += np.square(source).sum() / np.square(spoken).sum() * active_level(spoken, RATE)[0]
            assert 10 * np.log10(speech / np.square(beside(item)).mean()) == pytest.approx(3, abs=0.1)
            assert np.array_equal(item["mixture"], made[1, number]["mixture"])
        assert counts == {1, 2, 3}


def test_probability_of_noise(single_dump):
    made = dataset(single_dump, noise=TrainNoiseOptions(("white",), probability=0.5))
    noisy = [np.abs(beside(made[1, number])).max() > 1e-3 for number in range(60)]
    assert 15 < sum(noisy) < 45


def test_babble_needs_speakers(single_dump):
    with pytest.raises(ContrasepError, match="babble_talkers"):
        dataset(single_dump, noise=TrainNoiseOptions(("babble",), babble_talkers=100))


def noisy_copy(folder, clean):
    """A dumped set of two talkers, with noise."""
    dump, rng = DumpSet(clean), np.random.default_rng(3)
    tracks = {name: {} for name in ("wav", "spk1", "spk2", "noise")}
    for key in dump.keys:
        noise = np.round(0.02 * rng.standard_normal(len(dump.mixture(key))) * 2**15) / 2**15
        tracks["noise"][key] = noise
        tracks["spk1"][key], tracks["spk2"][key] = 0.5 * dump.sources(key)
        tracks["wav"][key] = 0.5 * dump.mixture(key) + noise
    return write_dump(folder / "noisy", tracks, dump.utt2spk)


def test_fixed_mixtures_have_their_own_noise(mixture_dumps, tmp_path):
    noisy = noisy_copy(tmp_path, mixture_dumps[2])
    for options in ({"noise": TrainNoiseOptions(("white",))}, {"room": TrainRoomOptions((0.1, 0.2))}, {}):
        fixed = TrainOptions(data="fixed", segment_seconds=0.1, **options)
        for make in (train_dataset, valid_dataset):
            made = make([noisy], fixed, MIX)
            noise = made.utterances[0][0].noise(made.utterances[0][1])
            # what is beside the sources is the noise of the set, whatever is asked for on the fly
            rest = beside(made[1, 0])
            assert np.sqrt(np.square(rest).mean()) == pytest.approx(0.02, rel=0.2)
            starts = range(len(noise) - len(rest) + 1)
            assert min(np.abs(noise[start : start + len(rest)] - rest).max() for start in starts) < 1e-4
            if options:
                with pytest.raises(ContrasepError, match=f"{mixture_dumps[2]}: expected noise.scp for {[*options][0]}"):
                    make([noisy, mixture_dumps[2]], fixed, MIX)
    # validation takes what there is where training mixes on the fly
    dynamic = TrainOptions(noise=TrainNoiseOptions(("white",)), segment_seconds=0.1)
    assert np.abs(beside(valid_dataset([mixture_dumps[2]], dynamic, MIX)[0, 0])).max() < 1e-3


def test_rooms_from_a_bank_that_is_made_once(single_dump):
    pytest.importorskip("pyroomacoustics", reason="the extra [rooms] is not installed")
    room = TrainRoomOptions((0.1, 0.15), bank=3)
    made = dataset(single_dump, room=room)
    items = [made[1, number] for number in range(12)]
    assert {len(item["sources"]) for item in items} == {1, 2, 3}
    # late reverberation is in the mixture and in no source
    assert all(np.abs(beside(item)).max() > 1e-3 for item in items)
    whole = dataset(single_dump, room=TrainRoomOptions((0.1, 0.15), bank=3, reference="reverberant"))
    assert all(np.abs(beside(whole[1, number])).max() < 4 / 2**15 for number in range(12))
    folder = single_dump.parent / "rooms"
    bank, = folder.glob("*.npy")
    written = bank.stat().st_mtime_ns, bank.read_bytes()
    assert json.loads(bank.with_suffix(".json").read_text())["bank"] == 3
    again = dataset(single_dump, room=room)
    assert bank.stat().st_mtime_ns == written[0]
    assert all(np.array_equal(again[1, number]["mixture"], items[number]["mixture"]) for number in range(12))
    del again, made, whole
    bank.write_bytes(written[1][:-1] + b"x")
    dataset(single_dump, room=room)
    assert bank.read_bytes() == written[1]
