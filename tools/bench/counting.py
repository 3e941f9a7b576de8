#!/usr/bin/env python3
"""Counting of communities beside a von Mises-Fisher mixture with BIC, on planted clouds.

Each trial draws 1 to 5 groups (equally often) on the unit sphere in 20 dimensions, 1,000,
2,000 or 4,000 nodes, and sizes of at least 5 %; in a third of the trials with more than one
group the smallest has exactly 5 %. Group means point in random directions in every other
trial and form a simplex in the rest. The noise is swept: the angle between a node and the
mean of its group (its cosine is the mean one for vmf; about the median angle for heavy).

    vmf       von Mises-Fisher clouds, what the reference assumes
    heavy     mean plus multivariate t noise with 3 degrees of freedom, projected to the sphere
    outliers  vmf, with 10 % of the nodes uniform on the sphere

The reference is fitted by EM with a concentration for each component, 10 short runs from
k-means++ of which the best three go on; BIC chooses among 1 to 6 components. On outliers a
second reference has a uniform component beside, which plain mixtures lack. Counting
considers 1 to 6 as well and is given nothing else.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import math
import pathlib
from typing import Annotated

import numpy as np
import torch
from scipy.special import gammaln, ive

from contrasep_lib.bin.common import Parser, positive, within
from contrasep_lib.config.bounds import Jobs, Range, Seed
from contrasep_lib.counting.recursive import count_communities
from contrasep_lib.nodes.nodeset import NodeSet

DIM, K_MAX, MAX_GROUPS, LEAST = 20, 6, 5, 0.05
KINDS = ("vmf", "heavy", "outliers")
MAX_KAPPA = 1e5


def concentration(resultant, dim=DIM):
    """Maximum-likelihood kappa, by Banerjee et al. (2005) and Newton steps of Sra (2012)."""
    r = np.clip(np.asarray(resultant, dtype=np.float64), 1e-6, 1 - 1e-9)
    kappa = np.clip(r * (dim - r * r) / (1 - r * r), 1e-3, MAX_KAPPA)
    for _ in range(3):
        ratio = ive(dim / 2, kappa) / ive(dim / 2 - 1, kappa)
        slope = np.maximum(1 - ratio**2 - (dim - 1) / kappa * ratio, 1e-12)
        kappa = np.clip(kappa - (ratio - r) / slope, 1e-3, MAX_KAPPA)
    return kappa


def log_normaliser(kappa, dim=DIM):
    half = dim / 2 - 1
    return half * np.log(kappa) - dim / 2 * math.log(2 * math.pi) - np.log(ive(half, kappa)) - kappa


def expectation(z, centroids, kappa, sizes, background):
    logits = (kappa[:, None] * centroids).astype(np.float32) @ z.T
    logits += (log_normaliser(kappa) + np.log(sizes[: len(kappa)])).astype(np.float32)[:, None]
    if background:
        area = math.log(2) + DIM / 2 * math.log(math.pi) - gammaln(DIM / 2)
        uniform = np.full((1, len(z)), np.log(sizes[-1]) - area, dtype=np.float32)
        logits = np.concatenate([logits, uniform])
    top = logits.max(0)
    raised = np.exp(logits - top)
    total = raised.sum(0)
    return raised / total, float((top + np.log(total)).sum(dtype=np.float64))


def em(z, soft, k, iterations, background):
    """EM from soft assignments: log-likelihood and the assignments reached."""
    previous = -np.inf
    for _ in range(iterations):
        mass = soft.sum(1, dtype=np.float64)
        sums = (soft[:k] @ z).astype(np.float64)
        length = np.linalg.norm(sums, axis=1)
        kappa = concentration(length / np.maximum(mass[:k], 1e-9))
        sizes = np.maximum(mass / len(z), 1e-12)
        soft, value = expectation(z, sums / np.maximum(length, 1e-12)[:, None], kappa, sizes, background)
        if value - previous < 1e-7 * abs(value) + 1e-2:
            break
        previous = value
    return value, soft


def vmf_bic(z, rng, background=False):
    """Number of components in 1..K_MAX with the least BIC."""
    z = z.astype(np.float32)
    scores = []
    for k in range(1, K_MAX + 1):
        runs = []
        for _ in range(1 if k == 1 else 10):
            chosen = [z[rng.integers(len(z))]]
            for _ in range(k - 1):
                gap = np.maximum(1 - (np.array(chosen) @ z.T).max(0), 0).astype(np.float64) + 1e-9
                chosen.append(z[rng.choice(len(z), p=gap / gap.sum())])
            start = np.eye(k, dtype=np.float32)[:, (np.array(chosen) @ z.T).argmax(0)]
            if background:
                start = np.concatenate([0.95 * start, np.full((1, len(z)), 0.05, dtype=np.float32)])
            runs.append(em(z, start, k, 6, background))
        runs.sort(key=lambda run: -run[0])
        best = max(em(z, soft, k, 200, background)[0] for _, soft in runs[:3])
        scores.append(-2 * best + (k * DIM + k - 1 + background) * math.log(len(z)))
        if k > 2 and scores[-1] > scores[-2] > scores[-3]:
            break
    return int(np.argmin(scores)) + 1


def cloud(mean, count, degrees, kind, rng):
    """``(count, DIM)`` nodes about a mean direction."""
    if degrees == 0:
        return np.tile(mean, (count, 1))
    gauss = rng.standard_normal((count, DIM))
    if kind == "heavy":
        scale = math.tan(math.radians(degrees)) / math.sqrt(DIM - 1)
        z = mean + scale * gauss * np.sqrt(3 / rng.chisquare(3, count))[:, None]
        return z / np.linalg.norm(z, axis=1, keepdims=True)
    kappa = float(concentration(math.cos(math.radians(degrees))))
    cosine = 1 - 2 * np.linspace(1, 0, 20001) ** 3
    log_density = kappa * (cosine - 1) + (DIM - 3) / 2 * np.log(np.maximum(1 - cosine**2, 1e-300))
    density = np.exp(log_density - log_density.max())
    mass = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) * np.diff(cosine))])
    x = np.interp(rng.random(count), mass / mass[-1], cosine)[:, None]
    bearing = gauss - (gauss @ mean)[:, None] * mean
    bearing /= np.linalg.norm(bearing, axis=1, keepdims=True)
    return x * mean + np.sqrt(np.maximum(1 - x**2, 0)) * bearing


def planted(groups, nodes, degrees, kind, simplex, rng):
    """Nodes ``(nodes, DIM)`` of planted groups."""
    if simplex and groups > 1:
        corners = np.eye(groups) - 1 / groups
        basis = np.linalg.qr(rng.standard_normal((DIM, DIM)))[0][:groups]
        means = corners / np.linalg.norm(corners, axis=1, keepdims=True) @ basis
    else:
        means = rng.standard_normal((groups, DIM))
        means /= np.linalg.norm(means, axis=1, keepdims=True)
    stray = nodes // 10 if kind == "outliers" else 0
    share = LEAST + (1 - groups * LEAST) * rng.dirichlet(np.ones(groups))
    if groups > 1 and rng.random() < 1 / 3:
        rest = np.delete(np.arange(groups), share.argmin())
        share = np.full(groups, LEAST)
        share[rest] += (1 - groups * LEAST) * rng.dirichlet(np.ones(groups - 1))
    count = np.floor(share * (nodes - stray) + 0.5).astype(int)
    count[count.argmax()] += nodes - stray - count.sum()
    parts = [cloud(means[g], count[g], degrees, kind, rng) for g in range(groups)]
    outliers = rng.standard_normal((stray, DIM))
    parts.append(outliers / np.linalg.norm(outliers, axis=1, keepdims=True))
    return np.concatenate(parts)


def trial(job):
    """Counts of one trial: planted groups, ours, the references'."""
    kind, degrees, number, seed = job
    torch.set_num_threads(1)
    rng = np.random.default_rng([seed, KINDS.index(kind), int(10 * degrees), number])
    groups, simplex = 1 + number % MAX_GROUPS, bool(number // MAX_GROUPS % 2)
    nodes = int(rng.choice([1000, 2000, 4000]))
    z = planted(groups, nodes, degrees, kind, simplex, rng)
    nodes_set = NodeSet.from_embeddings(torch.from_numpy(z).float()[None])
    found = count_communities(nodes_set, K_MAX, with_evidence=False)
    out = {"kind": kind, "degrees": degrees, "groups": groups, "simplex": simplex, "nodes": nodes}
    out.update(ours=found[0].count, vmf_bic=vmf_bic(z, rng))
    if kind == "outliers":
        out["vmf_bic_uniform"] = vmf_bic(z, rng, background=True)
    return out


def wilson(right, count):
    """95 % interval of a share (Wilson 1927)."""
    share, z = right / count, 1.96
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count**2))
    return round(max(centre - half, 0), 4), round(min(centre + half, 1), 4)


