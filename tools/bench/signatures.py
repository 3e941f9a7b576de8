#!/usr/bin/env python3
"""Failure signatures on learned embeddings: how often each is raised where a partition is good, and where it fails.

    tools/bench/signatures.py --dumps FOLDER/data/dump/*/dev_[2-5]mix --scores signatures.tsv [--limit 40]

Each dump is a set of mixtures (stage 2; `tools/long_training.py data` makes those of the development speakers). Each mixture
is embedded once by --model and partitioned by its own solver into K - 1, K and K + 1 communities, K the true number of
speakers; values of the four signatures, the share of weight on the right speaker and (for K) SI-SNRi go to the file of
--scores. What it has is not made again.

Good is a partition into K whose outputs gain at least --least dB. A signature should be raised where

- poor clustering, weak contrastive signal: the partition is into K, and its outputs gain less;
- over-segmentation: it is into K + 1; under-segmentation: into K - 1.

The limit is the one that a share of --alarms of the good partitions of every second mixture exceed; rates and the area under
the ROC curve are those of the other mixtures, with the limit in use beside.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

from solvers import solvers  # noqa: E402

from contrasep_lib.bin.common import Parser, positive, within  # noqa: E402
from contrasep_lib.config.bounds import Decibels, Part  # noqa: E402
from contrasep_lib.errors import ContrasepError  # noqa: E402

OWN = "network, Qn"
# signature, its field, whether large values raise it, offset of K at which it should be
KINDS = (
    ("poor clustering", "conductance", True, 0),
    ("weak contrastive signal", "contrast", False, 0),
    ("over-segmentation", "similarity", True, 1),
    ("under-segmentation", "cohesion", False, -1),
)


@dataclasses.dataclass(frozen=True)
class Values:
    """One partition of one mixture; SI-SNRi is NaN where K is not the true number."""

    set: str
    utterance: str
    speakers: int
    communities: int
    conductance: float
    contrast: float
    similarity: float
    cohesion: float
    right: float
    si_snri: float

    @property
    def offset(self) -> int:
        """Communities beyond speakers."""
        return self.communities - self.speakers


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", type=Path, default=ROOT / "contrasep_lib/pretrained/best", metavar="DIR",
        help="experiment with a decoder (default: the shipped one)",
    )
    parser.add_argument("--dumps", type=Path, nargs="+", required=True, metavar="DIR", help="sets of mixtures")
    parser.add_argument("--limit", type=positive, default=40, metavar="N", help="mixtures of each set (40)")
    parser.add_argument("--scores", type=Path, required=True, metavar="FILE", help="table of all values")
    parser.add_argument("--least", type=within(Decibels), default=3.0, metavar="DB", help="SI-SNRi of a good partition (3)")
    parser.add_argument("--alarms", type=within(Part), default=0.05, metavar="SHARE", help="of good partitions, at the limit (0.05)")
    parser.add_argument("--rates", type=Path, metavar="FILE", help="where the limits and rates go too, with precision and recall")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="where the curves of all sets are drawn (ROC)")
    return parser.parse_args(arguments)


# ------------------------------------------------------------------ values


def values_of(model: Any, way: tuple[Any, Any, Any], most: int, dump: Any, key: str, name: str) -> Iterator[Values]:
    """One mixture, partitioned into one community too few, as many as speakers, and one too many, at most ``most``."""
    import torch

    from contrasep_lib.decode.attractor import centroids_of
    from contrasep_lib.modularity.diagnostics import contingency, diagnose, matched_share
    from contrasep_lib.score.ratios import improvements

    mixture, sources = dump.mixture(key), dump.sources(key)
    solver, graph, quality = way
    with torch.inference_mode():
        nodes, seen = model.analyse(torch.from_numpy(mixture)[None])
        dominant = torch.where(nodes.valid, model.granularity.targets(torch.from_numpy(sources)[None]), -1)
        for count in range(max(len(sources) - 1, 2), min(len(sources) + 1, most) + 1):
            labels = solver.solve(nodes, count, graph, 0, quality).labels
            [diagnosis] = diagnose(nodes, labels, graph)
            gain = math.nan
            if count == len(sources):
                hard = torch.nn.functional.one_hot(labels.clamp_min(0), count).float()
                centroids = centroids_of(nodes.z, hard * nodes.valid.unsqueeze(-1), nodes.weight * nodes.valid)
                outputs = model.decode(seen, centroids, len(mixture))[0].double().numpy()
                gain = float(improvements(outputs, mixture, sources).mean())
            share = matched_share(contingency(labels[0], dominant[0], nodes.weight[0]))
            yield Values(name, key, len(sources), count, *(each.value for each in diagnosis.signatures), 100 * share, gain)


def read_values(path: Path) -> list[Values]:
    """What was measured already."""
    if not path.is_file():
        return []
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    fields = dataclasses.fields(Values)
    if header.split("\t") != [field.name for field in fields]:
        raise ContrasepError(f"{path}: expected the columns {', '.join(field.name for field in fields)}; remove it")
    kinds = {"str": str, "int": int, "float": float}
    return [Values(*(kinds[str(field.type)](word) for field, word in zip(fields, line.split("\t")))) for line in lines]


def measure(args: argparse.Namespace) -> list[Values]:
    """Values of all mixtures asked for."""
    import torch
    from tqdm import tqdm

    from contrasep_lib.config import load_config
    from contrasep_lib.io.dumpset import DumpSet
    from contrasep_lib.models.checkpoint import load_model

    torch.set_num_threads(1)
    model = load_model(args.model / "finetune/model.pth").eval()
    if model.decoder is None:
        raise ContrasepError(f"{args.model}: expected a model with a decoder (model.decoder: attractor), got one without")
    most = load_config(args.model / "config.yaml")["modularity"].k_max
    way, found = solvers(args.model, [OWN])[OWN], read_values(args.scores)
    known, kept = {(each.set, each.utterance) for each in found}, set()
    if not args.scores.is_file():
        args.scores.write_text("\t".join(field.name for field in dataclasses.fields(Values)) + "\n", encoding="utf-8")
    with open(args.scores, "a", encoding="utf-8") as file:
        for folder in args.dumps:
            dump, name = DumpSet(folder), f"{folder.parent.name}_{folder.name.partition('_')[2]}"
            for key in tqdm(dump.keys[: args.limit], desc=name, disable=None):
                kept.add((name, key))
                if (name, key) in known:
                    continue
                new = list(values_of(model, way, most, dump, key, name))
                found += new
                for each in new:
                    words = (f"{value:.4f}" if isinstance(value, float) else str(value) for value in vars(each).values())
                    print(*words, sep="\t", file=file, flush=True)
    return [each for each in found if (each.set, each.utterance) in kept]


# ------------------------------------------------------------------ the table


@dataclasses.dataclass(frozen=True)
class Rate:
    """How often one signature is raised among good and failing partitions of one corpus, with one limit."""

    signature: str
    limit: float
    label: str
    corpus: str
    good_raised: int
    good: int
    fails_raised: int
    fails: int
    area: float

    @property
    def words(self) -> list[str]:
        """Cells of the printed table."""
        limit = self.label if math.isnan(self.limit) else f"{self.limit:.3f}, {self.label}"
        rates = [
            f"{raised} of {of}" + (f" ({100 * raised / of:.0f} %)" if of else "")
            for raised, of in ((self.good_raised, self.good), (self.fails_raised, self.fails))
        ]
        return [self.signature, limit, self.corpus, *rates, "" if math.isnan(self.area) else f"{self.area:.2f}"]


def halves(values: Sequence[Values]) -> tuple[list[Values], list[Values]]:
    """Partitions of every second mixture, by which signatures are judged, and those of the others, which choose limits."""
    order = {key: number for number, key in enumerate(dict.fromkeys((each.set, each.utterance) for each in values))}
    parts: tuple[list[Values], list[Values]] = ([], [])
    for each in values:
        parts[order[each.set, each.utterance] % 2].append(each)
    return parts


def good_and_failing(part: Sequence[Values], field: str, offset: int, least: float) -> tuple[list[float], list[float]]:
    """Values of a signature of good partitions, and of those at which it should be raised."""
    good = [getattr(each, field) for each in part if each.offset == 0 and each.si_snri >= least]
    fails = [getattr(each, field) for each in part if each.offset == offset and (offset or each.si_snri < least)]
    return good, fails


def rates(values: Sequence[Values], least: float, alarms: float) -> list[Rate]:
    """Limits and rates of each signature, then of any, for all sets and for each corpus; of every second mixture.

    Args:
        values: of all mixtures.
        least: SI-SNRi of a good partition, dB.
        alarms: share of good partitions beyond the limit that the other mixtures choose.
    """
    from contrasep_lib.modularity.diagnostics import Thresholds

    judged, chosen_of = halves(values)
    corpora = ["all", *dict.fromkeys(each.set.partition("_")[0] for each in values)]
    chosen_on = [each for each in chosen_of if each.offset == 0 and each.si_snri >= least]
    found = []
    for name, field, large, offset in KINDS:
        chosen = _limit([getattr(each, field) for each in chosen_on], large, alarms)
        for label, limit in (("in use", getattr(Thresholds(), field)), (f"{alarms:.0%} of good", chosen)):
            for corpus in corpora:
                part = [each for each in judged if corpus in ("all", each.set.partition("_")[0])]
                good, fails = good_and_failing(part, field, offset, least)
                raised = [sum(value > limit if large else value < limit for value in group) for group in (good, fails)]
                found.append(Rate(name, limit, label, corpus, raised[0], len(good), raised[1], len(fails), _area(good, fails, large)))
    for corpus in corpora:
        part = [each for each in judged if each.offset == 0 and corpus in ("all", each.set.partition("_")[0])]
        groups = [[_any(each) for each in part if (each.si_snri >= least) is fine] for fine in (True, False)]
        sizes = [(sum(group), len(group)) for group in groups]
        found.append(Rate("any", math.nan, "in use", corpus, *sizes[0], *sizes[1], math.nan))
    return found


def report(values: Sequence[Values], least: float, alarms: float, path: Path | None) -> None:
    """Print limits and rates, and write them to a table."""
    from contrasep_lib.io.atomic import write_text

    found = rates(values, least, alarms)
    print("| signature | limit | where | good: raised | fails: raised | area under ROC |")
    print("| --- | --- | --- | ---: | ---: | ---: |")
    print(*(f"| {' | '.join(each.words)} |" for each in found), sep="\n")
    mixtures = len({(each.set, each.utterance) for each in values})
    print(f"\n{mixtures} mixtures of {', '.join(dict.fromkeys(each.set for each in values))}; good: at least {least:g} dB.")
    if path is not None:
        lines = ["\t".join([*(field.name for field in dataclasses.fields(Rate)), "precision", "recall"])]
        for each in found:
            alarm = each.good_raised + each.fails_raised
            shares = (each.fails_raised / alarm if alarm else math.nan, each.fails_raised / each.fails if each.fails else math.nan)
            words = (f"{value:.4g}" if isinstance(value, float) else str(value) for value in (*vars(each).values(), *shares))
            lines.append("\t".join(words))
        write_text(path, "\n".join(lines) + "\n")


def curve(good: Sequence[float], fails: Sequence[float], large: bool) -> tuple[list[float], list[float]]:
    """Shares of good and of failing partitions beyond a limit, for every limit: the ROC curve, from (0, 0) to (1, 1)."""
    import numpy as np

    sides = [np.sort(np.asarray(part)[~np.isnan(part)] * (-1 if large else 1)) for part in (good, fails)]
    limits = np.unique(np.concatenate(sides))
    low, high = ([0.0, *(np.searchsorted(side, limits, "right") / max(len(side), 1))] for side in sides)
    return low, high


def draw(values: Sequence[Values], least: float, path: Path) -> None:
    """The curve of each signature over all sets, and a dot at the limit in use."""
    from contrasep_lib.modularity.diagnostics import Thresholds
    from contrasep_lib.report.plots import TALKER_COLOURS, new_figure, save_figure

    judged, _ = halves(values)
    figure = new_figure(4.6, 4.6)
    axes = figure.add_subplot()
    for (name, field, large, offset), colour in zip(KINDS, TALKER_COLOURS):
        good, fails = good_and_failing(judged, field, offset, least)
        low, high = curve(good, fails, large)
        axes.step(low, high, where="post", color=colour, label=f"{name}, area {_area(good, fails, large):.2f}")
        limit = getattr(Thresholds(), field)
        beyond = [sum(value > limit if large else value < limit for value in part) / max(len(part), 1) for part in (good, fails)]
        axes.plot(*([share] for share in beyond), "o", color=colour)
    axes.plot([0, 1], [0, 1], ":", color="#888888", label="chance")
    axes.set(xlabel="good partitions, raised", ylabel="failing partitions, raised", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.legend(fontsize=8, loc="lower right")
    save_figure(figure, path)


def _any(values: Values) -> bool:
    """Whether one of the signatures is raised, with the limits in use."""
    from contrasep_lib.modularity.diagnostics import Thresholds

    limits = Thresholds()
    pairs = ((getattr(values, field), getattr(limits, field), large) for _, field, large, _ in KINDS)
    return any(value > limit if large else value < limit for value, limit, large in pairs)


def _limit(values: Sequence[float], large: bool, share: float) -> float:
    import numpy as np

    return float(np.nanquantile(values, 1 - share if large else share))


def _area(good: Sequence[float], fails: Sequence[float], large: bool) -> float:
    """Probability that a failure lies further on the side of alarms than a good one (Mann and Whitney 1947)."""
    import numpy as np
    from scipy.stats import rankdata

    low, high = (np.asarray(part)[~np.isnan(part)] for part in (good, fails))
    if not len(low) or not len(high):
        return math.nan
    ranks = rankdata(np.concatenate([low, high]) * (1 if large else -1))
    return float((ranks[len(low) :].sum() - len(high) * (len(high) + 1) / 2) / len(low) / len(high))


def main() -> None:
    """Measure and print; errors of the user in one line."""
    args = parse()
    try:
        values = measure(args)
        report(values, args.least, args.alarms, args.rates)
        if args.plot is not None:
            draw(values, args.least, args.plot)
    except ContrasepError as error:
        sys.exit(f"signatures.py: {error}")


if __name__ == "__main__":
    main()
