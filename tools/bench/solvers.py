#!/usr/bin/env python3
"""Ways to partition the embeddings of one model: SI-SNRi, the number of speakers given, paired with k-means.

    tools/bench/solvers.py --model contrasep_lib/pretrained/best --dumps FOLDER/data/dump/*/dev_[2-5]mix --scores solvers.tsv

Each dump is a set of mixtures (stage 2; `tools/long_training.py data` makes those of the development speakers). Every mixture is
analysed once and partitioned and decoded by each row. Scores of each mixture go to the file of --scores; what it has is not made
again, so the command goes on after an interruption and with a larger --limit. CPU seconds are those of one thread.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from contrasep_lib.bin.common import Parser, positive  # noqa: E402
from contrasep_lib.errors import ContrasepError  # noqa: E402

BASE = "k-means"
# section modularity of each row, over that of the model
ROWS: dict[str, dict[str, Any]] = {
    BASE: {"solver": {"name": "kmeans"}},
    "network, Qn": {"solver": {"name": "network"}, "quality": {"name": "normalised"}},
    "network, Qn, one start": {"solver": {"name": "network", "starts": 1}, "quality": {"name": "normalised"}},
    "network, Q": {"solver": {"name": "network"}, "quality": {"name": "modularity"}},
    "spectral, Qn": {"solver": {"name": "spectral"}, "quality": {"name": "normalised"}},
}


@dataclasses.dataclass(frozen=True)
class Score:
    """One mixture under one row; seconds are CPU time, ``analysis`` and ``decoding`` of the model."""

    set: str
    utterance: str
    speakers: str
    row: str
    si_snri: float
    right: float
    quality: float
    seconds: float
    analysis: float
    solving: float
    decoding: float


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", type=Path, default=ROOT / "contrasep_lib/pretrained/best", metavar="DIR",
        help="experiment with a decoder (default: the shipped one)",
    )
    parser.add_argument("--dumps", type=Path, nargs="+", required=True, metavar="DIR", help="sets of mixtures")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="ways (default: all)")
    parser.add_argument("--limit", type=positive, default=100, metavar="N", help="mixtures of each set (100)")
    parser.add_argument("--scores", type=Path, required=True, metavar="FILE", help="table of all scores")
    return parser.parse_args(arguments)


def solvers(model: Path, rows: Sequence[str]) -> dict[str, tuple[Any, Any, Any]]:
    """Solver, graph and quality of each row, with what the experiment's stage 4 trained."""
    from contrasep_lib.config import build, load_config
    from contrasep_lib.models.checkpoint import read_states
    from contrasep_lib.modularity.options import ModularityOptions
    from contrasep_lib.separate.clustering_state import ClusteringState

    common = load_config(model / "config.yaml")["modularity"]
    found = {}
    for row in rows:
        options = build(ModularityOptions, ROWS[row], "modularity")
        state = ClusteringState.from_options(dataclasses.replace(options, graph=common.graph, k_max=common.k_max))
        solver, file = state.solver, model / "modularity" / state.solver.state_file
        if solver.state_file and file.is_file():
            solver = solver.with_state(read_states(file))
        found[row] = (solver, state.graph, state.quality)
    return found


def scores_of(model: Any, ways: Mapping[str, tuple[Any, Any, Any]], dump: Any, key: str, name: str) -> Iterator[Score]:
    """One mixture under each of the rows."""
    import torch

    from contrasep_lib.decode.attractor import centroids_of
    from contrasep_lib.modularity.diagnostics import contingency, diagnose, matched_share
    from contrasep_lib.score.ratios import improvements

    mixture, sources = dump.mixture(key), dump.sources(key)
    with torch.inference_mode():
        clock = time.process_time()
        nodes, seen = model.analyse(torch.from_numpy(mixture)[None])
        analysis = time.process_time() - clock
        dominant = torch.where(nodes.valid, model.granularity.targets(torch.from_numpy(sources)[None]), -1)
        for row, (solver, graph, quality) in ways.items():
            clock = time.process_time()
            solution = solver.solve(nodes, len(sources), graph, 0, quality)
            solving, clock = time.process_time() - clock, time.process_time()
            hard = torch.nn.functional.one_hot(solution.labels.clamp_min(0), len(sources)).float()
            centroids = centroids_of(nodes.z, hard * nodes.valid.unsqueeze(-1), nodes.weight * nodes.valid)
            outputs = model.decode(seen, centroids, len(mixture))[0].double().numpy()
            decoding = time.process_time() - clock
            [diagnosis] = diagnose(nodes, solution.labels, graph)
            yield Score(
                name, key, ",".join(dump.speakers[key]), row, float(improvements(outputs, mixture, sources).mean()),
                100 * matched_share(contingency(solution.labels[0], dominant[0], nodes.weight[0])), diagnosis.normalised_modularity,
                len(mixture) / dump.rate, analysis, solving, decoding,
            )


