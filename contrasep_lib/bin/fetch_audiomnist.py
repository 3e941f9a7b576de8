"""Stage 0, corpus audiomnist: AudioMNIST, downloaded or a local copy, digits joined to strings.

Checks every file first and lists every fault. Writes OUT/wav and the single-speaker sets OUT/tr,
OUT/cv and OUT/tt; see `contrasep_lib.corpus.audiomnist`. A rerun keeps what is whole.
"""

from __future__ import annotations

import argparse
import sys

from contrasep_lib.bin.common import add_corpus, in_processes, read_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options to a parser."""
    add_corpus(parser, "01, 02, .. (or its parent)", "--audiomnist")


def run(args: argparse.Namespace) -> None:
    """Run the command.

    Raises:
        ContrasepError: bad configuration, failed download, corpus missing or damaged.
    """
    from pathlib import Path

    from contrasep_lib.config import as_tree
    from contrasep_lib.corpus import audiomnist
    from contrasep_lib.corpus.single import claim_folder
    from contrasep_lib.errors import ContrasepError

    options = read_config(args)["corpus"].audiomnist
    speakers = audiomnist.SPEAKERS[: options.speakers]
    data = audiomnist.find_data(args.corpus or audiomnist.fetch(args.download_dir, speakers))
    genders, faults = audiomnist.check_layout(data, options)
    paths = [(path,) for path in audiomnist.recordings(data, options)]
    faults += filter(None, in_processes(audiomnist.check_recording, paths, args.nj, "checking AudioMNIST"))
    for fault in faults:
        print(fault, file=sys.stderr)
    if faults:
        raise ContrasepError(f"{data}: faults found: {len(faults)}, listed above; nothing was made")
    claim_folder(Path(args.out), {
        "corpus": "audiomnist", "options": as_tree(options),
        "genders": {speaker: genders[speaker] for speaker in speakers},
    })
    strings = audiomnist.plan_strings(data, args.out, options)
    work = [(string, options.rate) for string in strings]
    lengths = in_processes(audiomnist.make_string, work, args.nj, "joining digits")
    counts = audiomnist.write_sets(args.out, strings, lengths, genders, options.rate)
    print(f"{args.out}: " + ", ".join(f"{name} {n} utterances" for name, n in counts.items()))
