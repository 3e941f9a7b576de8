#!/usr/bin/env python3
"""Who talks in long recordings, decided by the model's embeddings, by a speaker encoder, and by both.

    tools/conversations.py make DIR --corpus LIBRISPEECH --number 12 --minutes 5 --seed 11
    tools/bench/conversation_voices.py DIR --evidence FOLDER

Of each recording the evidence is found once and kept in FOLDER: blocks of all windows as `contrasep separate` has them,
and what the encoder says of each. Then several decisions are compared, which takes seconds:

    own        the model's embeddings alone
    encoder    points of the encoder alone, in its voice space
    both       points of both, as `--speakers` has it
    qn         points of both, of unit length; the communities of largest normalised modularity (solver spectral) on the
               kernel graph, as many as there are talkers
    qn split   the same points, counted by recursive split against the isotropic null
    both x 0.8 as both, with points of a talker that scatter 1 / 0.8 times as far (--sharp 0.8)
    both r 3   as both, with regularisation 3 of the means (--regular 3)

The encoder's space should not have seen the talkers (--space; tools/fit_voices.py --without): within their points it
would be too narrow.

Of each: recordings whose number of talkers is right, and the share of the weight of blocks, of those in which one talker
has 95 % of the energy, that has its talker (after the best matching).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from contrasep_lib.bin.common import Parser, within  # noqa: E402
from contrasep_lib.config.bounds import PositiveWeight  # noqa: E402
from contrasep_lib.separate.conversation import Heard, decide  # noqa: E402
from contrasep_lib.separate.shipped import NamedSeparator, load_separator  # noqa: E402
from contrasep_lib.separate.voices import SECONDS, Blocks, VoiceSpace, blocks_of, space_of  # noqa: E402

WINDOW, OVERLAP, ALONE, MOST = 30.0, 0.1, 0.95, 8
FIELDS = ("number", "mean", "mass", "halves")

Recording = dict[str, np.ndarray]
"""Arrays of all windows, joined: fields of blocks, ``heard``, ``energy (blocks, talkers)`` and ``window``."""


def evidence(named: NamedSeparator, folder: Path, file: Path) -> Recording:
    """Evidence of a recording that tools/conversations.py made."""
    import soundfile
    import torch

    from contrasep_lib.separate.excerpt import Excerpt
    from contrasep_lib.separate.long import spans_of
    from contrasep_lib.separate.recorded import level_gain

    separator, rate = named.separator, named.rate
    samples = soundfile.read(file, dtype="float32")[0]
    samples -= samples.mean()
    excerpt = Excerpt.of(samples * np.float32(level_gain(samples)), separator.model.granularity)
    talkers = sorted((folder / "truth" / file.stem).glob("spk*.wav"), key=lambda each: int(each.stem[3:]))
    heard = np.stack([np.square(soundfile.read(each)[0]).cumsum() for each in talkers])
    rows: dict[str, list[np.ndarray]] = {name: [] for name in (*FIELDS, "heard", "energy", "window")}
    spans = spans_of(len(excerpt.signal), round(WINDOW * rate), separator.model.features.hop, OVERLAP)
    for window, (start, stop) in enumerate(spans):
        part = excerpt.signal[start:stop]
        with torch.no_grad():
            blocks = blocks_of(separator.model, separator.analyse(part)[0], part, rate)
        for name in FIELDS:
            rows[name].append(getattr(blocks, name))
        rows["heard"].append(separator.speakers.utterances(part, rate, (blocks.number + 0.5) * SECONDS).vectors)
        edges = start + np.stack([blocks.number, blocks.number + 1]) * round(SECONDS * rate)
        places = np.array([[excerpt.place(min(int(at), stop - 1)) for at in row] for row in edges])
        rows["energy"].append((heard[:, places[1]] - heard[:, places[0]]).T)
        rows["window"].append(np.full(len(blocks.number), window))
    return {name: np.concatenate(parts) for name, parts in rows.items()}


def windows_of(recording: Recording) -> tuple[list[Blocks], list[np.ndarray]]:
    """Blocks of each window, and what the encoder says of them."""
    edges = np.flatnonzero(np.diff(recording["window"])) + 1
    parts = [np.split(recording[name], edges) for name in (*FIELDS, "heard")]
    return [Blocks(*each[:4]) for each in zip(*parts)], parts[4]


def decisions(
    named: NamedSeparator, space: VoiceSpace, sharp: Sequence[float], regular: Sequence[float]
) -> dict[str, Callable[[Recording], np.ndarray]]:
    """Name -> talker of each block, -1 where not just one talks.

    Args:
        named: with a speaker encoder.
        space: of the encoder.
        sharp: by which the space is made sharper, for further rows.
        regular: regularisation of the means, for further rows.
    """
    own = named.separator.voices
    # without the model's axes, of which one has to be left
    flat = VoiceSpace(own.mean, 1e-6 * own.basis[:, :1], np.full(1, 1e-3))

    def decided(
        first: VoiceSpace, further: VoiceSpace | None, means: float = Heard.regular
    ) -> Callable[[Recording], np.ndarray]:
        def labels(recording: Recording) -> np.ndarray:
            blocks, vectors = windows_of(recording)
            heard = None if further is None else Heard(vectors, further, means)
            return np.concatenate(decide(blocks, first, None, heard).talkers)

        return labels

    def by_modularity(count: bool) -> Callable[[Recording], np.ndarray]:
        return lambda recording: communities(recording, own, space, count)

    sharper = {f"both x {factor:g}": decided(own, space.sharper(factor)) for factor in sharp}
    further = {f"both r {value:g}": decided(own, space, value) for value in regular}
    return {
        "own": decided(own, None), "encoder": decided(flat, space), "both": decided(own, space),
        "qn": by_modularity(False), "qn split": by_modularity(True), **sharper, **further,
    }


def communities(recording: Recording, own: VoiceSpace, space: VoiceSpace, count: bool) -> np.ndarray:
    """Communities of the points of pure blocks; as many as there are talkers, or counted."""
    import torch

    from contrasep_lib.config import create, options_class
    from contrasep_lib.counting.null import Null
    from contrasep_lib.counting.recursive import count_communities
    from contrasep_lib.modularity.graphs import KernelGraph
    from contrasep_lib.nodes.nodeset import NodeSet

    blocks, _ = windows_of(recording)
    pure = np.concatenate([each.pure for each in blocks])
    points = np.concatenate([own.points(recording["mean"]), space.points(recording["heard"])], axis=1)[pure]
    z = torch.from_numpy(points / np.linalg.norm(points, axis=1, keepdims=True)).float()[None]
    nodes = NodeSet(z, torch.ones(1, len(points)), torch.ones(1, len(points), dtype=torch.bool), (len(points),))
    graph, quality = KernelGraph(), create(options_class("quality", "normalised")())
    number = recording["energy"].shape[1]
    if count:
        [found] = count_communities(nodes, MOST, graph, None, 0, Null(threshold=7.5), quality=quality)
        number = found.count
    talkers = np.full(len(pure), -1)
    solver = create(options_class("solver", "spectral")(), num_communities=MOST)
    talkers[pure] = solver.solve(nodes, number, graph, 0, quality).labels[0].numpy() if number > 1 else 0
    return talkers


def accuracy(recording: Recording, talkers: np.ndarray) -> tuple[bool, float]:
    """Whether the number of talkers is right, and the share of the weight of blocks of one talker that has its talker."""
    from scipy.optimize import linear_sum_assignment

    energy, count = recording["energy"], int(talkers.max()) + 1
    alone = (energy.max(axis=1) > ALONE * energy.sum(axis=1)) & (talkers >= 0)
    weight = np.zeros((energy.shape[1], count))
    np.add.at(weight, (energy[alone].argmax(axis=1), talkers[alone]), recording["mass"][alone])
    rows, columns = linear_sum_assignment(-weight)
    return count == energy.shape[1], float(weight[rows, columns].sum() / weight.sum())


def main() -> None:
    """Entry point."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="of tools/conversations.py make")
    parser.add_argument("--evidence", type=Path, required=True, metavar="FOLDER", help="where it is kept")
    parser.add_argument("--model", default="best", metavar="NAME|DIR", help="(best)")
    parser.add_argument("--speakers", default="resemblyzer", metavar="NAME", help="speaker encoder (%(default)s)")
    parser.add_argument("--space", type=Path, metavar="FILE", help="of the encoder, of tools/fit_voices.py (the package's)")
    parser.add_argument("--sharp", type=within(PositiveWeight), nargs="+", default=[], metavar="X", help="further rows, with a sharper space")
    parser.add_argument(
        "--regular", type=within(PositiveWeight), nargs="+", default=[], metavar="R", help="further rows, with this regularisation"
    )
    parser.add_argument("--decisions", nargs="+", metavar="NAME", help="whose rows (all)")
    args = parser.parse_args()
    import torch

    from contrasep_lib.io.atomic import atomic_open
    from contrasep_lib.io.machine import forget_shapes, keep_freed_memory

    forget_shapes()
    keep_freed_memory()
    torch.set_num_threads(1)
    named = load_separator(args.model, overrides=[f"separate.speakers={args.speakers}"])
    named.separator.precision = "bfloat16"
    encoder = named.separator.speakers
    space = space_of(encoder) if args.space is None else VoiceSpace.load(args.space, encoder.weights())
    if space is None:
        parser.error(f"--space: {args.space}: no such file")
    print("| conversations | decision | number right | blocks with their talker, % | least of a recording, % |")
    print("| --- | --- | ---: | ---: | ---: |")
    for folder in args.folders:
        recordings = []
        for file in sorted(folder.glob("*.wav")):
            kept = args.evidence / folder.name / f"{file.stem}.npz"
            if not kept.is_file():
                kept.parent.mkdir(parents=True, exist_ok=True)
                with atomic_open(kept, "wb") as stream:
                    np.savez_compressed(stream, **evidence(named, folder, file))
            with np.load(kept, allow_pickle=False) as content:
                recordings.append({name: content[name] for name in content.files})
        for name, decided in decisions(named, space, args.sharp, args.regular).items():
            if name not in (args.decisions or [name]):
                continue
            scores = [accuracy(each, decided(each)) for each in recordings]
            right, shares = sum(score[0] for score in scores), [100 * score[1] for score in scores]
            print(f"| {folder.name} | {name} | {right} of {len(scores)} | {np.mean(shares):.1f} | {min(shares):.1f} |", flush=True)


if __name__ == "__main__":
    main()
