"""The page as a file: what it holds, that it is escaped, its size, and that it is the same for the same content."""

import base64
import hashlib
import html
import io
import re

import numpy as np
import pytest
from PIL import Image

from contrasep_lib.errors import ContrasepError
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.nodes.stft import num_frames
from contrasep_lib.report.listening.audio import coded_rate, opus
from contrasep_lib.report.listening.content import Communities, CountEvidence, names_of, telling
from contrasep_lib.report.listening.evidence import HEIGHT, charts_of
from contrasep_lib.report.listening.page import write_page
from contrasep_lib.report.listening.pictures import coloured, levels, within
from contrasep_lib.report.plots import TALKER_COLOURS


def test_texts_of_files_are_escaped_and_nothing_comes_from_outside(made, tmp_path):
    path = tmp_path / "page.html"
    said = write_page(path, made.content())
    text = path.read_text(encoding="utf-8")
    assert said == f"2 of 3 mixtures to hear, {path.stat().st_size / 1e6:.1f} MB"
    assert made.hostile not in text and html.escape(made.hostile, quote=False) in text.replace("&#39;", "'")
    first = text.splitlines()[0]
    assert first.startswith("<!doctype html><!-- Holds recordings of: nobody&#39;s ") and first.count("-->") == 1
    # addresses: of pictures alone, which are part of the page
    assert set(re.findall(r'(?:src|href)="([^"]{10})', text)) == {"data:image"}
    assert not re.search(r"https?://", re.sub(r"http://www.w3.org/2000/svg", "", text))
    assert "onclick" not in text and 'style="' not in text


def test_the_policy_allows_the_page_s_own_script_and_style_alone(made, tmp_path):
    write_page(tmp_path / "page.html", made.content())
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1])
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    scripts = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    styles = re.findall(r"<style>(.*?)</style>", text, flags=re.DOTALL)
    assert len(scripts) == len(styles) == 1
    for name, content in (("script-src", scripts[0]), ("style-src", styles[0])):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[name] == f"'sha256-{digest}'"
    assert rules["default-src"] == "'none'" and rules["img-src"] == "data:"


def test_the_same_content_gives_the_same_bytes(made, tmp_path):
    for name in ("a", "b"):
        write_page(tmp_path / name, made.content())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_mixtures_that_do_not_fit_are_left_out_least_telling_first(made, tmp_path):
    path = tmp_path / "page.html"
    write_page(path, made.content())
    whole = path.stat().st_size
    write_page(path, made.content(), whole - 1000)
    text = path.read_text(encoding="utf-8")
    assert path.stat().st_size <= whole - 1000 and text.count("<template") == 1 and 'id="scene-0"' in text
    assert "1 mixtures were left out, as the file would be too large." in text
    path.unlink()
    with pytest.raises(ContrasepError, match=r"page\.html: not one mixture fits into 0\.03 MB; .*--megabytes"):
        write_page(path, made.content(), 30_000)
    assert not path.exists()


@pytest.mark.parametrize("values, number, expected", [
    ([3.0, 1.0, 2.0, 5.0, 4.0], 4, [1, 3, 2, 0]), ([3.0, None, 2.0], 9, [2, 0, 1]), ([None, None], 1, [0]), ([], 5, []),
    ([0.0, 0.0], 2, [0, 1]),
])
def test_the_worst_the_best_and_median_mixtures_are_heard(values, number, expected):
    assert telling(values, number) == expected


def test_names_tell_folders_apart():
    assert names_of(["exp/a/", "exp/b"]) == ["a", "b"] and names_of(["x/a", "y/a"]) == ["x/a", "y/a"]


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_audio_keeps_time_and_sound(rate):
    import soundfile

    time = np.arange(rate * 3 // 2) / rate
    sound = 0.3 * np.sin(2 * np.pi * 440 * time) * (time > 0.5)
    coded = opus(sound, rate)
    assert coded == opus(sound, rate) and len(coded) < 12_000
    heard, own = soundfile.read(io.BytesIO(coded))
    assert own == coded_rate(rate) >= min(rate, 48000) and abs(len(heard) / own - 1.5) < 0.02
    begin = np.flatnonzero(np.abs(heard) > 0.1)[0] / own
    assert abs(begin - 0.5) < 0.01


@pytest.mark.parametrize("win, hop, samples", [(256, 64, 4000), (256, 128, 4001), (128, 64, 77), (256, 64, 1)])
def test_pictures_span_the_signal(win, hop, samples):
    features = FeatureOptions(win=win, hop=hop)
    every = np.arange(num_frames(samples, features))
    middles = within(every, samples, features) * hop - (win - hop) + win // 2
    assert 0 <= middles[0] < hop and samples - hop <= middles[-1] < samples
    assert len(levels(np.zeros(samples), features)) == len(middles)


def test_communities_have_the_colours_of_their_outputs(made):
    samples = np.float32(0.1 * np.random.default_rng(0).standard_normal(8000))
    colours = np.zeros((num_frames(8000, made.features), 129), int)
    colours[:, 60:] = 1
    colours[:, 120:] = -1
    level = np.zeros((len(levels(samples, made.features)), 129))
    image = np.asarray(Image.open(io.BytesIO(coloured(
        Communities("", colours, {}, made.features), level, 8000, 0.0))).convert("RGB"))
    assert image.shape[0] == 129
    # frequency grows upwards
    for row, colour in ((128, 0), (128 - 60, 1)):
        assert "#{:02X}{:02X}{:02X}".format(*image[row, 5]) == TALKER_COLOURS[colour]
    assert image[0, 5].max() < 60
    frames = coloured(Communities("", colours[:, :1], {}, made.features), level, 8000, 0.0)
    assert np.unique(np.asarray(Image.open(io.BytesIO(frames)).convert("RGB")).reshape(-1, 3), axis=0).shape == (1, 3)


def test_long_signals_have_few_columns(made):
    samples = np.float32(0.1 * np.random.default_rng(0).standard_normal(8000 * 40))
    colours = np.ones((num_frames(len(samples), made.features), 1), int)
    level = levels(samples, made.features)
    picture = coloured(Communities("", colours, {}, made.features), level, len(samples), level.max())
    assert Image.open(io.BytesIO(picture)).size == (len(level) // 3, 129)


def test_evidence_is_drawn_to_scale():
    [chances] = charts_of(CountEvidence("a", 2, False, 3, (0.25, 0.5, 0.25)))
    heights = [bar.height for bar in chances.bars]
    assert heights[1] == pytest.approx(2 * heights[0], abs=0.2)
    assert [bar.chosen for bar in chances.bars] == [False, True, False]
    assert [bar.true for bar in chances.bars] == [False, False, True] and "2: 50%" in chances.words
    [quality] = charts_of(CountEvidence("a", 1, True, None, (), [(0.1, 0.1, 0.05), (0.4, 0.2, 0.1)]))
    top, bottom = quality.bars[1].line
    assert top < bottom <= HEIGHT and quality.has_null and not any(bar.true for bar in quality.bars)
    assert charts_of(CountEvidence("a", 1, True)) == []
    assert charts_of(CountEvidence("a", 1, False, None, (), [(float("nan"),) * 3])) == []