# ------------------------------------------------------------------ the table of scores


def read_scores(path: Path) -> list[Score]:
    """What was scored already."""
    if not path.is_file():
        return []
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    fields = dataclasses.fields(Score)
    if header.split("\t") != [field.name for field in fields]:
        raise ContrasepError(f"{path}: expected the columns {', '.join(field.name for field in fields)}; remove it")
    return [
        Score(*(value if field.type == "str" else float(value) for field, value in zip(fields, line.split("\t"))))
        for line in lines
    ]


def score_all(args: argparse.Namespace) -> list[Score]:
    """Scores of all mixtures asked for."""
    import torch
    from tqdm import tqdm

    from contrasep_lib.io.dumpset import DumpSet
    from contrasep_lib.models.checkpoint import load_model

    torch.set_num_threads(1)
    model = load_model(args.model / "finetune/model.pth").eval()
    if model.decoder is None:
        raise ContrasepError(f"{args.model}: expected a model with a decoder (model.decoder: attractor), got one without")
    ways, found = solvers(args.model, args.rows), read_scores(args.scores)
    known = {(score.set, score.utterance, score.row) for score in found}
    if not args.scores.is_file():
        args.scores.write_text("\t".join(field.name for field in dataclasses.fields(Score)) + "\n", encoding="utf-8")
    kept = []
    with open(args.scores, "a", encoding="utf-8") as file:
        for folder in args.dumps:
            dump, name = DumpSet(folder), f"{folder.parent.name}_{folder.name.partition('_')[2]}"
            for key in tqdm(dump.keys[: args.limit], desc=name, disable=None):
                missing = {row: way for row, way in ways.items() if (name, key, row) not in known}
                for score in scores_of(model, missing, dump, key, name) if missing else ():
                    found.append(score)
                    values = (f"{value:.5f}" if isinstance(value, float) else value for value in vars(score).values())
                    print(*values, sep="\t", file=file, flush=True)
                kept += [(name, key)]
    wanted = {*kept}
    return [score for score in found if (score.set, score.utterance) in wanted and score.row in ways]


def names_of(speakers: str, count: int) -> list[str]:
    """The speakers of a line; earlier tables join them by ``_``, which names may hold too."""
    return speakers.split("," if "," in speakers or count == 1 else "_")


def report(scores: Sequence[Score], rows: Sequence[str]) -> None:
    """Print the tables."""
    import numpy as np

    from contrasep_lib.score.intervals import mean_over_counts, speaker_interval

    sets = list(dict.fromkeys(score.set for score in scores))
    table = {(score.set, score.utterance, score.row): score for score in scores}
    base = [score for score in scores if score.row == BASE]
    counts = np.array([int(score.set.rpartition("_")[2][: -len("mix")]) for score in base])
    speakers = [names_of(score.speakers, count) for score, count in zip(base, counts)]
    spent = sum(score.analysis + score.solving + score.decoding for score in base)
    heads = [*(f"{count} speakers" for count in np.unique(counts)), "joint"]
    print(f"| partition | {' | '.join(heads)} | CPU time to k-means | real-time factor |")
    print("| --- |" + " ---: |" * (len(heads) + 2))
    for row in rows:
        own = [table[score.set, score.utterance, row] for score in base]
        gains = np.array([[score.si_snri, score.si_snri - other.si_snri] for score, other in zip(own, base)])
        cells = []
        for chosen in (*(counts == count for count in np.unique(counts)), counts > 0):
            mean, difference = mean_over_counts(gains[chosen], counts[chosen])
            kept = [names for names, kept in zip(speakers, chosen) if kept]
            (limits,) = speaker_interval(gains[chosen, 1], kept, counts[chosen])
            cells.append(f"{mean:.2f}")
            if row != BASE and limits:
                cells[-1] += f" ({difference:+.2f} [{limits[0]:+.2f}, {limits[1]:+.2f}])"
        cost = sum(score.analysis + score.solving + score.decoding for score in own)
        cells += [f"{cost / spent:.2f}", f"{cost / sum(score.seconds for score in own):.3f}"]
        print(f"| {row} | {' | '.join(cells)} |")
    print(f"\n{len(base)} mixtures of {', '.join(sets)}; SI-SNRi in dB, paired differences with 95 % intervals over speakers.")


def main() -> None:
    """Score and print; errors of the user in one line."""
    args = parse()
    rows = [row for row in ROWS if row == BASE or row in args.rows]
    args.rows = rows
    try:
        report(score_all(args), rows)
    except ContrasepError as error:
        sys.exit(f"solvers.py: {error}")


if __name__ == "__main__":
    main()
