"""Noise and rooms: spectra, ratios and decays against independent computations; lists, resuming, errors."""

import dataclasses
import hashlib

import numpy as np
import pytest
import soundfile
from scipy.signal import welch

from contrasep_lib.errors import ContrasepError
from contrasep_lib.mix.lists import Mixture, read_list, write_list
from contrasep_lib.mix.mixer import Mixer, write_mixture
from contrasep_lib.mix.noise.coloured import TILTS, speech_noise, tilted_noise
from contrasep_lib.mix.noise.folder import cut, noise_files, read_noise
from contrasep_lib.mix.noise.options import NoiseOptions
from contrasep_lib.mix.options import MixOptions
from contrasep_lib.mix.room_options import RoomOptions
from contrasep_lib.mix.rooms import Room, draw_room, responses, reverberate, split_response
from contrasep_lib.mix.surroundings import surround

RATE = 8000


def digest(folder):
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*.wav"))}


@pytest.mark.parametrize("colour", TILTS)
def test_slopes_of_colours(colour, rng):
    frequency, power = welch(tilted_noise(60 * RATE, TILTS[colour], RATE, rng), RATE, nperseg=4096)
    band = (frequency >= 40) & (frequency <= 3800)
    slope = np.polyfit(np.log2(frequency[band]), 10 * np.log10(power[band]), 1)[0]
    assert slope == pytest.approx({"white": 0, "pink": -3.01, "brown": -6.02}[colour], abs=0.15)


def test_speech_shaped_noise_has_the_spectrum_of_its_talkers(rng):
    talkers = [np.convolve(rng.standard_normal(8 * RATE), shape)[: 8 * RATE] for shape in ([1, 0.9], [1, -0.3, 0.5])]
    noise = speech_noise(60 * RATE, talkers, RATE, rng)
    assert np.square(noise).mean() == pytest.approx(1)
    _, wanted = welch(np.sum(talkers, axis=0), RATE, nperseg=128)
    _, found = welch(noise, RATE, nperseg=128)
    off = 10 * np.log10(found / wanted)[2:-2]
    assert np.abs(off - off.mean()).max() < 1


def test_short_noise_is_looped_without_a_step():
    wave = np.sin(2 * np.pi * 50.3 * np.arange(1601) / RATE)
    part, looped = cut(wave, 3 * RATE, 977, RATE)
    assert looped and len(part) == 3 * RATE
    assert np.abs(np.diff(part)).max() < 1.5 * np.abs(np.diff(wave)).max()
    part, looped = cut(wave, 400, 10**9, RATE)
    assert not looped and any(np.array_equal(part, wave[start : start + 400]) for start in range(len(wave) - 399))


def test_a_pause_of_the_noise_gives_no_silence():
    noise = np.zeros(4000)
    noise[3000] = 1
    assert all(cut(noise, 500, offset, RATE)[0].any() for offset in range(0, 3600, 100))


@pytest.fixture
def noise_dir(tmp_path, rng):
    for name, count in (("rain", 8), ("dogs", 10)):
        (tmp_path / "noise" / name).mkdir(parents=True)
        for number in range(count):
            soundfile.write(tmp_path / "noise" / name / f"{number}.wav", 0.1 * rng.standard_normal(RATE), RATE)
    return tmp_path / "noise"


def test_recordings_are_shared_out(noise_dir):
    parts = {name: set(noise_files(noise_dir, name)) for name in ("tr", "cv", "dev", "tt")}
    assert len(parts["tr"]) == 6 + 6 and parts["tr"] == parts["cv"]
    assert parts["tt"] == {"rain/6.wav", "rain/7.wav", "dogs/8.wav", "dogs/9.wav"}
    assert not parts["tt"] & (parts["tr"] | parts["dev"])
    assert {file for file in parts["dev"] if "dogs" in file} == {"dogs/6.wav", "dogs/7.wav"}
    (noise_dir / "tt").mkdir()
    soundfile.write(noise_dir / "tt" / "a.wav", np.ones(RATE) * np.arange(RATE) / RATE, RATE)
    assert noise_files(noise_dir, "tt") == ["tt/a.wav"]


