"""Stage 0, corpus commonvoice: a local copy of Common Voice, all of its languages or some.

Writes the single-speaker sets OUT/tr, OUT/cv, OUT/dev and OUT/tt, and OUT/wav for clips that
libsndfile does not read; see `contrasep_lib.corpus.commonvoice`. A rerun keeps what is whole.
Nobody tries to find out who a speaker is.
"""

from __future__ import annotations

import argparse
import sys

from contrasep_lib.bin.common import add_config, in_processes, positive, read_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options to a parser."""
    add_config(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="sources folder")
    parser.add_argument("--nj", type=positive, default=1, metavar="N", help="processes (default: %(default)s)")
    parser.add_argument("--corpus", metavar="DIR", help="local copy, the folder that holds LANG/validated.tsv")


def run(args: argparse.Namespace) -> None:
    """Run the command.

    Raises:
        ContrasepError: bad configuration, no corpus, malformed tables, nothing to read.
    """
    import os
    from pathlib import Path

    from contrasep_lib.corpus import commonvoice
    from contrasep_lib.corpus.single import claim_folder
    from contrasep_lib.errors import ContrasepError

    options = read_config(args)["corpus"].commonvoice
    if args.corpus is None:
        raise ContrasepError(
            "Common Voice is not downloaded, because its download asks for an account "
            "(https://commonvoice.mozilla.org/datasets); name a local copy with --corpus DIR"
        )
    clips, notes = commonvoice.find_clips(args.corpus, options)
    claim_folder(Path(args.out), {"corpus": "commonvoice", "rate": options.rate})
    work = [
        (os.fspath(clip.path), os.path.join(args.out, "wav", clip.speaker, f"{clip.utt_id}.wav"), options.rate)
        for clip in clips
    ]
    results = in_processes(commonvoice.hear_clip, work, args.nj, "reading Common Voice")
    heard = {clip.utt_id: result for clip, result in zip(clips, results) if not result.fault}
    if faults := [result.fault for result in results if result.fault]:
        notes.append(commonvoice.counted(faults, "clips cannot be used and are left out"))
    for note in notes:
        print(f"{args.corpus}: {note}", file=sys.stderr)
    sets = commonvoice.split_clips([clip for clip in clips if clip.utt_id in heard], options)
    counts = commonvoice.write_sets(args.out, sets, heard)
    print(f"{args.out}: " + ", ".join(f"{name} {n} utterances" for name, n in counts.items()))
