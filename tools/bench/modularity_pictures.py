#!/usr/bin/env python3
"""Draw the pictures of docs/concepts/counting.md on counting and diagnostics.

Writes ``counting_null.png`` and ``diagnostics.png`` to a folder. All data
are planted clouds on the unit sphere in 20 dimensions; nothing is read.
"""

from __future__ import annotations

import argparse
import pathlib

import matplotlib
import numpy as np
import torch

from contrasep_lib.counting.recursive import count_communities
from contrasep_lib.modularity.diagnostics import diagnose
from contrasep_lib.modularity.graphs import KernelGraph
from contrasep_lib.nodes.nodeset import NodeSet

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

DIM = 20


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def clouds(sizes, degrees, seed):
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(len(sizes)), sizes)
    means = unit(rng.standard_normal((len(sizes), DIM)))
    noise = rng.standard_normal((len(group), DIM)) * np.tan(np.deg2rad(degrees)) / np.sqrt(DIM)
    return unit(means[group] + noise), group


def node_set(z, valid=None):
    return NodeSet.from_embeddings(torch.from_numpy(z).float()[None], valid=valid)


def counting(path):
    """Q and split score against K, for one cloud and for two talkers of 90 and 10 %."""
    figure, axes = pyplot.subplots(2, 2, figsize=(9, 5.5), sharex=True)
    cases = {"one speaker": [1000], "two speakers, 90 and 10 %": [900, 100]}
    for column, (title, sizes) in enumerate(cases.items()):
        decision = count_communities(node_set(clouds(sizes, 60, 1)[0]), 5)[0]
        rows = decision.evidence
        k = [row.num_communities for row in rows]
        null, spread = np.array([(row.null_mean, row.null_spread) for row in rows]).T
        top, bottom = axes[0, column], axes[1, column]
        top.plot(k, [row.modularity for row in rows], "o-", label="Q of the mixture")
        top.plot(k, null, "s--", color="0.5", label="Q of one-speaker surrogates")
        top.fill_between(k, null - 2 * spread, null + 2 * spread, color="0.8", lw=0)
        top.set(title=f"{title}: counted {decision.count}")
        tested = [row for row in rows if not np.isnan(row.split_score)]
        bottom.plot(
            [row.num_communities for row in tested], [row.split_score for row in tested], "o-", color="C3",
            label="best cut through one of the K",
        )
        bottom.axhline(rows[0].threshold, color="0.4", ls=":", label="threshold")
        bottom.set(xlabel="communities K", xticks=k, ylim=(0, None))
    axes[0, 0].set_ylabel("modularity Q")
    axes[1, 0].set_ylabel("excess over the null [s.d.]")
    axes[0, 0].legend(fontsize=8)
    axes[1, 1].legend(fontsize=8)
    save(figure, path)


def diagnostics(path):
    """The measure behind each signature, over its threshold, for five partitions."""
    rng = np.random.default_rng(0)
    z, group = clouds([300, 200, 150], 35, 4)
    noise, _ = clouds([650], 88, 5)
    halves = group.copy()
    halves[:150] = 3
    cases = {
        "right partition": (z, group),
        "random labels": (z, rng.integers(0, 3, len(z))),
        "uniform embeddings": (noise, (noise[:, 0] > 0).astype(np.int64)),
        "one speaker in two": (z, halves),
        "two speakers in one": (z, np.minimum(group, 1)),
    }
    found = [diagnose(node_set(x), torch.from_numpy(y)[None], KernelGraph())[0] for x, y in cases.values()]
    figure, axes = pyplot.subplots(1, 4, figsize=(11, 2.8), sharey=True)
    for number, axis in enumerate(axes):
        some = [diagnosis.signatures[number] for diagnosis in found]
        colours = ["C3" if signature.raised else "C0" for signature in some]
        axis.barh(range(len(some)), [signature.value for signature in some], color=colours)
        axis.axvline(some[0].threshold, color="k", ls=":")
        axis.set_title(some[0].name, fontsize=10)
        axis.set_xlabel(some[0].measure, fontsize=8)
    axes[0].set_yticks(range(len(cases)), list(cases), fontsize=8)
    axes[0].invert_yaxis()
    save(figure, path)


def save(figure, path):
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=pathlib.Path, help="where the PNG files go")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    counting(folder / "counting_null.png")
    diagnostics(folder / "diagnostics.png")


if __name__ == "__main__":
    main()
