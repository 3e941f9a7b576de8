"""The command on a small data directory: files, going on, errors."""

import json
import shutil

import numpy as np
import pytest
import soundfile

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.scp import invert_utt2spk, read_table, write_table
from contrasep_lib.prosody import extraction
from contrasep_lib.prosody.report import chance_words

for module in ("matplotlib", "parselmouth", "sklearn", "torchaudio"):
    pytest.importorskip(module, reason="needs the extra prosody")

SPEAKERS, UTTERANCES = 10, 3


@pytest.fixture(scope="module")
def voices(tmp_path_factory):
    """Speakers of a pitch of their own, whose syllables come at one rate for all; files of 16 kHz."""
    folder, rng = tmp_path_factory.mktemp("voices"), np.random.default_rng(0)
    wav, utt2spk = {}, {}
    for speaker in range(SPEAKERS):
        for number in range(UTTERANCES):
            time = np.arange(round(1.5 * 16000)) / 16000
            f0 = (90 + 20 * speaker) * 2 ** (0.05 * np.sin(2 * np.pi * 0.8 * time + rng.uniform(0, 6)))
            phase = 2 * np.pi * np.cumsum(f0) / 16000
            tone = sum(np.sin(k * phase) / k for k in range(1, 12)) + 0.02 * rng.standard_normal(len(time))
            gate = 1 + 0.8 * np.cos(2 * np.pi * 4 * time + rng.uniform(0, 6))
            path = folder / f"s{speaker}-{number}.wav"
            soundfile.write(path, 0.05 * tone * gate, 16000, subtype="PCM_16")
            wav[path.stem], utt2spk[path.stem] = str(path), f"s{speaker}"
    for name, table in (("wav.scp", wav), ("utt2spk", utt2spk), ("spk2utt", invert_utt2spk(utt2spk))):
        write_table(folder / "data" / name, table)
    return folder / "data"


def test_the_command(contrasep, voices, tmp_path, monkeypatch):
    done = contrasep("prosody", voices, "--out", tmp_path / "out", check=True)
    assert "results in" in done.stdout and "0.01 s" in done.stdout
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "cache", "lags.tsv", "prosody.json", "prosody.png", "statistics.tsv", "utterances.tsv"
    }
    found = json.loads((tmp_path / "out/prosody.json").read_text())
    assert (found["speakers"], found["utterances"]) == (SPEAKERS, SPEAKERS * UTTERANCES)
    # pitch is the speaker's own, the rate is nobody's
    icc = {name: feature["utterance"]["icc1"]["value"] for name, feature in found["features"].items()}
    assert icc["pitch"] > 0.95 and icc["rate"] < 0.6
    across = found["lags"][-1]
    assert across["seconds"] is None and across["auc"]["pitch"]["value"] > 0.8
    assert across["auc"]["rate"]["value"] == pytest.approx(0.5, abs=0.15)
    rows = [line.split("\t") for line in (tmp_path / "out/utterances.tsv").read_text().splitlines()]
    columns = {name: index for index, name in enumerate(rows[0])}
    for row in rows[1:]:
        assert float(row[columns["f0_hz"]]) == pytest.approx(90 + 20 * int(row[1][1:]), rel=0.05)
        assert float(row[columns["rate_hz"]]) == pytest.approx(4.0, abs=0.6)
    # again: nothing is measured, the same bytes
    before = (tmp_path / "out/prosody.json").read_bytes()
    monkeypatch.setattr(extraction, "measure", None)
    (tmp_path / "out/probes.tsv").write_text("of an earlier run with a model\n")
    contrasep("prosody", voices, "--out", tmp_path / "out", check=True)
    assert not (tmp_path / "out/probes.tsv").exists()
    assert (tmp_path / "out/prosody.json").read_bytes() == before


def test_goes_on_with_what_is_whole(voices, tmp_path, monkeypatch):
    monkeypatch.setattr(extraction, "SHARD", 7)
    whole = extraction.measure_all(voices, tmp_path / "cache")
    shards = sorted((tmp_path / "cache").iterdir())
    assert len(shards) == 5
    kept = {path.name: path.stat().st_mtime_ns for path in shards[2:]}
    shards[0].write_bytes(shards[0].read_bytes()[:100])
    shards[1].unlink()
    again = extraction.measure_all(voices, tmp_path / "cache", nj=2)
    assert np.array_equal(again.values, whole.values, equal_nan=True)
    assert {path.name: path.stat().st_mtime_ns for path in shards[2:]} == kept
    # frames of an utterance stand together, in the order of the table
    assert (np.diff(whole.utterance) >= 0).all() and whole.utterances == tuple(read_table(voices / "wav.scp"))
    assert whole.seconds == pytest.approx(1.5)


