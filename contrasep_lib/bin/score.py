"""Score separated audio: SI-SNR and SDR improvement of every utterance, oracles, plots.

Several jobs each score a share with --part J/N; --merge N joins their tables into
OUT/scores.tsv and draws the plots. With neither, one process does it all.

With --wer the words are counted instead, in one process: clean sources, mixtures and separated speech are transcribed,
by --asr-model or --asr-cmd, and compared with the set's transcripts (docs/howto/words.md). OUT/wer.json has the rates,
OUT/wer.tsv a line for each utterance, OUT/text_* the transcripts; contrasep report shows them.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path
from typing import Any

from contrasep_lib.bin.common import add_config, part, positive, read_config, share, within
from contrasep_lib.config.bounds import Rate
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.parallel import progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep score``."""
    add_config(parser)
    parser.add_argument("--dump", required=True, metavar="DIR", help="dump/SET with mixtures and sources")
    parser.add_argument("--separated", required=True, metavar="DIR", help="exp/TAG/separate_SET")
    parser.add_argument("--out", required=True, metavar="DIR", help="exp/TAG/score_SET")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--part", type=part, metavar="J/N", help="score the J-th of N shares")
    which.add_argument("--merge", type=positive, metavar="N", help="join the tables of N jobs, draw plots")
    which.add_argument("--wer", action="store_true", help="word and unit error rates, under the best permutation")
    words = parser.add_mutually_exclusive_group()
    words.add_argument("--asr-model", metavar="FILE", help="asr.pth of contrasep train-asr, or the word pocketsphinx")
    words.add_argument(
        "--asr-cmd", metavar="CMD",
        help="recogniser of your own, run without a shell: CMD SCP TEXT reads a table KEY FILE of WAV files and writes "
        "a table KEY WORDS; or with {wav} among its words once for each file, printing the words",
    )
    parser.add_argument(
        "--asr-rate", type=within(Rate), default=16000, metavar="HZ", help="of the files of --asr-cmd "
        "(default: %(default)s)",
    )


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep score``."""
    if args.wer != bool(args.asr_model or args.asr_cmd):
        raise ContrasepError("--wer: name a recogniser, --asr-model FILE or --asr-cmd CMD" if args.wer else
                             "--asr-model, --asr-cmd: they go with --wer")
    config = read_config(args)
    # Before numpy and torch load: jobs run side by side, so threads within a job would fight for
    # the same cores, and the order of sums would depend on how many there are.
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    from contrasep_lib.extras import missing_extra
    from contrasep_lib.io.dumpset import DumpSet, SeparatedSet
    from contrasep_lib.score.sets import Scorer
    from contrasep_lib.score.tables import merge_parts, write_rows

    dump, separated, out = DumpSet(args.dump), SeparatedSet(args.separated), Path(args.out)
    if args.wer:
        _score_words(args, dump, separated, out, config["mix"].mode == "min")
        return
    parts = out / "parts"
    if args.merge is None:
        scorer = Scorer(dump, separated, config["score"], config["features"])
        job, jobs = args.part or (1, 1)
        keys = share(dump.keys, (job, jobs))
        # closed before an error is reported, so that its line stands alone
        with progress(keys, f"scoring {dump.name}") as shown:
            rows = scorer.rows(shown)
        write_rows(parts / f"{job}.tsv", rows)
    if args.part is None:
        tables = [parts / f"{job}.tsv" for job in range(1, (args.merge or 1) + 1)]
        rows = merge_parts(tables, dump.keys, out / "scores.tsv")
        from contrasep_lib.report.plots import draw_set

        try:
            draw_set(out, rows, dump, separated, config["score"].plots, config["features"])
        except ImportError as error:
            # scores are worth having without plots
            print(f"score: no plots: {missing_extra(error) or error}")
        shutil.rmtree(parts)


def _score_words(args: argparse.Namespace, dump: Any, separated: Any, out: Path, cut: bool) -> None:
    import sys

    from contrasep_lib.asr.scoring import score_words, shown_lines, summary, write_word_scores
    from contrasep_lib.asr.transcribers import Command, transcriber_of

    if cut and dump.num_spk > 1:
        print(
            "score: warning: mix.mode is min, which cuts longer sources: words that are cut count as errors of all "
            "rows; make a test set with mix.mode=max", file=sys.stderr,
        )
    transcriber = Command(args.asr_cmd, args.asr_rate) if args.asr_cmd else transcriber_of(args.asr_model)
    scores = score_words(dump, separated, transcriber)
    summed = summary(scores, dump, transcriber)
    out.mkdir(parents=True, exist_ok=True)
    write_word_scores(out, scores, summed)
    for line in shown_lines(summed):
        print(f"score: {line}")
