"""Pages of separated recordings, from folders as ``contrasep separate`` writes them."""

import json

import numpy as np
import pytest
import soundfile

from contrasep_lib.report.listening.separated import separated_content

RATE = 8000


def write(folder, name, signals, **more):
    """A separated recording."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{name}_spk{number}.wav" for number in range(1, len(signals) + 1)]
    for each, samples in zip(names, signals):
        soundfile.write(folder / each, samples, RATE, subtype="PCM_16")
    content = {
        "file": f"{name}.m4a", "seconds": len(signals[0]) / RATE, "num_spk": len(signals), "count": "estimated",
        "outputs": names, "energy_shares": [1 / len(signals)] * len(signals), "channel": "mean",
        "windows": [{"probabilities": [0.1, 0.9], "words": "two words", "evidence": [
            {"quality": 0.0, "null_mean": 0.0, "null_spread": 0.0},
            {"quality": 0.3, "null_mean": 0.1, "null_spread": 0.01},
        ]}],
    } | more
    (folder / f"{name}.json").write_text(json.dumps(content))


@pytest.fixture
def tones():
    time = np.arange(RATE) / RATE
    return [0.2 * np.sin(2 * np.pi * pitch * time) * (time < end) for pitch, end in ((300, 0.6), (900, 2))]


def test_a_folder_is_shown_as_it_lies_there(contrasep, tmp_path, tones):
    write(tmp_path / "out", "sure", tones)
    windows = [{"probabilities": [0.9]}, {"probabilities": [0.4, 0.6], "evidence": 1}, {}]
    write(tmp_path / "out", "unsure", tones, windows=windows)
    done = contrasep("report", "out", "--html", "page.html", "--label", "us", check=True)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "2 of 2 mixtures to hear" in done.stdout and "recordings of: <strong>us</strong>" in text
    content = separated_content([tmp_path / "out"], 20)
    # the least certain comes first
    assert [row[0].text for row in content.mixtures.rows] == ["unsure", "sure"]
    assert [row[3].value for row in content.mixtures.rows] == [0.6, 0.9]
    unsure = content.choices[0].load().evidence[0]
    assert unsure.probabilities == [0.4, 0.6] and not unsure.qualities and "of 3 windows" in unsure.words
    scene = next(choice for choice in content.choices if choice.name == "sure").load()
    assert [track.title for track in scene.tracks] == ["sum of the outputs", "output 1", "output 2"]
    np.testing.assert_allclose(scene.tracks[0].samples, sum(tones), atol=1e-4)
    [found] = scene.communities
    # of each tone's bin in the middle of the recording
    middle = found.colours[len(found.colours) // 3]
    bins = np.round(np.array([300, 900]) / (RATE / 2) * (found.colours.shape[1] - 1)).astype(int)
    assert middle[bins].tolist() == [0, 1] and -1 in found.colours
    [evidence] = scene.evidence
    assert list(evidence.probabilities) == [0.1, 0.9] and evidence.qualities[1] == (0.3, 0.1, 0.01)


def test_two_folders_side_by_side_have_one_colour_a_talker(tmp_path, tones):
    write(tmp_path / "a", "x", tones)
    write(tmp_path / "b", "x", [tones[1], tones[0], 0.01 * tones[0] ** 2])
    write(tmp_path / "b", "y", tones)
    content = separated_content([tmp_path / "a", tmp_path / "b"], 20)
    scene = next(choice for choice in content.choices if choice.name == "x").load()
    assert [(track.group, track.colour) for track in scene.tracks] == [
        ("", None), ("a", 0), ("a", 1), ("b", 1), ("b", 0), ("b", 2)]
    assert {row[0].text: row[2].text for row in content.mixtures.rows} == {"x": "2", "y": "-"}


def test_the_recording_itself_and_what_no_output_holds(tmp_path, tones):
    write(tmp_path / "out", "x", tones, file="x.wav")
    soundfile.write(tmp_path / "out/x_rest.wav", 0.1 * tones[0], RATE, subtype="PCM_16")
    soundfile.write(tmp_path / "x.wav", np.repeat(sum(tones) / 2, 2), 2 * RATE, subtype="PCM_16")
    [choice] = separated_content([tmp_path / "out"], 20, recordings=str(tmp_path)).choices
    tracks = choice.load().tracks
    assert [track.title for track in tracks] == ["recording", "output 1", "output 2", "rest"]
    assert len({len(track.samples) for track in tracks}) == 1
    assert np.corrcoef(tracks[0].samples, sum(tones))[0, 1] > 0.95


def test_long_recordings_show_their_beginning(tmp_path, tones, monkeypatch):
    monkeypatch.setattr("contrasep_lib.report.listening.separated.MOST_SECONDS", 0.25)
    write(tmp_path / "out", "x", tones)
    [choice] = separated_content([tmp_path / "out"], 20).choices
    scene = choice.load()
    assert scene.seconds == 1.0 and {len(track.samples) for track in scene.tracks} == {RATE // 4}


@pytest.mark.parametrize("change, says", [
    ({"outputs": ["../x_spk1.wav"]}, "x.json: outputs: expected names of files beside it"),
    ({"outputs": [1]}, "x.json: outputs: expected names of files beside it"),
    ({"outputs": "x"}, "x.json: key 'outputs' missing or of another kind"),
    ({"outputs": []}, "expected outputs of one rate, got none"),
    ({"outputs": ["x_spk9.wav"]}, "x_spk9.wav: cannot be read"),
    ({"windows": None}, "x.json: key 'windows' missing or of another kind"),
])
def test_bad_content_is_one_line(contrasep, tmp_path, tones, change, says):
    write(tmp_path / "out", "x", tones, **change)
    done = contrasep("report", "out", "--html", "page.html")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and says in done.stderr, done.stderr
    assert not (tmp_path / "page.html").exists()
