#!/usr/bin/env python3
"""Fit the voice space of a model: how points of one talker scatter, and how talkers differ.

    tools/fit_voices.py contrasep_lib/pretrained/best --librispeech DIR --commonvoice DIR
    tools/fit_voices.py --speakers resemblyzer --librispeech DIR --commonvoice DIR

Long recordings need it to tell who is who (docs/howto/separate_recordings.md). Training speakers of LibriSpeech and
Common Voice, those of neither split file in conf/splits, converse for half a minute each, three at a time, all of one
corpus (contrasep_lib/mix/conversation.py); a quarter of the conversations are of Common Voice, from speakers of two clips and more. The
model embeds each conversation; seconds with one talker are points. Nobody is in the test or the development set.

A speaker encoder (--speakers) hears the same speakers alone: three utterances of each of LibriSpeech and two of 250 of
Common Voice, 8 s at most, at 8 kHz; its windows, 0.8 s apart, are points. The space has the 48 axes in which speakers differ most.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from contrasep_lib.bin.common import Parser, positive, within  # noqa: E402
from contrasep_lib.config import create, options_class  # noqa: E402
from contrasep_lib.config.bounds import PositiveWeight, Seed  # noqa: E402
from contrasep_lib.corpus.splits import find_split, read_split  # noqa: E402
from contrasep_lib.errors import ContrasepError  # noqa: E402
from contrasep_lib.io.recording import read_recording  # noqa: E402
from contrasep_lib.mix.conversation import converse  # noqa: E402
from contrasep_lib.nodes.nodeset import NodeSet  # noqa: E402
from contrasep_lib.separate.shipped import MODEL, MODULARITY, load_separator  # noqa: E402
from contrasep_lib.separate.voices import VOICES, Blocks, VoiceSpace, blocks_of, checksum, nodes_per_block  # noqa: E402

SECONDS, TALKERS, BACKGROUND_DB = 30.0, 3, 60.0
# blocks whose mean embedding is that long, and in whose weight one speaker has this share, are points
LENGTH, OWN = 0.88, 0.9
# of speaker encoders: Hz, seconds of an utterance at most, power of a window by the loudest, speakers of Common Voice
RATE, LONGEST, HEARD, COMMON = 8000, 8.0, 0.01, 250
AXES, RIDGE = 48, 0.3
# by which points of a talker scatter less than the ridge has it; chosen on conversations of development speakers
SHARP = 1.25


def libri_speakers(folder: Path, held: set[str]) -> dict[str, list[Path]]:
    """Speaker -> files of LibriSpeech's parts."""
    found: dict[str, list[Path]] = {}
    for file in sorted(folder.glob("train-clean-*/*/*/*.flac")):
        found.setdefault(file.parts[-3], []).append(file)
    return {speaker: files for speaker, files in found.items() if speaker not in held}


