"""Finished mixtures in the layouts of others, tiny: for tests of corpora and recipes."""

import csv

import numpy as np

from contrasep_lib.io.audio import write_wav

KINDS = ("mix_clean", "mix_both", "mix_single")


def voice(rng, samples, pitch, rate=8000):
    """A buzzing tone that pauses, ``(samples,)`` whole numbers of 16 bits."""
    time = np.arange(samples) / rate
    tone = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 10))
    speech = 0.1 * tone * (np.sin(2 * np.pi * 2.3 * time + pitch) > -0.3) + 0.001 * rng.standard_normal(samples)
    return np.round(32768 * speech)


def tracks(rng, pitches, samples, rate=8000):
    """s1, s2, .. and noise, and the mixtures of them that LibriMix and WHAM! have."""
    made = {f"s{number}": voice(rng, samples, pitch, rate) for number, pitch in enumerate(pitches, 1)}
    clean = sum(made.values())
    noise = np.round(32768 * 0.01 * rng.standard_normal(samples))
    return {**made, "noise": noise, "mix_clean": clean, "mix_both": clean + noise, "mix_single": made["s1"] + noise}


def write_tracks(folder, name, made, rate=8000):
    for track, samples in made.items():
        write_wav(folder / track / f"{name}.wav", samples.astype(np.int16), rate)


def write_librimix(root, sets=("train-100", "dev", "test"), mixtures=6, count=2, mode="min", rate=8000):
    """``Libri2Mix/wav8k/min/SET/..`` with metadata, as LibriMix's scripts write them; returns the folder of sets."""
    rng = np.random.default_rng(0)
    base = root / f"Libri{count}Mix/wav{rate // 1000}k/{mode}"
    for part, first in zip(sets, (100, 200, 300)):
        rows = {kind: [] for kind in KINDS}
        for number in range(mixtures):
            speakers = [first + (number + place) % (count + 2) for place in range(count)]
            name = "_".join(f"{speaker}-{place}-{number:04d}" for place, speaker in enumerate(speakers))
            samples = 9000 + 100 * number
            pitches = [60 + speaker % 100 * 37 for speaker in speakers]
            write_tracks(base / part, name, tracks(rng, pitches, samples, rate), rate)
            for kind in KINDS:
                talkers = [f"s{place}" for place in range(1, 1 + (1 if kind == "mix_single" else count))]
                used = [kind, *talkers, *([] if kind == "mix_clean" else ["noise"])]
                # the paths are those of the machine that made them
                rows[kind].append([name, *(f"/elsewhere/{part}/{track}/{name}.wav" for track in used), samples])
        for kind, lines in rows.items():
            sources = [f"source_{place}_path" for place in range(1, 1 + (1 if kind == "mix_single" else count))]
            noise = [] if kind == "mix_clean" else ["noise_path"]
            path = base / "metadata" / f"mixture_{part}_{kind}.csv"
            path.parent.mkdir(exist_ok=True)
            with open(path, "w", newline="") as file:
                # not in the order of names
                csv.writer(file).writerows([["mixture_ID", "mixture_path", *sources, *noise, "length"], *lines[::-1]])
    return base


def write_wham(root, sets=("tr", "cv", "tt"), mixtures=6):
    """``wav8k/min/{tr,cv,tt}/..`` with the names of WSJ0-mix; returns the folder of sets."""
    rng, base = np.random.default_rng(1), root / "wav8k/min"
    for part, letters in zip(sets, ("abcd", "abcd", "wxyz")):
        for number in range(mixtures):
            pair = [letters[(number + place) % 4] for place in range(2)]
            utts = [f"01{one}{'ao'[place]}01{number:02d}" for place, one in enumerate(pair)]
            name = f"{utts[0]}_1.{number}053_{utts[1]}_-1.{number}053"
            pitches = [90 + 41 * letters.index(one) for one in pair]
            write_tracks(base / part, name, tracks(rng, pitches, 8000 + 80 * number))
    return base
