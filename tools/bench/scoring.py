#!/usr/bin/env python3
"""Time the scoring of mixtures beside mir_eval's bss_eval_sources, and compare the SDR values.

    tools/bench/scoring.py [--mixtures 1000] [--talkers 2] [--seconds 5] [--subset 100] [--json FILE]
    tools/bench/scoring.py --dump dump/SET

Without --dump the mixtures are synthetic: noise with the colour and the swells of speech. The
outputs are the sources with leakage, a short filter and noise. One thread; CPU time, which other
programs on the machine disturb less than wall time. What is timed:

- contrasep: all of a score: SI-SNR, SDR, the matching, and both improvements over the mixture;
- mir_eval: bss_eval_sources of the outputs alone (with its permutation), on the first --subset
  mixtures, scaled to all of them;
- mir_eval for the improvement: the same once more for the mixture in place of the outputs;
- fast_bss_eval: the SDR of matched outputs and of the mixture, no SI-SNR and no matching.
"""

import argparse
import importlib.metadata
import json
import os
import sys
import time
import warnings
from pathlib import Path

for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"

import numpy as np  # noqa: E402  (after the number of threads is set)

from contrasep_lib.bin.common import Parser, positive, within  # noqa: E402
from contrasep_lib.config.bounds import Seconds, Speakers  # noqa: E402

RATE = 8000


def speech_like(rng, talkers, samples):
    """Coloured noise with pauses, ``(talkers, samples)``."""
    from scipy.signal import lfilter

    noise = lfilter([1.0], [1.0, -1.3, 0.5], rng.standard_normal((talkers, samples)))
    time_axis = np.arange(samples) / RATE
    swell = np.sin(2 * np.pi * 2.0 * time_axis + rng.uniform(0, 6, (talkers, 1))).clip(0) ** 2
    return 0.02 * noise * (swell + 1e-3)


def degrade(rng, sources):
    """Outputs of a middling separator, in another order than the sources."""
    leak = rng.uniform(0.05, 0.4)
    outputs = sources + leak * (sources.sum(0) - sources)
    outputs = np.stack([np.convolve(output, [0.7, 0.2, -0.1])[: output.size] for output in outputs])
    return (outputs + 1e-4 * rng.standard_normal(outputs.shape))[::-1]


def mixtures(args):
    """Yield (outputs, sources, mixture), ``args.mixtures`` times."""
    if args.dump:
        from contrasep_lib.io.dumpset import DumpSet

        dump = DumpSet(args.dump)
        for index, key in enumerate(dump.keys[: args.mixtures]):
            sources = dump.sources(key).astype(np.float64)
            outputs = degrade(np.random.default_rng(index), sources)
            yield outputs, sources, dump.mixture(key).astype(np.float64)
        return
    for index in range(args.mixtures):
        rng = np.random.default_rng(index)
        samples = int(args.seconds * RATE * rng.uniform(0.6, 1.4))
        sources = speech_like(rng, args.talkers, samples)
        yield degrade(rng, sources), sources, sources.sum(0)


def timed(function, *arguments, **options):
    """(CPU seconds, what the function returned)."""
    begun = time.process_time()
    made = function(*arguments, **options)
    return time.process_time() - begun, made


def measure(args):
    """Run the comparison; returns the figures."""
    import fast_bss_eval
    import mir_eval
    import scipy

    from contrasep_lib.score.ratios import sdr
    from contrasep_lib.score.utterance import score_utterance

    warnings.simplefilter("ignore")
    ours, ours_subset, theirs, theirs_improvement, fast = 0.0, 0.0, 0.0, 0.0, 0.0
    count = subset = audio = other_permutation = 0
    largest = 0.0
    for index, (outputs, sources, mixture) in enumerate(mixtures(args)):
        if index == 0:
            # the first call pays for imports
            score_utterance(outputs, sources, mixture)
        spent, score = timed(score_utterance, outputs, sources, mixture)
        ours += spent
        count += 1
        audio += mixture.size / RATE
        if index >= args.subset:
            continue
        subset += 1
        ours_subset += spent
        spent, (expected, _, _, permutation) = timed(mir_eval.separation.bss_eval_sources, sources, outputs)
        theirs += spent
        repeated = np.tile(mixture, (len(sources), 1))
        theirs_improvement += timed(mir_eval.separation.bss_eval_sources, sources, repeated)[0]
        # its numpy backend needs pairwise sums; a batch of one source each wastes nothing on other pairs
        pairs = np.stack([np.stack([output, mixture]) for output in outputs[permutation]])
        fast += timed(fast_bss_eval.sdr_loss, pairs, sources[:, None], pairwise=True, load_diag=1e-10)[0]
        other_permutation += tuple(permutation) != score.permutation
        values = sdr(outputs[permutation][:, None], sources)[:, 0]
        largest = max(largest, float(np.abs(values - expected).max()))
    if not count:
        sys.exit("scoring.py: no mixtures")
    scale = count / subset
    return {
        "data": "dump" if args.dump else "synthetic",
        "mixtures": count,
        "talkers": len(sources),
        "audio_hours": round(audio / 3600, 3),
        "contrasep_s": round(ours, 2),
        "contrasep_ms_per_mixture": round(1000 * ours / count, 2),
        "mir_eval_mixtures_run": subset,
        "mir_eval_s_scaled": round(theirs * scale, 1),
        "mir_eval_with_improvement_s_scaled": round((theirs + theirs_improvement) * scale, 1),
        "fast_bss_eval_s_scaled": round(fast * scale, 1),
        "speed_ratio": round(theirs / ours_subset, 1),
        "speed_ratio_with_improvement": round((theirs + theirs_improvement) / ours_subset, 1),
        "largest_sdr_difference_db": float(f"{largest:.2g}"),
        "other_permutation": other_permutation,
        "versions": {
            "fast_bss_eval": importlib.metadata.version("fast_bss_eval"),
            "mir_eval": mir_eval.__version__,
            "numpy": np.__version__,
            "scipy": scipy.__version__,
        },
    }


def main():
    parser = Parser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mixtures", type=positive, default=1000, metavar="N")
    parser.add_argument("--talkers", type=within(Speakers), default=2, metavar="K")
    parser.add_argument("--seconds", type=within(Seconds), default=5.0, metavar="S", help="mean length, synthetic")
    parser.add_argument("--subset", type=positive, default=100, metavar="N", help="mixtures for mir_eval")
    parser.add_argument("--dump", metavar="DIR", help="take the mixtures of a dumped set")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    args = parser.parse_args()
    if min(args.mixtures, args.talkers, args.subset) < 1 or args.seconds <= 0:
        parser.error("expected numbers of at least 1")
    figures = measure(args)
    for name, value in figures.items():
        print(f"{name:38} {value}")
    print(f"mir_eval scored the first {figures['mir_eval_mixtures_run']} of {figures['mixtures']} mixtures; "
          "its times are scaled from these, the ratios are over these alone.")
    if args.json:
        Path(args.json).write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    if figures["speed_ratio"] < 20 or figures["largest_sdr_difference_db"] > 0.01:
        sys.exit("scoring.py: slower than 20 times mir_eval, or values differ by more than 0.01 dB")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    main()
