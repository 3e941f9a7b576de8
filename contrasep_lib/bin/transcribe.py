"""Write what recordings say, as a Kaldi table: KEY WORDS.

--scp names recordings by a table KEY FILE, --dump by a dumped single-speaker set. The recogniser is an asr.pth of
contrasep train-asr, or pocketsphinx with its own English model (a weak reference, at 16 kHz). A recording that
nothing is heard in has no line, as a table has no empty values. With a file 'text' beside the recordings' table, the
word error rate is printed; --out never replaces that file.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep transcribe``."""
    parser.add_argument("--model", required=True, metavar="FILE", help="asr.pth, or the word pocketsphinx")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--scp", metavar="FILE", help="table of recordings")
    which.add_argument("--dump", metavar="DIR", help="dumped single-speaker set")
    parser.add_argument("--out", required=True, metavar="FILE", help="table of transcripts to write")


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep transcribe``."""
    from pathlib import Path

    from contrasep_lib.asr.recordings import recordings_of
    from contrasep_lib.asr.transcribers import transcriber_of
    from contrasep_lib.errors import ContrasepError
    from contrasep_lib.io.parallel import progress
    from contrasep_lib.io.scp import write_table

    table = Path(args.dump, "wav.scp") if args.dump else Path(args.scp)
    path = table.with_name("text")
    for read in (table, path):
        if read.is_file() and Path(args.out).exists() and read.samefile(args.out):
            raise ContrasepError(f"--out: {read} is read here, and not written over; name another file")
    # before anything is written, which may be a file of this name
    said = _references(path)
    transcriber = transcriber_of(args.model)
    recordings = recordings_of(args.scp, args.dump, transcriber.rate, transcriber.batch)
    heard: dict[str, str] = {}
    with progress(recordings, "transcribing") as shown:
        for batch in shown:
            heard |= transcriber.transcribe(batch)
    write_table(args.out, {key: text for key, text in heard.items() if text})
    said = {key: text for key, text in said.items() if key in heard}
    if any(said.values()):
        from contrasep_lib.score.words import error_rate

        rate = error_rate([text.split() for text in said.values()], [heard[key].split() for key in said])
        print(f"transcribe: word error rate {rate:.1%} of {len(said)} recordings by {path}")


def _references(path: Path) -> dict[str, str]:
    """Normalised transcripts by a table that is there, and none by one that is not."""
    from contrasep_lib.corpus.single import normalise_text
    from contrasep_lib.io.scp import read_table

    return {key: normalise_text(text) for key, text in read_table(path).items()} if path.is_file() else {}