def summarise(trials):
    """One row per kind, noise and method."""
    rows = []
    for kind in KINDS:
        for degrees in sorted({t["degrees"] for t in trials if t["kind"] == kind}):
            some = [t for t in trials if t["kind"] == kind and t["degrees"] == degrees]
            for method in ("ours", "vmf_bic", "vmf_bic_uniform"):
                if method not in some[0]:
                    continue
                right = sum(t[method] == t["groups"] for t in some)
                single = [t for t in some if t["groups"] == 1]
                by_means = {
                    name: [t[method] == t["groups"] for t in some if t["simplex"] == simplex]
                    for name, simplex in (("random", False), ("simplex", True))
                }
                rows.append(
                    {
                        "kind": kind,
                        "degrees": degrees,
                        "method": method,
                        "trials": len(some),
                        "right": round(right / len(some), 4),
                        "interval": wilson(right, len(some)),
                        **{f"right_{name}": round(float(np.mean(v)), 4) for name, v in by_means.items() if v},
                        "too_many": round(sum(t[method] > t["groups"] for t in some) / len(some), 4),
                        "too_few": round(sum(t[method] < t["groups"] for t in some) / len(some), 4),
                        "false_splits_of_one": [sum(t[method] > 1 for t in single), len(single)],
                    }
                )
    return rows


