"""How well a few mixtures of validation are separated, and what their embeddings look like."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from contrasep_lib.decode.attractor import centroids_of
from contrasep_lib.io.atomic import atomic_path
from contrasep_lib.modularity.graphs import KernelGraph
from contrasep_lib.modularity.solvers.kmeans import KMeansSolver
from contrasep_lib.nodes.granularity import apply_mask
from contrasep_lib.nodes.nodeset import NodeSet
from contrasep_lib.objectives.ranks import distributed
from contrasep_lib.report.plots import TALKER_COLOURS
from contrasep_lib.score.ratios import improvements

SEARCHED = 5
DRAWN_POINTS, DRAWN_SIMILARITIES = 2000, 400


class Probe:
    """Separates a few mixtures with k-means on the embeddings, the count given.

    Quick, and the same in every epoch: it shows whether training leads anywhere, where stage 5
    counts, maximises modularity and scores whole test sets.

    Args:
        items: see `contrasep_lib.train.data`; single-speaker ones are left out.
        count: mixtures at most, the first ones within `SEARCHED` times as many items.
    """

    def __init__(self, items: Iterable[dict[str, Any]], count: int) -> None:
        self.items: list[dict[str, Any]] = []
        for item in itertools.islice(items, SEARCHED * count):
            if len(item["sources"]) > 1 and len(self.items) < count:
                self.items.append(item)
        self.solver, self.graph = KMeansSolver(restarts=2, iterations=50), KernelGraph()

    def share(self, rank: int, world: int) -> None:
        """Leave the other training processes their mixtures; `si_snri` is the mean over all."""
        self.items = self.items[rank::world]

    @torch.no_grad()
    def si_snri(self, model: Any) -> float | None:
        """Mean SI-SNR improvement in dB over talkers and mixtures; None without mixtures.

        Args:
            model: `contrasep_lib.models.separation.SeparationModel` in evaluation mode.
        """
        gains: list[float] = []
        for item in self.items:
            outputs, sources = self.outputs(model, item), item["sources"]
            if outputs is None:
                continue
            gains += improvements(outputs, item["mixture"], sources).tolist()
        if distributed():
            # one value for all, by which all decide alike
            total = torch.tensor([sum(gains), len(gains)], dtype=torch.float64, device=next(model.parameters()).device)
            torch.distributed.all_reduce(total)
            return float(total[0] / total[1]) if total[1] else None
        return float(np.mean(gains)) if gains else None

    def outputs(self, model: Any, item: dict[str, Any]) -> np.ndarray | None:
        """The talkers of a mixture, ``(num_spk, samples)``; None where there is nothing but silence."""
        signal, nodes, seen = self._analyse(model, item)
        if not nodes.valid.any():
            return None
        assign = self.solver.solve(nodes, len(item["sources"]), self.graph).assign
        if model.decoder is not None:
            centroids = centroids_of(nodes.z, assign, nodes.weight * nodes.valid)
            return model.decode(seen, centroids, signal.shape[-1])[0].cpu().numpy()
        mask = model.granularity.mask(assign, model.granularity.nodes_of(seen.spectrum))
        return apply_mask(mask, seen.spectrum, signal.shape[-1], model.features)[0].cpu().numpy()

    @torch.no_grad()
    def draw(self, model: Any, path: Path, title: str) -> None:
        """Draw the first mixture: nodes on their two main axes, and the graph between them.

        Nodes are drawn at random with their weights, coloured and sorted by the talker that
        dominates them. Nothing is drawn without mixtures.
        """
        if not self.items:
            return
        signal, nodes, _ = self._analyse(model, self.items[0])
        sources = torch.from_numpy(self.items[0]["sources"])[None].to(signal.device)
        talker = model.granularity.targets(sources)[0]
        valid = nodes.valid[0].nonzero().squeeze(1).cpu().numpy()
        if len(valid) == 0:
            return
        chance = nodes.weight[0].double().cpu().numpy()[valid]
        possible = int((chance > 0).sum())
        chosen = np.random.default_rng(0).choice(
            valid, min(DRAWN_POINTS, possible), replace=False, p=chance / chance.sum()
        )
        z, talker = nodes.z[0].float().cpu().numpy()[chosen], talker.cpu().numpy()[chosen]
        _draw(path, title, z, talker, len(self.items[0]["sources"]))

    @staticmethod
    def _analyse(model: Any, item: dict[str, Any]) -> tuple[torch.Tensor, NodeSet, Any]:
        device = next(model.parameters()).device
        signal = torch.from_numpy(item["mixture"])[None].to(device)
        return signal, *model.analyse(signal)


def _draw(path: Path, title: str, z: np.ndarray, talker: np.ndarray, num_spk: int) -> None:
    """Scatter plot and similarities of ``z (nodes, dim)`` with the talker of each node."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    centred = z - z.mean(axis=0)
    _, singular, axes = np.linalg.svd(centred, full_matrices=False)
    share = singular**2 / max(float((singular**2).sum()), 1e-12)
    places = centred @ axes[:2].T
    figure = Figure(figsize=(9.5, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for number in range(num_spk):
        mine = talker == number
        colour = TALKER_COLOURS[number % len(TALKER_COLOURS)]
        left.scatter(*places[mine].T, s=4, alpha=0.5, color=colour, label=f"talker {number + 1}")
    left.set_xlabel(f"first axis ({share[0]:.0%} of the variance)")
    left.set_ylabel(f"second axis ({share[1]:.0%})")
    left.legend(markerscale=3)
    some = np.argsort(talker[:DRAWN_SIMILARITIES], kind="stable")
    image = right.imshow(z[some] @ z[some].T, vmin=-1, vmax=1, cmap="cividis", interpolation="nearest")
    figure.colorbar(image, ax=right, label="cosine")
    for edge in np.cumsum(np.bincount(talker[some], minlength=num_spk))[:-1]:
        right.axhline(edge - 0.5, color="white", linewidth=0.8)
        right.axvline(edge - 0.5, color="white", linewidth=0.8)
    right.set_xlabel("nodes, sorted by talker")
    figure.suptitle(title)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=90)
