"""WSJ0-mix by arithmetic written out independently, over lines of the real lists.

Sources are noise under a speech-like envelope, written as the disks have it; the lists and the levels are
those of WSJ0-mix. Everything from the compressed file to the bytes of the mixture is computed a second
time here, from the formulas of MATLAB's ``resample``, ITU-T P.56 and ``create_wav_2speakers.m``.
"""

import math
import zlib
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import soundfile

from contrasep_lib.io.sphere import write_sphere
from contrasep_lib.mix.lists import read_list

LISTS = Path(__file__).resolve().parents[2].parent / "shared/wsj0mix_lists"
LINES = 2
pytestmark = pytest.mark.skipif(not LISTS.is_dir(), reason=f"no lists of WSJ0-mix in {LISTS}")


def matlab_resample_by_half(x):
    """``resample(x, 1, 2)``: 2 * 10 * 2 + 1 taps of an ideal low-pass under a Kaiser window of beta 5."""
    order, cutoff = 20, 0.25
    n = np.arange(-order, order + 1)
    taps = 2 * cutoff * np.sinc(2 * cutoff * n) * np.kaiser(2 * order + 1, 5)
    return np.convolve(x, taps / taps.sum())[order : order + len(x) : 2]


def p56(x, rate):
    """Active level (mean square) by the recommendation's counters, sample by sample, over 15 thresholds."""
    thresholds = 2.0 ** np.arange(-15, 0)
    g = math.exp(-1 / (rate * 0.03))
    hangover = round(0.2 * rate)
    p = q = 0.0
    count, hold = np.zeros(15, int), np.full(15, hangover)
    for sample in np.abs(x):
        p = g * p + (1 - g) * sample
        q = g * q + (1 - g) * p
        above = q >= thresholds
        hold = np.where(above, 0, hold)
        count += above | (hold < hangover)
        hold = np.where(above, 0, np.minimum(hold + 1, hangover))
    energy = float(np.sum(x**2))
    level = [10 * math.log10(energy / c) if c else -math.inf for c in count]
    excess = [a - 20 * math.log10(c) - 15.9 for a, c in zip(level, thresholds)]
    below = next(j for j in range(15) if excess[j] <= 0)
    part = excess[below - 1] / (excess[below - 1] - excess[below])
    return 10 ** ((level[below - 1] + part * (level[below] - level[below - 1])) / 10)


def published():
    lines = [line.split() for path in LISTS.glob("activlev_*.txt") for line in path.read_text().splitlines()]
    return {utt: float(level) for utt, level in lines}


def expected(sources, gains, mode, rate, levels):
    """Mixture and sources, ``(1 + num_spk, samples)`` int16, of 16 kHz int16 sources ``(utt, samples)``."""
    scaled = []
    for (utt, pcm), gain in zip(sources, gains):
        at_16k = pcm / 32768
        at_8k = matlab_resample_by_half(at_16k)
        level = p56(at_8k, 8000) if levels is None else levels[utt]
        scaled.append((at_8k if rate == 8000 else at_16k) / math.sqrt(level) * 10 ** (gain / 20))
    if mode == "min":
        samples = min(len(s) for s in scaled)
        scaled = [s[:samples] for s in scaled]
    else:
        samples = max(len(s) for s in scaled)
        scaled = [np.r_[s, np.zeros(samples - len(s))] for s in scaled]
    tracks = [sum(scaled), *scaled]
    largest = max(np.abs(track).max() for track in tracks)
    return np.array([np.rint(2**15 * (0.9 / largest) * track) for track in tracks]).astype(np.int16)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """First lines of the lists, and the files that they name, on disks as the LDC cuts them."""
    folder = tmp_path_factory.mktemp("wsj0")
    (folder / "lists").mkdir()
    for path in LISTS.glob("activlev_*.txt"):
        (folder / "lists" / path.name).write_bytes(path.read_bytes())
    signals = {}
    for path in sorted(LISTS.glob("mix_?_spk_??.txt")):
        lines = path.read_text().splitlines()[:LINES]
        (folder / "lists" / path.name).write_text("".join(line + "\n" for line in lines))
        for source in (word for line in lines for word in line.split()[::2]):
            inside = PurePosixPath(source)
            rng = np.random.default_rng(zlib.crc32(inside.stem.encode()))
            steps = rng.gamma(0.7, 400, size=int(rng.integers(8, 16)))
            samples = len(steps) * 1600 + int(rng.integers(0, 2))
            noise = rng.standard_normal(samples) * np.interp(np.arange(samples), np.arange(len(steps)) * 1600, steps)
            signals[inside.stem] = np.clip(np.round(noise + 30 * rng.standard_normal(samples)), -32768, 32767).astype(
                np.int16
            )
            disk = folder / "disks" / f"11-{1 + len(signals) % 3}.1"
            target = disk / Path(str(inside.with_suffix(".wv1")).upper())
            write_sphere(target, signals[inside.stem], 16000, shorten=len(signals) % 5 > 0)
    return folder, signals


