#!/usr/bin/env python3
"""Draws the two pictures of docs/concepts/modularity.md that explain the objective.

    tools/bench/objective_pictures.py --out docs/img
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import matplotlib
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from contrasep_lib.modularity.graphs import KernelGraph  # noqa: E402
from contrasep_lib.modularity.objective import modularity  # noqa: E402
from contrasep_lib.nodes.nodeset import NodeSet  # noqa: E402

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402


def three_talkers(per_talker: tuple[int, ...] = (60, 45, 30)) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy unit-norm clouds of three talkers, sorted by talker: embeddings and labels."""
    order = torch.Generator().manual_seed(0)
    labels = torch.arange(len(per_talker)).repeat_interleave(torch.tensor(per_talker))
    corners = torch.nn.functional.normalize(torch.eye(3) - 1 / 3, dim=-1)
    z = torch.nn.functional.pad(corners[labels], (0, 5))
    z = z + 0.25 * torch.randn(len(labels), 8, generator=order)
    return torch.nn.functional.normalize(z, dim=-1), labels


def draw_objective(path: Path) -> None:
    """A, what the null model expects, and their difference B, nodes sorted by talker."""
    z, labels = three_talkers()
    adjacency = KernelGraph().affinity(z @ z.T).fill_diagonal_(0)
    degree = adjacency.sum(1)
    null = torch.outer(degree, degree) / degree.sum()
    figure, axes = pyplot.subplots(1, 3, figsize=(11, 3.6))
    names = ("edges $A$", "expected by degree $dd'/2m$", "difference $B$")
    for axis, matrix, name in zip(axes, (adjacency, null, adjacency - null), names):
        image = axis.imshow(matrix, cmap="RdBu_r", vmin=-0.8, vmax=0.8)
        axis.set_title(name, fontsize=10)
        axis.set_xticks([])
        axis.set_yticks([])
    nodes = NodeSet.from_embeddings(z[None])
    right = torch.nn.functional.one_hot(labels).float()[None]
    merged = torch.nn.functional.one_hot(labels.clamp(max=1)).float()[None]
    values = [float(modularity(nodes, c, KernelGraph())) for c in (right, merged)]
    figure.colorbar(image, ax=axes, shrink=0.8)
    figure.suptitle(
        "Q is what the diagonal blocks of B hold: three talkers {:.3f}, two of them merged {:.3f}, "
        "all in one 0".format(*values),
        fontsize=10,
    )
    figure.savefig(path, dpi=80)
    pyplot.close(figure)


def draw_references(path: Path) -> None:
    """Two 4-cliques joined by one edge, and Q of split and whole under both denominators."""
    adjacency = torch.block_diag(torch.ones(4, 4), torch.ones(4, 4)).fill_diagonal_(0).double()
    adjacency[3, 4] = adjacency[4, 3] = 1
    degree, two_m = adjacency.sum(1), adjacency.sum()
    split = torch.eye(2).repeat_interleave(4, 0).double()

    def quality(assign: torch.Tensor, denominator: torch.Tensor) -> float:
        inside = torch.trace(assign.T @ adjacency @ assign)
        return float((inside - (assign.T @ degree).square().sum() / denominator) / denominator)

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.2))
    first = torch.tensor([[0.0, 1.0], [0.0, -1.0], [-1.0, 0.0], [1.0, 0.0]])
    second = first.flip(0) * torch.tensor([-1.0, 1.0]) + torch.tensor([3.5, 0.0])
    place = torch.cat([first, second])
    for one, two in torch.triu(adjacency).nonzero().tolist():
        left.plot(*zip(place[one].tolist(), place[two].tolist()), color="0.6", zorder=1)
    left.scatter(*place.T.tolist(), c=["tab:blue"] * 4 + ["tab:orange"] * 4, s=120, zorder=2)
    left.set_axis_off()
    left.set_aspect("equal")
    left.margins(0.1)
    whole = torch.ones(8, 1).double()
    for offset, (denominator, name) in enumerate(((two_m, "2m (right)"), (2 * two_m, "4m"))):
        values = [quality(split, denominator), quality(whole, denominator)]
        bars = right.bar([x + 0.38 * offset for x in (0, 1)], values, 0.36, label=f"denominator {name}")
        right.bar_label(bars, fmt="%.3f", fontsize=8)
    right.set_xticks([0.19, 1.19], ["two communities", "all in one"])
    right.set_ylabel("Q")
    right.set_ylim(0, 0.52)
    right.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    pyplot.close(figure)


def main() -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the PNG files go")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    draw_objective(args.out / "modularity_objective.png")
    draw_references(args.out / "modularity_references.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