def test_other_audio_under_the_same_names_is_measured_again(voices, tmp_path, monkeypatch):
    data = tmp_path / "data"
    shutil.copytree(voices, data)
    names = list(read_table(voices / "wav.scp"))
    for name, path in read_table(voices / "wav.scp").items():
        shutil.copy(path, tmp_path)
    write_table(data / "wav.scp", {name: str(tmp_path / f"{name}.wav") for name in names})
    measured = []

    def measure(samples):
        measured.append(len(samples))
        frames = np.zeros((2, len(extraction.COLUMNS)), np.float32)
        return {"values": frames, "active": np.ones(2, bool), "frames": np.array([2]), "nuclei": np.array([1]),
                "samples": np.array([len(samples)])}

    monkeypatch.setattr(extraction, "SHARD", 1)
    monkeypatch.setattr(extraction, "measure", measure)

    def again():
        measured.clear()
        found = extraction.measure_all(data, tmp_path / "cache")
        return len(measured), found.seconds[0]

    assert again() == (len(names), 1.5) and again() == (0, 1.5)
    path = tmp_path / f"{names[0]}.wav"
    samples, rate = soundfile.read(path)
    soundfile.write(path, samples[::2], rate)
    assert again() == (1, 0.75) and again() == (0, 0.75)
    # as many bytes, other samples
    soundfile.write(path, samples[1::2], rate)
    assert again() == (1, 0.75)
    write_table(data / "utt2num_samples", dict.fromkeys(names, "7"))
    assert again()[0] == len(names)
    # a dump with checksums may be copied: times of files say nothing then
    sums = dict.fromkeys(names, "00000000")
    write_table(data / "utt2checksum", sums)
    assert again()[0] == len(names)
    path.touch()
    assert again()[0] == 0
    write_table(data / "utt2checksum", {**sums, names[1]: "00000001"})
    assert again()[0] == 1


def test_a_model_is_probed(voices, tmp_path):
    from pathlib import Path

    import contrasep_lib
    from contrasep_lib.prosody.embeddings import embed

    model = Path(contrasep_lib.__file__).parent / "pretrained/small/finetune/model.pth"
    frames = extraction.measure_all(voices, tmp_path / "cache")
    z, places = embed(voices, model, frames, np.random.default_rng(0))
    assert len(z) == len(places) > 0.9 * len(frames.values) and np.isfinite(z).all()
    assert len(np.unique(places)) == len(places) and (np.linalg.norm(z, axis=1) <= 1 + 1e-5).all()
    assert len(np.unique(frames.utterance[places])) == SPEAKERS * UTTERANCES


@pytest.mark.parametrize("win, hop", [(256, 128), (256, 64), (1024, 256), (1024, 64), (64, 32)])
def test_a_feature_takes_the_models_frame_around_it(win, hop):
    import torch

    from contrasep_lib.nodes import stft
    from contrasep_lib.nodes.options import FeatureOptions
    from contrasep_lib.prosody.embeddings import nearest_frames

    features, length = FeatureOptions(win=win, hop=hop), 8000
    count = stft.num_frames(length, features)
    for place in (0, 1, 80, 3993, 4000, 7920, 7999):
        click = torch.zeros(length)
        click[place] = 1
        loudness = stft.stft(click, features).abs().square().sum(-1)
        (found,) = nearest_frames(np.array([place]), features, count)
        # two frames may be as near
        assert loudness[found] == pytest.approx(float(loudness.max()), rel=1e-4)
    assert nearest_frames(np.array([0, 10**6]), features, count).tolist() == [win // hop // 2 - 1, count - 1]


def test_errors_are_one_line(contrasep, voices, tmp_path):
    few = tmp_path / "few"
    shutil.copytree(voices, few)
    speakers = read_table(few / "utt2spk")
    write_table(few / "utt2spk", dict.fromkeys(speakers, "one"))
    done = contrasep("prosody", few)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "at least 4 speakers, got 1" in done.stderr
    write_table(few / "utt2spk", dict(list(speakers.items())[1:]))
    assert "expected the speaker of 's0-0'" in contrasep("prosody", few).stderr
    (few / "spk1.scp").write_text("a b\n")
    assert "single speakers" in contrasep("prosody", few).stderr
    with pytest.raises(ContrasepError, match="command"):
        extraction.read_samples(few / "wav.scp", "a", "cat a.wav |")
    done = contrasep("prosody", voices, "--model", tmp_path / "none.pth")
    assert done.returncode == 1 and "none.pth" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("contrasep prosody:")


def test_words_of_chance():
    def rows(*lows):
        return [{"seconds": seconds, "auc": {"x": {"value": 0.6, "interval": [low, 0.7]}}}
                for seconds, low in zip((0.01, 0.1, 1.0, None), lows)]

    assert chance_words(rows(0.6, 0.6, 0.6, 0.6), "x") == "distinguishable from another speaker at every distance"
    assert chance_words(rows(0.6, 0.6, 0.4, 0.4), "x") == "at chance from 1 s on"
    assert chance_words(rows(0.6, 0.6, 0.6, 0.4), "x") == "at chance from another utterance on"
    assert chance_words(rows(0.4, 0.4, 0.4, 0.4), "x") == "at chance at every distance"
    assert chance_words(rows(0.6, 0.4, 0.4, 0.6), "x") == (
        "at chance at some lags, distinguishable from another speaker across utterances"
    )
    # speakers of one utterance each have no last row
    assert chance_words(rows(0.6, 0.4, 0.6), "x") == (
        "at chance at some lags, distinguishable from another speaker at 1 s"
    )
    assert chance_words(rows(0.6, 0.6, 0.4), "x") == "at chance from 1 s on"
    assert chance_words(rows(0.6, 0.6, 0.6), "x") == "distinguishable from another speaker at every distance"
