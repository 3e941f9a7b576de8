#!/usr/bin/env python3
"""Speed of mixing (stage 0) and dumping (stage 2), in times real time per core.

    tools/bench/data.py [--mixtures 300] [--seconds 6] [--json FILE]

Single-speaker utterances (noise with a speech-like envelope, flac at 16 kHz, so that decoding and
resampling are part of the work) are made in a temporary folder; then the programs of the stages run
in this process on one thread. Times are CPU times. Real time is the length of the mixtures.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np  # noqa: E402

from contrasep_lib.bin.common import Parser, positive, within
from contrasep_lib.config.bounds import Seconds

RATE = 16000


def make_sources(folder: Path, utterances: int, seconds: float) -> dict[str, str]:
    """Write flac files of one to one and a half times ``seconds``; returns utterance id -> path."""
    import soundfile

    rng = np.random.default_rng(0)
    wav = {}
    for index in range(utterances):
        samples = int(RATE * seconds * rng.uniform(1.0, 1.5))
        envelope = np.abs(np.interp(np.arange(samples), np.arange(0, samples + 800, 800),
                                    rng.standard_normal(samples // 800 + 2)))
        coloured = np.convolve(rng.standard_normal(samples), np.hanning(7), mode="same")
        utt = f"spk{index % 20:02d}-{index:04d}"
        wav[utt] = str(folder / f"{utt}.flac")
        soundfile.write(wav[utt], 0.02 * envelope * coloured, RATE, subtype="PCM_16")
    return wav


def timed(work) -> float:
    """CPU seconds of a call, children not counted (there are none)."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def main() -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mixtures", type=positive, default=300)
    parser.add_argument("--seconds", type=within(Seconds), default=6.0, help="shortest utterance")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()

    from contrasep_lib.io.datadir import write_mixture_dir
    from contrasep_lib.io.dump import Dumper
    from contrasep_lib.io.options import DumpOptions
    from contrasep_lib.mix.lists import draw_list
    from contrasep_lib.mix.mixer import Mixer, mixture_files, write_mixture
    from contrasep_lib.mix.options import MixOptions

    figures = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "wav").mkdir()
        wav = make_sources(folder / "wav", args.mixtures, args.seconds)
        utt2spk = {utt: utt.partition("-")[0] for utt in wav}
        for num_spk in (2, 3):
            mixtures = draw_list(utt2spk, num_spk, args.mixtures, 2.5, [0])
            mixer, tree = Mixer(wav, MixOptions()), folder / f"mix{num_spk}"
            spent = timed(lambda: [write_mixture(tree, mixture, mixer) for mixture in mixtures])
            files = {mixture.name: mixture_files(tree, mixture) for mixture in mixtures}
            speakers = {mixture.name: [utt2spk[utt] for utt in mixture.utterances] for mixture in mixtures}
            data = folder / f"data{num_spk}"
            write_mixture_dir(data, files, speakers)
            seconds = sum(float(line.split()[1]) for line in (data / "utt2dur").read_text().splitlines())
            figures.append(
                {"what": f"mixing, {num_spk} talkers, 16 kHz flac to 8 kHz wav", "times_real_time": seconds / spent}
            )
            for options in (
                DumpOptions(),
                DumpOptions(audio="flac"),
                DumpOptions(spectra="compressed"),
                DumpOptions(spectra="float32"),
            ):
                out = folder / f"dump{num_spk}_{options.audio}_{options.spectra}"
                dumper = Dumper(data, out, options, 8000)
                tables = dumper.tables()

                def dump():
                    for shard, keys in dumper.shards():
                        dumper.write_shard(shard, keys, tables)
                    dumper.merge()

                spent = timed(dump)
                size = sum(path.stat().st_size for path in out.glob("*.ark"))
                what = f"dump, {num_spk} talkers, {options.audio} audio, spectra {options.spectra}"
                figures.append(
                    {"what": what, "times_real_time": seconds / spent, "mb_per_hour": size / 1e6 / seconds * 3600}
                )
    for figure in figures:
        size = f", {figure['mb_per_hour']:.0f} MB per hour of mixtures" if "mb_per_hour" in figure else ""
        print(f"{figure['what']}: {figure['times_real_time']:.0f} times real time per core{size}")
    if args.json:
        rounded = [
            {key: value if isinstance(value, str) else round(value) for key, value in f.items()} for f in figures
        ]
        Path(args.json).write_text(json.dumps({"mixtures": args.mixtures, "figures": rounded}, indent=2) + "\n")


if __name__ == "__main__":
    main()