def test_esc_10_has_six_and_two_of_each_class():
    from pathlib import Path

    folder = Path(__file__).resolve().parents[3] / "shared" / "corpora" / "ESC-10"
    if not folder.is_dir():
        pytest.skip("../shared/corpora/ESC-10 is not there")
    train, test = noise_files(folder, "tr"), noise_files(folder, "tt")
    assert len(train) == 60 and len(test) == 20 and not set(train) & set(test)


@pytest.fixture
def corpus(tmp_path, rng):
    """Utterance -> file and speaker: eight speakers of noise bursts, which P.56 finds active in part."""
    wav, speakers = {}, {}
    for number in range(8):
        bursts = np.repeat(rng.random(12) < 0.7, RATE // 4)
        bursts[: RATE // 4] = True
        path = tmp_path / f"u{number}.wav"
        soundfile.write(path, 0.05 * rng.standard_normal(len(bursts)) * bursts, RATE, subtype="PCM_16")
        wav[f"u{number}"], speakers[f"u{number}"] = str(path), f"s{number}"
    return wav, speakers


def noisy(kind, noise_dir, snr):
    return NoiseOptions((kind,), str(noise_dir) if kind == "folder" else None, (snr, snr), 3)


@pytest.mark.parametrize("num_spk", [1, 2, 3])
@pytest.mark.parametrize("snr", [-5, 10])
@pytest.mark.parametrize("kind", ["folder", "babble", "white", "pink", "brown", "speech"])
def test_ratio_and_sum(corpus, noise_dir, kind, snr, num_spk):
    wav, speakers = corpus
    options = MixOptions(noise=noisy(kind, noise_dir, snr))
    gains = ["2", "-2", "0"][:num_spk]
    mixture, = surround([Mixture(tuple(wav)[:num_spk], tuple(gains))], options, speakers, "tt", [0])
    mixed = Mixer(wav, options).mix(mixture)
    assert np.abs(mixed.sources.astype(int).sum(0) + mixed.noise - mixed.mixture).max() <= (num_spk + 2) / 2
    assert np.abs(np.vstack([mixed.mixture, mixed.sources, mixed.noise])).max() == round(0.9 * 2**15)
    # the bursts' level is known without P.56: the share of a source's samples that are bursts carries its power
    power = 0.0
    for source in mixed.sources.astype(float):
        active = np.square(source).reshape(-1, RATE // 4).mean(1)
        power += active[active > active.max() / 100].mean()
    measured = 10 * np.log10(power / np.square(mixed.noise.astype(float)).mean())
    # P.56 holds speech for 0.2 s after each burst, so its level lies under that of the bursts
    from contrasep_lib.mix.level import active_level

    held = sum(active_level(source.astype(float), RATE)[0] for source in mixed.sources)
    assert 0 <= measured - snr < 2.5
    assert 10 * np.log10(held / np.square(mixed.noise.astype(float)).mean()) == pytest.approx(snr, abs=0.1)


def test_lists_hold_all_that_is_drawn(corpus, noise_dir, tmp_path):
    wav, speakers = corpus
    options = MixOptions(
        noise=NoiseOptions(("folder", "babble", "white", "speech"), str(noise_dir), (-5.0, 10.0), 3),
        room=RoomOptions((0.1, 0.2)),
    )
    plain = [Mixture(("u0", f"u{other}"), ("1", "-1")) for other in range(1, 8)]
    drawn = surround(plain, options, speakers, "tr", [7])
    write_list(tmp_path / "list", drawn)
    assert read_list(tmp_path / "list", 2) == drawn
    assert [mixture.name for mixture in drawn] == [mixture.name for mixture in plain]
    assert len({mixture.noise.kind for mixture in drawn}) > 1
    # noise and rooms are drawn apart, and each line by its number
    alone = surround(plain[:3], dataclasses.replace(options, room=RoomOptions()), speakers, "tr", [7])
    assert [mixture.noise for mixture in alone] == [mixture.noise for mixture in drawn[:3]]
    for mixture in drawn:
        if mixture.noise.kind == "babble":
            assert not set(mixture.noise.what.split(",")) & set(mixture.sources)


def test_same_bytes_by_any_job(corpus, noise_dir, tmp_path):
    pytest.importorskip("pyroomacoustics", reason="the extra [rooms] is not installed")
    wav, speakers = corpus
    noise = NoiseOptions(("folder", "babble"), str(noise_dir), babble_talkers=3)
    options = MixOptions(noise=noise, room=RoomOptions((0.1, 0.2)))
    plain = [Mixture(("u0", f"u{other}"), ("1", "-1")) for other in range(1, 5)]
    drawn = surround(plain, options, speakers, "tr", [7])
    mixer = Mixer(wav, options)
    for mixture in drawn:
        write_mixture(tmp_path / "one", mixture, mixer)
    for mixture in reversed(drawn):
        write_mixture(tmp_path / "many", mixture, Mixer(wav, options))
    assert digest(tmp_path / "one") == digest(tmp_path / "many") and len(digest(tmp_path / "one")) == 16
    tracks = {track: soundfile.read(tmp_path / "one" / track / f"{drawn[0].name}.wav", dtype="int16")[0].astype(int)
              for track in ("mix", "s1", "s2", "noise")}
    assert np.abs(tracks["s1"] + tracks["s2"] + tracks["noise"] - tracks["mix"]).max() <= 2


@pytest.mark.parametrize("rt60", [0.2, 0.5])
def test_rooms_decay_in_the_time_asked_for(rt60):
    pyroomacoustics = pytest.importorskip("pyroomacoustics", reason="the extra [rooms] is not installed")
    room = draw_room(RoomOptions((rt60, rt60)), 2, np.random.default_rng(5))
    made = responses(room, RATE)
    assert np.array_equal(made, responses(room, RATE))
    for response in made:
        # an own computation of Schroeder's integral, of another library
        assert pyroomacoustics.experimental.measure_rt60(response, RATE, decay_db=20) == pytest.approx(rt60, rel=0.2)
        assert 40 <= np.abs(response[:60]).argmax() <= 41


def test_references_and_the_rest_add_up(rng):
    pytest.importorskip("pyroomacoustics", reason="the extra [rooms] is not installed")
    room = Room((5.0, 4.0, 3.0), 0.3, (1.0, 1.0, 1.5), ((3.0, 2.0, 1.5),))
    response, = responses(room, RATE)
    signal = rng.standard_normal(2 * RATE)
    for reference in ("early", "direct", "reverberant"):
        kept = split_response(response, RATE, reference)
        both = reverberate(signal, kept) + reverberate(signal, response - kept)
        np.testing.assert_allclose(both, np.convolve(signal, response)[: len(signal)], atol=1e-9)
    both = split_response(np.stack([0.5 * response, response]), RATE, "early")
    np.testing.assert_array_equal(both[1], 2 * both[0])
    last = np.flatnonzero(split_response(response, RATE, "early"))[-1]
    assert last - np.abs(response[:60]).argmax() == pytest.approx(0.05 * RATE, abs=1)


@pytest.mark.parametrize("options, message", [
    ({"noise": {"kinds": ["white"], "snr": [float("nan"), 1]}}, "snr"),
    ({"noise": {"kinds": ["white"], "snr": [5, 1]}}, "range of dB"),
    ({"noise": {"kinds": ["folder"]}}, "expected a folder"),
    ({"noise": {"folder": "x"}}, "expected a folder"),
    ({"room": {"length": [3, 4]}}, "rt60: expected a range of seconds"),
    ({"room": {"rt60": [0.01, 4]}}, "rt60"),
])
def test_options_that_cannot_be_meant(options, message):
    from contrasep_lib.config.schema import build

    with pytest.raises(ContrasepError, match=message) as caught:
        build(MixOptions, options, "mix")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("behind, message", [
    ("noise=pink:1 offset=0 snr=nan", "snr=DB"),
    ("noise=pink:x offset=0 snr=1", "KIND:WHAT"),
    ("noise=folder:../a.wav offset=0 snr=1", "below the folder"),
    ("noise=pink:1 snr=1", "offset"),
    ("offset=1 snr=1", "KIND:WHAT"),
    ("room=5,4,3 mic=1,1,1 talkers=2,2,2/3,3,2", "a room without rt60"),
    ("room=5,4,3 rt60=0.3 mic=1,1,1 talkers=2,2,2", "places of 2 talkers"),
    ("room=5,4,3 rt60=0.3 mic=1,1,1 talkers=2,2,2/6,3,2", "within it"),
    ("room=4,4,3 rt60=0.2 mic=1,1,1 talkers=1,1,1/3,3,2", "beside the microphone"),
    ("loud", "behind the bar"),
])
def test_lists_with_mistakes(tmp_path, behind, message):
    (tmp_path / "list").write_text(f"a 1 b -1 | {behind}\n")
    with pytest.raises(ContrasepError, match=message) as caught:
        read_list(tmp_path / "list", 2)
    assert "line 1" in str(caught.value) and "\n" not in str(caught.value)


def test_recordings_with_mistakes(tmp_path):
    with pytest.raises(ContrasepError, match="no such folder"):
        noise_files(tmp_path / "gone", "tr")
    with pytest.raises(ContrasepError, match="no recordings"):
        noise_files(tmp_path, "tr")
    soundfile.write(tmp_path / "zero.wav", np.zeros(RATE), RATE)
    with pytest.raises(ContrasepError, match="without a sound"):
        read_noise(tmp_path, "zero.wav", RATE)
    soundfile.write(tmp_path / "click.wav", np.arange(50) / 100, RATE)
    with pytest.raises(ContrasepError, match="less than 0.1 s"):
        read_noise(tmp_path, "click.wav", RATE)
    with pytest.raises(ContrasepError, match="no such audio file"):
        read_noise(tmp_path, "gone.wav", RATE)


def test_a_folder_may_lie_below_home(corpus, noise_dir, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(noise_dir.parent))
    folder = f"~/{noise_dir.name}"
    assert noise_files(folder, "tr") == noise_files(noise_dir, "tr")
    wav, speakers = corpus
    made = []
    for name in (folder, str(noise_dir)):
        options = MixOptions(noise=NoiseOptions(("folder",), name, (0.0, 5.0)))
        (mixture,) = surround([Mixture(("u0", "u1"), ("1", "-1"))], options, speakers, "tr", [7])
        made.append(Mixer(wav, options).mix(mixture).mixture)
    assert np.array_equal(*made)


def test_set_by_the_commands(sources_dir, config, contrasep, tmp_path, noise_dir):
    settings = ["--config", config, "--set", f"mix.noise={{kinds: [folder, pink], folder: {noise_dir}, snr: [0, 5]}}"]
    drawn = ["--sources", sources_dir.parent, "--num-spk", 2, "--sets", "tt", "--out", "l"]
    contrasep("make-lists", *settings, *drawn, check=True)
    for jobs in (1, 2):
        for job in range(1, jobs + 1):
            contrasep("mix", *settings, "--list", "l/tt.txt", "--sources", sources_dir, "--out", f"out{jobs}",
                      "--part", f"{job}/{jobs}", check=True)
    assert digest(tmp_path / "out1") == digest(tmp_path / "out2") != {}
    data = ["--sources", sources_dir, "--list", "l/tt.txt", "--mixtures", "out1", "--out", "data"]
    contrasep("prepare-data", *data, check=True)
    contrasep("validate-data", "data", check=True)
    assert (tmp_path / "data" / "noise.scp").is_file()
