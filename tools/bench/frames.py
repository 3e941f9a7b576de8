#!/usr/bin/env python3
"""What the embeddings of a model tell about speakers, node by node, and what graphs and solvers make of it.

    tools/bench/frames.py --model exp/paper/finetune/model.pth --dump dump/dev_2mix [--projection] [--json FILE]

Of mixtures of dumped sets, the number of speakers given, over nodes (frames, or time-frequency units) that are not silent; a node
belongs to the source that dominates it:

    nearest neighbour   share of nodes whose nearest other node of the mixture has their speaker; nodes whose frames lie closer than
                        --apart frames are no neighbours (by default those that share samples)
    linear probe        logistic regression from embedding to speaker, cross-validated within the mixture: each of --folds
                        contiguous parts is predicted from the others
    k-means, graphs     share of nodes on the right side under the best permutation, and SI-SNR improvement of the binary masks, in
                        dB; of a graph also the share of pairs with an edge
    true dominance      SI-SNR improvement of the masks of the truth, which bounds the rows above

Means over mixtures, with 95 % intervals over speakers.
"""

from __future__ import annotations

import argparse
import json
import sys
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import torch  # noqa: E402

from contrasep_lib.bin.common import Parser, positive  # noqa: E402
from contrasep_lib.errors import ContrasepError  # noqa: E402

GRAPHS = (
    "kernel", "{name: threshold, tau: 0.5}", "{name: threshold, quantile: 0.9}", "{name: threshold, tau: 0.0, centre: true}",
    "{name: threshold, quantile: 0.9, centre: true}",
)
# of the mean squared weights of the linear probe, whose inputs have unit variance
RIDGE = 0.01
CHUNK = 256


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, nargs="+", required=True, metavar="FILE", help="model.pth")
    parser.add_argument("--dump", type=Path, nargs="+", required=True, metavar="DIR", help="dumped sets of mixtures")
    parser.add_argument("--mixtures", type=positive, default=30, metavar="N", help="of each set, the first ones (30)")
    parser.add_argument("--nodes", type=positive, default=2000, metavar="N", help="drawn for the first two measures (2000)")
    parser.add_argument("--apart", type=positive, metavar="N", help="frames between neighbours (default: win / hop)")
    parser.add_argument("--folds", type=positive, default=5, metavar="N", help="of the linear probe (5)")
    parser.add_argument("--graphs", nargs="+", default=GRAPHS, metavar="YAML", help="values of modularity.graph")
    parser.add_argument("--quality", default="modularity", metavar="YAML", help="value of modularity.quality (modularity)")
    parser.add_argument("--solver", default="spectral", metavar="YAML", help="value of modularity.solver (spectral)")
    parser.add_argument("--projection", action="store_true", help="read the outputs of the projection head, where there is one")
    parser.add_argument("--random", action="store_true", help="with the weights that a training begins with")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the means go too")
    return parser.parse_args(arguments)


# ------------------------------------------------------------------ measures


def nearest(z: torch.Tensor, labels: torch.Tensor, frames: torch.Tensor, apart: int) -> float:
    """Share of nodes whose nearest neighbour has their label; NaN where no node has any neighbour.

    Args:
        z: ``(nodes, dim)`` of unit norm.
        labels, frames: of each node.
        apart: nodes are neighbours from so many frames on.
    """
    right = counted = 0
    for rows in torch.arange(len(z)).split(CHUNK):
        cosine = z[rows] @ z.T
        cosine[(frames[rows].unsqueeze(1) - frames).abs() < apart] = -torch.inf
        best = cosine.max(1)
        some = best.values > -torch.inf
        right += int((labels[best.indices] == labels[rows])[some].sum())
        counted += int(some.sum())
    return right / counted if counted else float("nan")


def linear_probe(z: np.ndarray, labels: np.ndarray, places: np.ndarray, folds: int) -> float:
    """Share of nodes whose label logistic regression predicts, each fold from the others.

    Args:
        z: ``(nodes, dim)``.
        labels: ``(nodes,)`` integers from 0.
        places: ``(nodes,)``, by which folds are contiguous.
        folds: at least 2; fewer nodes than folds make fewer.
    """
    order = np.argsort(places, kind="stable")
    right = 0
    for part in np.array_split(order, min(folds, len(order))):
        rest = np.setdiff1d(order, part)
        if len(rest):
            right += int((_predicted(z[rest], labels[rest], z[part]) == labels[part]).sum())
    return right / len(order)