def plot(rows, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    style = {
        "ours": ("counting by excess over the null", "C0", "-"),
        "vmf_bic": ("von Mises-Fisher mixture, BIC", "C1", "--"),
        "vmf_bic_uniform": ("the same with a uniform component", "C2", ":"),
    }
    figure, axes = pyplot.subplots(1, len(KINDS), figsize=(11, 3.4), sharey=True)
    for axis, kind in zip(axes, KINDS):
        for method, (label, colour, line) in style.items():
            some = [row for row in rows if row["kind"] == kind and row["method"] == method]
            if not some:
                continue
            x = [row["degrees"] for row in some]
            axis.plot(x, [100 * row["right"] for row in some], line, color=colour, label=label, marker=".")
            low, high = zip(*(row["interval"] for row in some))
            axis.fill_between(x, 100 * np.array(low), 100 * np.array(high), color=colour, alpha=0.15, lw=0)
        axis.axhline(99, color="0.6", lw=0.8)
        axis.set(title=kind, xlabel="angle of a node to its group's mean [degrees]", ylim=(0, 102))
    axes[0].set_ylabel("right counts [%]")
    axes[-1].legend(fontsize=7, loc="lower left")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main():
    parser = Parser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=positive, default=200, help="trials of each kind at each noise")
    parser.add_argument("--degrees", type=within(Annotated[float, Range(0, 90)]), nargs="+", default=[0, 20, 40, 50, 56, 60, 64, 70])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--seed", type=within(Seed), default=0)
    parser.add_argument("--nj", type=within(Jobs), default=1, help="parallel processes")
    parser.add_argument("--cache", help="JSON lines of single trials; those in it are not run again")
    parser.add_argument("--json", help="write the table of all trials, those of the cache too, here")
    parser.add_argument("--plot", help="write the curves here (PNG)")
    args = parser.parse_args()
    if args.trials < 1 or args.nj < 1:
        parser.error("--trials and --nj: expected at least 1")
    trials = {}
    if args.cache and pathlib.Path(args.cache).exists():
        for line in pathlib.Path(args.cache).read_text().splitlines():
            job, result = json.loads(line)
            trials[tuple(job)] = result
    with concurrent.futures.ProcessPoolExecutor(args.nj) as pool:
        for degrees in args.degrees:
            for kind in args.kinds:
                jobs = [(kind, degrees, number, args.seed) for number in range(args.trials)]
                jobs = [job for job in jobs if job not in trials]
                for job, result in zip(jobs, pool.map(trial, jobs, chunksize=2)):
                    trials[job] = result
                    if args.cache:
                        with open(args.cache, "a") as file:
                            file.write(json.dumps([job, result]) + "\n")
                here = [t for t in trials.values() if (t["kind"], t["degrees"]) == (kind, degrees)]
                for row in summarise(here):
                    low, high = row["interval"]
                    print(
                        f"{kind:9s} {degrees:5.1f} deg  {row['method']:16s} {100 * row['right']:6.2f} % of "
                        f"{row['trials']} ({100 * low:.1f} to {100 * high:.1f}), one talker split in "
                        f"{row['false_splits_of_one'][0]} of {row['false_splits_of_one'][1]}",
                        flush=True,
                    )
    rows = summarise(list(trials.values()))
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"dim": DIM, "k_max": K_MAX, "seed": args.seed, "rows": rows}, file, indent=1)
            file.write("\n")
    if args.plot:
        plot(rows, args.plot)


if __name__ == "__main__":
    main()
