"""A small page, and Chromium to read it with."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.report.listening.content import (
    Cell,
    Choice,
    Communities,
    Content,
    CountEvidence,
    Scene,
    Table,
    Track,
    number_cell,
    text_cell,
)

ROOT = Path(__file__).resolve().parents[3]
RATE = 8000
HOSTILE = "<script>document.title='run'</script>"
FEATURES = FeatureOptions(win=256, hop=128)


def scene(seconds=2.0, outputs=2, seed=0):
    """Tones that come and go, one an output."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    tones = [0.2 * np.sin(2 * np.pi * 400 * (number + 1) * time) * (np.sin(np.pi * time * (number + 1)) > 0)
             + 1e-3 * rng.standard_normal(len(time)) for number in range(outputs)]
    tones = np.float32(tones)
    tracks = [Track("mixture", tones.sum(0))]
    for number, tone in enumerate(tones):
        tracks.append(Track(f"source {number + 1}", tone, note=f"speaker {HOSTILE}", colour=number))
        tracks.append(Track(f"output {number + 1} for source {number + 1}", tone, HOSTILE, "SI-SNRi 9.0 dB", number))
    frames = -(-len(time) // 128) + 1
    colours = np.tile(np.arange(129) * outputs // 129, (frames, 1))
    colours[:, -20:] = -1
    found = Communities("communities", colours, {0: "output 1 for source 1", 1: HOSTILE}, FEATURES, "a")
    evidence = CountEvidence("a", 2, False, 2, (0.1, 0.7, 0.2), [(0.0, 0.0, 0.0), (0.4, 0.1, 0.02)], HOSTILE)
    return Scene(RATE, tracks, FEATURES, seconds, [found], [evidence])


def content(mixtures=3, load=scene):
    """A page whose mixtures get better from row to row; the last one cannot be heard, the second one has no score."""
    names = [f"mix-{number}" for number in range(mixtures - 1)] + [HOSTILE]
    values = [None if number == mixtures - 1 else float(number) - 1 for number in range(mixtures)]
    rows = [[text_cell(name), number_cell(value)] for name, value in zip(names, values)]
    heard = [Choice(row, names[row], "tt", load) for row in range(mixtures) if row != 1 or mixtures > 3]
    means = [[text_cell("b"), number_cell(1.0)], [text_cell("a"), Cell("-")]]
    summary = Table("Experiments", ["experiment", "score"], means)
    shares = Table("Counts", ["true", "1 estimated"], [[number_cell(1, 0), Cell("3", 3, 1.0)]])
    return Content(f"recipe {HOSTILE}", f"nobody's {HOSTILE} -->", [summary, shares],
                   Table("Mixtures", ["mixture", "SI-SNRi"], rows, (1, True), ["a note"]), heard)


@pytest.fixture(scope="session")
def made():
    """The builders of this file."""
    import types

    return types.SimpleNamespace(scene=scene, content=content, hostile=HOSTILE, features=FEATURES)


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium; its tests are skipped where it or its parts are missing, with the reason."""
    pytest.importorskip("selenium", reason="selenium is not installed: tools/install.sh")
    done = subprocess.run([ROOT / "tools/browser.sh", "status"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no browser here: {done.stderr.strip()}")
    found = dict(word.split("=", 1) for word in done.stdout.split() if "=" in word)
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = found["CONTRASEP_CHROMIUM"]
    for word in ("headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync",
                 "mute-audio", "disable-background-networking", "disable-component-update", "window-size=1400,1500"):
        options.add_argument(f"--{word}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # lest the driver look for another browser in the network
    environment = {**os.environ, "SE_OFFLINE": "true"}
    driver = webdriver.Chrome(options=options, service=Service(found["CONTRASEP_CHROMEDRIVER"], env=environment))
    driver.axe = Path(found["CONTRASEP_AXE"]).read_text(encoding="utf-8")
    yield driver
    driver.quit()