def _predicted(z: np.ndarray, labels: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Labels of other nodes by multinomial logistic regression."""
    from scipy.optimize import minimize

    mean, scale = z.mean(0), np.maximum(z.std(0), 1e-8)
    known, target = np.unique(labels, return_inverse=True)
    if len(known) == 1:
        return np.full(len(others), known[0])
    x, y = (np.hstack([(part - mean) / scale, np.ones((len(part), 1))]) for part in (z, others))
    hot = np.eye(len(known))[target]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(x.shape[1], -1)
        logits = x @ weights
        logits -= logits.max(1, keepdims=True)
        total = np.exp(logits).sum(1, keepdims=True)
        kept = np.vstack([weights[:-1], np.zeros_like(weights[:1])])
        slope = x.T @ (np.exp(logits) / total - hot) / len(x) + RIDGE * kept
        value = float((np.log(total[:, 0]) - (logits * hot).sum(1)).mean() + RIDGE / 2 * (kept**2).sum())
        return value, slope.ravel()

    fitted = minimize(loss, np.zeros(x.shape[1] * len(known)), jac=True, method="L-BFGS-B", options={"maxiter": 200})
    return known[(y @ fitted.x.reshape(x.shape[1], -1)).argmax(1)]


def accuracy(found: torch.Tensor, truth: torch.Tensor) -> float:
    """Share of nodes on the right side under the best one-to-one assignment of communities to speakers."""
    from contrasep_lib.modularity.diagnostics import contingency, matched_share

    return matched_share(contingency(found, truth, torch.ones(len(truth))))


# ------------------------------------------------------------------ mixtures


class Clustering:
    """Solver, quality and graphs by their configuration."""

    def __init__(self, args: argparse.Namespace) -> None:
        import yaml

        from contrasep_lib.config import build, create
        from contrasep_lib.modularity.options import ModularityOptions

        def part(**values: str) -> ModularityOptions:
            return build(ModularityOptions, {name: yaml.safe_load(value) for name, value in values.items()}, "modularity")

        self.quality = create(part(quality=args.quality).quality)
        self.solver = create(part(solver=args.solver).solver, num_communities=part().k_max)
        self.graphs = {text: create(part(graph=text).graph) for text in args.graphs}


class Analysed:
    """A mixture as a model sees it, with the truth.

    Args:
        model: that analyses it.
        mixture: ``(samples,)``.
        sources: ``(K, samples)``.

    Attributes:
        nodes: all of them, one mixture.
        index: ``(valid,)``, nodes that are not silent; ``z``, ``(valid, dim)``, and ``label``, ``(valid,)``, are theirs.
        truth: ``(1, nodes)``, the source that dominates each node.
        per_frame: nodes of a frame.
    """

    def __init__(self, model: Any, mixture: np.ndarray, sources: np.ndarray) -> None:
        self.model, self.mixture, self.sources = model, mixture, sources
        self.nodes, self.seen = model.analyse(torch.from_numpy(mixture)[None])
        self.truth = model.granularity.targets(torch.from_numpy(sources)[None])
        self.per_frame = self.nodes.z.shape[1] // self.nodes.shape[0]
        self.index = self.nodes.valid[0].nonzero().squeeze(1)
        self.z, self.label = self.nodes.z[0, self.index], self.truth[0, self.index]

    def gain(self, labels: torch.Tensor) -> float:
        """SI-SNR improvement of binary masks, dB, of labels ``(1, nodes)``."""
        from contrasep_lib.modularity.operator import one_hot
        from contrasep_lib.nodes.granularity import apply_mask
        from contrasep_lib.score.ratios import improvements

        granularity, spectrum = self.model.granularity, self.seen.spectrum
        hot = one_hot(labels.clamp_min(0), len(self.sources), self.nodes.z.dtype)
        mask = granularity.mask(hot, granularity.nodes_of(spectrum))
        outputs = apply_mask(mask, spectrum, len(self.mixture), self.model.features)[0]
        return float(improvements(outputs.double().numpy(), self.mixture, self.sources).mean())

    def drawn(self, most: int, seed: int) -> torch.Tensor:
        """Places among ``index`` of so many nodes at most, in order."""
        order = torch.randperm(len(self.index), generator=torch.Generator().manual_seed(seed))
        return order[:most].sort().values

    def known_by_neighbours(self, some: torch.Tensor, apart: int | None) -> float:
        """`nearest` of these places; neighbours share no samples unless ``apart`` says so."""
        features = self.model.features
        return nearest(self.z[some], self.label[some], self.index[some] // self.per_frame, apart or features.win // features.hop)

    def known_by_probe(self, some: torch.Tensor, folds: int) -> float:
        """`linear_probe` of these places."""
        frames = self.index[some] // self.per_frame
        return linear_probe(self.z[some].double().numpy(), self.label[some].numpy(), frames.numpy(), folds)

    def density(self, some: torch.Tensor, graph: Any) -> float:
        """Share of the pairs of these places with an edge."""
        from contrasep_lib.modularity.operator import GraphOperator

        part = GraphOperator(self.z[some], torch.ones(len(some)), graph).graph
        points = part.points(self.z[some])
        edges = part.affinity(points @ points.T).fill_diagonal_(0) > 0
        return float(edges.sum()) / max(len(some) * (len(some) - 1), 1)


def measures(model: Any, mixture: np.ndarray, sources: np.ndarray, seed: int, args: argparse.Namespace, by: Clustering) -> dict[str, float]:
    """All measures of one mixture; accuracies and shares in %, improvements in dB."""
    from contrasep_lib.modularity.graphs import KernelGraph
    from contrasep_lib.modularity.solvers.kmeans import KMeansSolver

    scene = Analysed(model, mixture, sources)
    some = scene.drawn(args.nodes, seed)
    values = {
        "largest speaker, %": 100 * float(scene.label.bincount().max()) / len(scene.label),
        "nearest neighbour, %": 100 * scene.known_by_neighbours(some, args.apart),
        "linear probe, %": 100 * scene.known_by_probe(some, args.folds),
        "true dominance, dB": scene.gain(scene.truth),
    }
    rows = {"k-means": (KMeansSolver(), KernelGraph()), **{text: (by.solver, graph) for text, graph in by.graphs.items()}}
    for name, (solver, graph) in rows.items():
        found = solver.solve(scene.nodes, len(sources), graph, seed, by.quality).labels
        values[f"{name}, %"] = 100 * accuracy(found[0, scene.index], scene.label)
        values[f"{name}, dB"] = scene.gain(found)
        if name in by.graphs and name != "kernel":
            values[f"{name}, pairs, %"] = 100 * scene.density(some, graph)
    return values


def rows_of(model: Any, args: argparse.Namespace, by: Clustering) -> Iterator[tuple[str, tuple[str, ...], dict[str, float]]]:
    """Set, speakers and measures of each mixture."""
    from contrasep_lib.io.dumpset import DumpSet

    for folder in args.dump:
        dump = DumpSet(folder)
        for key in dump.keys[: args.mixtures]:
            with torch.inference_mode():
                found = measures(model, dump.mixture(key), dump.sources(key), zlib.crc32(key.encode()), args, by)
            yield str(folder), dump.speakers[key], found


def model_at(path: Path, projection: bool, random: bool) -> Any:
    """The model of a file, with the vector for its nodes and the weights that are asked for."""
    import dataclasses

    from contrasep_lib.models.checkpoint import read_model
    from contrasep_lib.models.separation import SeparationModel

    content = read_model(path)
    options = content["model"]
    if projection and not options.projection:
        raise ContrasepError(f"{path}: --projection: expected a model with a projection head, got one without")
    options = dataclasses.replace(options, nodes="projection" if projection else options.nodes)
    torch.manual_seed(0)
    model = SeparationModel(options, content["features"])
    if not random:
        model.load_state_dict(content["state"])
    return model.eval()


def run(args: argparse.Namespace) -> None:
    """Entry point."""
    from contrasep_lib.io.atomic import write_text
    from contrasep_lib.score.intervals import speaker_interval

    by, written = Clustering(args), []
    for path in args.model:
        found = list(rows_of(model_at(path, args.projection, args.random), args, by))
        for folder in [*map(str, args.dump), *(["all"] if len(args.dump) > 1 else [])]:
            of = [(speakers, values) for name, speakers, values in found if folder in (name, "all")]
            if not of:
                raise ContrasepError(f"{folder}: expected mixtures, got none")
            table, speakers = np.array([list(values.values()) for _, values in of]), [names for names, _ in of]
            known = np.isfinite(table).all()
            intervals = speaker_interval(table, speakers) if known else [None] * table.shape[1]
            means = dict(zip(of[0][1], zip(table.mean(0).tolist(), intervals)))
            written.append({"model": str(path), "set": folder, "mixtures": len(of), "measures": means})
            print(*lines_of(str(path), folder, len(of), means), sep="\n", flush=True)
    if args.json:
        write_text(args.json, json.dumps(written, indent=1) + "\n")


def lines_of(path: str, folder: str, mixtures: int, means: dict[str, tuple[float, Any]]) -> Sequence[str]:
    """A table of one model on one set."""
    lines = [f"\n{path}, {folder}, {mixtures} mixtures\n", "| measure | mean | 95 % |", "| --- | ---: | ---: |"]
    for name, (mean, interval) in means.items():
        digits = 2 if name.endswith("dB") else 1
        limits = "" if interval is None else f"{interval[0]:.{digits}f} to {interval[1]:.{digits}f}"
        lines.append(f"| {name} | {mean:.{digits}f} | {limits} |")
    return lines


def main() -> None:
    """Print the tables; errors of the user in one line."""
    try:
        run(parse())
    except ContrasepError as error:
        sys.exit(f"frames.py: {error}")


if __name__ == "__main__":
    main()