@pytest.mark.parametrize("level", ["published", "p56"])
@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("num_spk", [2, 3])
def test_every_byte(corpus, config, contrasep, tmp_path, num_spk, mode, rate, level):
    folder, signals = corpus
    sets = ["tr", "cv", "tt"]
    options = ["--config", config]
    for setting in (f"mode={mode}", f"rate={rate}", f"active_level={level}", "sets={tr: 9, cv: 9, tt: 9}"):
        options += ["--set", f"mix.{setting}"]
    contrasep(
        "prepare-corpus",
        "wsj0",
        *options,
        "--corpus",
        folder / "disks",
        "--mix-lists",
        folder / "lists",
        "--num-spk",
        num_spk,
        "--out",
        "sources",
        check=True,
    )
    contrasep("make-lists", *options, "--sources", "sources", "--num-spk", num_spk, "--out", "lists", check=True)
    levels = published() if level == "published" else None
    for name in sets:
        contrasep(
            "mix",
            *options,
            "--list",
            f"lists/{name}.txt",
            "--sources",
            f"sources/{name}",
            "--out",
            f"wav/{name}",
            "--cache",
            f"cache/{name}",
            check=True,
        )
        lines = (folder / "lists" / f"mix_{num_spk}_spk_{name}.txt").read_text().splitlines()
        assert len(list((tmp_path / "wav" / name / "mix").iterdir())) == len(lines) == LINES
        for line in lines:
            words = line.split()
            utts, gains = [PurePosixPath(source).stem for source in words[::2]], words[1::2]
            tracks_expected = expected([(utt, signals[utt]) for utt in utts], map(float, gains), mode, rate, levels)
            file = "_".join(word for pair in zip(utts, gains) for word in pair) + ".wav"
            tracks = ["mix", *(f"s{number}" for number in range(1, num_spk + 1))]
            for track, samples in zip(tracks, tracks_expected):
                written, own_rate = soundfile.read(tmp_path / "wav" / name / track / file, dtype="int16")
                assert own_rate == rate
                np.testing.assert_array_equal(written, samples)
            assert abs(int(np.abs(tracks_expected.astype(int)).max()) - 0.9 * 2**15) <= 0.5


@pytest.mark.parametrize("num_spk", [2, 3])
@pytest.mark.parametrize("name, lines", [("tr", 20000), ("cv", 5000), ("tt", 3000)])
def test_every_name_of_the_lists(num_spk, name, lines):
    path = LISTS / f"mix_{num_spk}_spk_{name}.txt"
    mixtures = read_list(path, num_spk)
    assert len(mixtures) == lines == len({mixture.name for mixture in mixtures})
    for mixture, line in zip(mixtures, path.read_text().splitlines()):
        words = line.split()
        assert mixture.name == "_".join(
            word.rpartition("/")[2].removesuffix(".wav") if "/" in word else word for word in words
        )