def common_speakers(folder: Path, held: set[str]) -> dict[str, list[Path]]:
    """Speaker -> files of Common Voice, of those who have two at least."""
    found: dict[str, list[Path]] = {}
    for table in sorted(folder.glob("*/validated.tsv")):
        clips = {file.stem: file for file in (table.parent / "clips").iterdir()}
        with open(table, encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                speaker = hashlib.sha256(row["client_id"].encode()).hexdigest()[:16]
                clip = clips.get(row["path"].rsplit(".", 1)[0])
                if clip is not None and speaker not in held:
                    found.setdefault(speaker, []).append(clip)
    return {speaker: files for speaker, files in sorted(found.items()) if len(files) > 1}


class Turns:
    """Draws speakers, all of them once before anybody comes again."""

    def __init__(self, speakers: dict[str, list[Path]], rng: np.random.Generator) -> None:
        self.speakers, self.rng, self.order = speakers, rng, []  # type: ignore[var-annotated]

    def draw(self, count: int) -> list[str]:
        """So many different speakers."""
        chosen: list[str] = []
        while len(chosen) < count:
            self.order = self.order or self.rng.permutation(list(self.speakers)).tolist()
            speaker = self.order.pop()
            chosen += [speaker] if speaker not in chosen else []
        return chosen


def main() -> None:
    """Entry point."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", help="folder of the model, or its name in the package")
    parser.add_argument("--librispeech", type=Path, required=True, help="folder of train-clean-5 and train-clean-100")
    parser.add_argument("--commonvoice", type=Path, required=True, help="folder of the languages")
    parser.add_argument("--speakers", metavar="NAME", help="speaker encoder, in place of a model")
    parser.add_argument("--without", nargs="+", default=[], metavar="SPEAKER", help="leave these out too, to judge by them")
    parser.add_argument("--sharp", type=within(PositiveWeight), default=SHARP, metavar="X", help="of an encoder's space: points of a "
                        "talker scatter so many times less than measured (default %(default)s)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="of the space (default: where separation looks for it)")
    parser.add_argument("--conversations", type=positive, default=120, help="default %(default)s")
    parser.add_argument("--seed", type=within(Seed), default=0)
    args = parser.parse_args()
    if (args.model is None) == (args.speakers is None):
        parser.error("either a model or --speakers is needed")
    try:
        (fit if args.model else fit_encoder)(args)
    except (ContrasepError, ValueError) as error:
        sys.exit(f"fit_voices.py: {error}")


def fit(args: argparse.Namespace) -> None:
    """Embed conversations, fit the space to their points and write it."""
    import torch

    from contrasep_lib.io.machine import keep_freed_memory

    keep_freed_memory()
    torch.set_num_threads(1)
    rng = np.random.default_rng(args.seed)
    libri, common = speakers_of(args)
    if min(len(libri), len(common)) < TALKERS:
        raise ContrasepError(f"{len(libri)} and {len(common)} speakers found, expected at least {TALKERS} of each corpus")
    sets = [Turns(libri, rng)] * 3 + [Turns(common, rng)]
    named = load_separator(args.model)
    model, points = named.separator.model, {}
    for number in range(args.conversations):
        turns = sets[number % len(sets)]
        speakers = turns.draw(TALKERS)
        loads = [[lambda f=file: read_recording(f, named.rate).samples for file in turns.speakers[each]] for each in speakers]
        made = converse(loads, SECONDS, named.rate, rng)
        mixture = made.sources.sum(axis=0)
        noise = np.abs(mixture).max() * 10 ** (-BACKGROUND_DB / 20) * rng.standard_normal(len(mixture))
        with torch.no_grad():
            nodes, _ = model.analyse(torch.from_numpy((mixture + noise).astype(np.float32))[None])
            power = [model.granularity.nodes(torch.from_numpy(each)[None]).power[0].numpy() for each in made.sources]
        blocks = blocks_of(model, nodes, mixture, named.rate)
        share = own_shares(np.stack(power), blocks, nodes, nodes_per_block(model, named.rate))
        length = np.linalg.norm(blocks.mean, axis=1)
        for row in np.flatnonzero((length >= LENGTH) & (share.max(axis=1) >= OWN)):
            key = (speakers[int(share[row].argmax())], number)
            points.setdefault(key, []).append(blocks.mean[row] / length[row])
    space = VoiceSpace.fit([np.stack(each) for each in points.values()])
    file = Path(args.model if Path(args.model).is_dir() else f"contrasep_lib/pretrained/{args.model}")
    out = args.out or file / MODULARITY / VOICES
    space.save(out, checksum(file / MODEL))
    print(
        f"{out}: {sum(map(len, points.values()))} points of {len({k[0] for k in points})} speakers; "
        f"between over within: {' '.join(f'{value:.1f}' for value in space.between)}"
    )


def speakers_of(args: argparse.Namespace) -> tuple[dict[str, list[Path]], dict[str, list[Path]]]:
    """Speaker -> files of both corpora, without those of the splits."""
    held = {e.speaker for name in ("librispeech", "commonvoice") for e in read_split(find_split(f"conf/splits/{name}.tsv"))}
    held |= set(args.without)
    return libri_speakers(args.librispeech, held), common_speakers(args.commonvoice, held)


def fit_encoder(args: argparse.Namespace) -> None:
    """Encode speakers who are heard alone, fit the space to their points and write it."""
    import torch

    torch.set_num_threads(1)
    encoder = create(options_class("speaker_encoder", args.speakers, "--speakers")())
    rng, points = np.random.default_rng(args.seed), []
    libri, common = speakers_of(args)
    chosen = [list(common)[number] for number in rng.permutation(len(common))[:COMMON]]
    for files, most in [*((files, 3) for files in libri.values()), *((common[speaker], 2) for speaker in chosen)]:
        own = []
        for number in rng.permutation(len(files))[:most]:
            samples = read_recording(files[number], RATE).samples[: round(LONGEST * RATE)]
            centres = np.arange(encoder.seconds / 2, len(samples) / RATE - encoder.seconds / 2, encoder.seconds / 2)
            if len(centres):
                found = encoder.utterances(samples, RATE, centres)
                own.append(found.vectors[found.power > HEARD * found.power.max()])
        if own:
            points.append(np.concatenate(own))
    space = VoiceSpace.fit(points, AXES, RIDGE)
    space = space.sharper(args.sharp)
    out = args.out or encoder.space_file()
    space.save(out, encoder.weights())
    print(f"{out}: {sum(map(len, points))} points of {len(points)} speakers")


def own_shares(power: np.ndarray, blocks: Blocks, nodes: NodeSet, per_block: int) -> np.ndarray:
    """Share of each talker in the weight of blocks, ``(blocks, talkers)``, by the power of their nodes ``(talkers, nodes)``."""
    weight = np.sqrt(power.sum(axis=0)) * nodes.valid[0].numpy()
    own = (np.arange(len(power))[:, None] == power.argmax(axis=0)) * weight
    mass = np.add.reduceat(own, np.arange(0, own.shape[1], per_block), axis=1)[:, blocks.number].T
    return mass / np.maximum(mass.sum(axis=1, keepdims=True), 1e-12)


if __name__ == "__main__":
    main()
