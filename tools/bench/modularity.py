#!/usr/bin/env python3
"""Seconds and peak memory of the modularity engine, beside a dense public implementation.

    tools/bench/modularity.py --nodes 1000 10000 100000 --graph kernel --json kernel.json
    tools/bench/modularity.py --nodes 8192 --graph threshold --compare pyg --json compare.json
    tools/bench/modularity.py --nodes 1000 10000 100000 --graph kernel --quality normalised --json normalised.json
    tools/bench/modularity.py --plot docs/img/modularity_growth.png --json kernel.json threshold.json

Each figure comes from a child process of its own. Memory is the peak of the resident set
above its size once everything is imported and the inputs exist. Loss and gradient go from
unit-norm embeddings (dimension 20) through a linear layer and a softmax over 5 communities
to the gradient of layer and embeddings; the same for the dense implementation, which builds
the same graph as a matrix first.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

from contrasep_lib.bin.common import Parser, positive, within
from contrasep_lib.config.bounds import Jobs, Nodes

ROOT = Path(__file__).resolve().parents[2]
DIM, COMMUNITIES, TAU, POWER = 20, 5, 0.5, 2
QUALITIES = ("modularity", "normalised")
SOLVERS = ("kmeans", "spectral", "direct", "network")
PYG_INSTALL = "torch_geometric is not installed: pip install torch_geometric"
DENSE_MATRICES = 9
CHILD_SECONDS = 3000


def resident(field: str) -> int:
    """Bytes that /proc/self/status gives for VmRSS or VmHWM."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}; the benchmark needs Linux")


def reset_peak() -> int:
    """Forget the peak so far, where the kernel lets us, and return the peak to start from."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass
    return resident("VmHWM")


def build_graph(kind: str):
    """The graph that ``--graph`` names."""
    from contrasep_lib.modularity.graphs import KernelGraph, ThresholdGraph

    return KernelGraph(POWER) if kind == "kernel" else ThresholdGraph(TAU)


def build_quality(name: str):
    """The quality that ``--quality`` names."""
    from contrasep_lib.modularity.quality import Modularity, NormalisedModularity

    return Modularity() if name == "modularity" else NormalisedModularity()


def embeddings(count: int):
    """Noisy clouds of five talkers on the sphere, ``(1, nodes, dim)``."""
    import torch

    order = torch.Generator().manual_seed(0)
    centres = torch.nn.functional.normalize(torch.eye(DIM)[:COMMUNITIES] - 1 / COMMUNITIES, dim=-1)
    labels = torch.randint(COMMUNITIES, (count,), generator=order)
    z = torch.randn(count, DIM, generator=order).mul_(0.15).add_(centres[labels])
    return torch.nn.functional.normalize(z, dim=-1).unsqueeze(0)


def prepare(task: str, kind: str, count: int, quality_name: str):
    """A function to time; inputs exist when it is returned."""
    import torch

    from contrasep_lib.modularity.objective import modularity_loss
    from contrasep_lib.modularity.solvers.direct import DirectSolver
    from contrasep_lib.modularity.solvers.kmeans import KMeansSolver
    from contrasep_lib.modularity.solvers.network import NetworkSolver
    from contrasep_lib.modularity.solvers.spectral import SpectralSolver
    from contrasep_lib.nodes.nodeset import NodeSet

    torch.manual_seed(0)
    graph, quality, z = build_graph(kind), build_quality(quality_name), embeddings(count)
    if task in SOLVERS:
        solver = {
            "kmeans": KMeansSolver,
            "spectral": SpectralSolver,
            "direct": DirectSolver,
            "network": NetworkSolver,
        }[task]()
        nodes = NodeSet.from_embeddings(z)
        return lambda: float(solver.solve(nodes, COMMUNITIES, graph, seed=0, quality=quality).quality)
    z.requires_grad_()
    if task == "loss":
        layer = torch.nn.Linear(DIM, COMMUNITIES)
        nodes = NodeSet.from_embeddings(z)

        def ours() -> float:
            z.grad = None
            loss = modularity_loss(nodes, layer(z).softmax(-1), graph, 0.1, quality).sum()
            loss.backward()
            return float(loss)

        return ours
    from torch_geometric.nn import DMoNPooling

    pool = DMoNPooling([DIM], COMMUNITIES)
    if kind == "kernel":
        edges = lambda s: ((1 + s) / 2) ** POWER  # noqa: E731
    else:
        edges = lambda s: torch.nn.functional.threshold(s, TAU, 0.0)  # noqa: E731

    def dense() -> float:
        z.grad = None
        adjacency = edges(z @ z.transpose(1, 2)) * (1 - torch.eye(count))
        *_, spectral, _, cluster = pool(z, adjacency)
        loss = spectral + 0.1 * cluster
        loss.backward()
        return float(loss)

    return dense


def child(spec: dict) -> None:
    """Measure one task and print its figures as JSON."""
    sys.path.insert(0, str(ROOT))
    import torch

    torch.set_num_threads(spec["threads"])
    run = prepare(spec["task"], spec["graph"], spec["nodes"], spec["quality"])
    before = reset_peak()
    start = time.perf_counter()
    value = run()
    seconds = [time.perf_counter() - start]
    # The first run pays for warming up; it is kept only where it is long.
    if seconds[0] < 20 and spec["task"] not in SOLVERS:
        seconds = []
        while len(seconds) < spec["repeat"] or (sum(seconds) < 0.3 and len(seconds) < 50):
            start = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - start)
    peak = resident("VmHWM") - before
    print(json.dumps({"seconds": min(seconds), "peak_mib": peak / 2**20, "value": value}))


def measure(task: str, kind: str, quality: str, count: int, threads: int, repeat: int) -> dict:
    """Run one task in a child process; ``error`` in the result tells why there is no figure."""
    spec = {"task": task, "graph": kind, "quality": quality, "nodes": count, "threads": threads, "repeat": repeat}
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    try:
        done = subprocess.run(
            [sys.executable, __file__, "--child", json.dumps(spec)],
            capture_output=True,
            text=True,
            timeout=CHILD_SECONDS,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        return {**spec, "error": f"took more than {CHILD_SECONDS} s"}
    if done.returncode:
        return {**spec, "error": (done.stderr.strip().splitlines() or ["killed"])[-1][:200]}
    return {**spec, **json.loads(done.stdout.splitlines()[-1])}


def series(row: dict) -> tuple[str, str, str]:
    """Task, graph and quality of a row; rows of earlier versions are of modularity."""
    return row["task"], row["graph"], row.get("quality", "modularity")


def growth_exponent(rows: list[dict], of: tuple[str, str, str], least: int) -> float | None:
    """Slope of log seconds over log nodes by least squares, from ``least`` nodes on."""
    points = [
        (math.log(r["nodes"]), math.log(r["seconds"]))
        for r in rows
        if series(r) == of and r["nodes"] >= least and "error" not in r
    ]
    if len({x for x, _ in points}) < 2:
        return None
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)


def plot(rows: list[dict], path: Path) -> None:
    """Seconds and peak memory over nodes, one line per task and graph."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2))
    for of in sorted({series(r) for r in rows}):
        task, kind, quality = of
        mine = sorted(
            (r for r in rows if series(r) == of and "error" not in r),
            key=lambda r: r["nodes"],
        )
        if not mine:
            continue
        slope = growth_exponent(rows, of, 10000)
        name = {"loss": "loss and gradient", "pyg": "dense DMoNPooling"}.get(task, f"{task} solver")
        label = f"{kind}, {quality}: {name}" + ("" if slope is None else f" (exponent {slope:.2f})")
        marks = {"kernel": {"modularity": "o-", "normalised": "^-"}, "threshold": {"modularity": "s--", "normalised": "v--"}}
        style = marks[kind][quality] + f"C{('loss', 'pyg', *SOLVERS).index(task)}"
        for axis, key in zip(axes, ("seconds", "peak_mib")):
            values = [max(r[key], 1e-3) for r in mine]
            axis.loglog([r["nodes"] for r in mine], values, style, label=label, ms=4)
    for axis, name in zip(axes, ("seconds", "peak memory above inputs (MiB)")):
        axis.set_xlabel("nodes")
        axis.set_ylabel(name)
        axis.grid(alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="lower center", ncols=2, fontsize=7)
    figure.tight_layout(rect=(0, 0.24, 1, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; exits with a message where it makes no sense."""
    parser = Parser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--nodes", type=within(Nodes), nargs="+", metavar="N", help="node counts to measure")
    parser.add_argument("--graph", choices=("threshold", "kernel"), help="graph to measure")
    parser.add_argument(
        "--quality", choices=QUALITIES, nargs="+", default=list(QUALITIES), help="what loss and solvers maximise"
    )
    parser.add_argument("--compare", choices=("pyg",), help="also time this dense implementation")
    parser.add_argument(
        "--solvers", nargs="*", choices=SOLVERS, default=list(SOLVERS), help="solvers to time"
    )
    parser.add_argument("--threads", type=within(Jobs), default=os.cpu_count(), help="threads of each child")
    parser.add_argument("--repeat", type=positive, default=3, help="timed runs of a loss; the best counts")
    parser.add_argument("--json", type=Path, nargs="+", metavar="FILE", help="figures to write, or to plot")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="plot the figures of all --json files")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.child is None and args.plot is None and not (args.nodes and args.graph):
        parser.error("--nodes and --graph are needed, or --plot with figures from --json")
    if args.nodes and min(args.nodes) < 1:
        parser.error(f"--nodes: expected at least 1, got {min(args.nodes)}")
    if args.nodes and args.json and len(args.json) > 1:
        parser.error("--json: expected one file when measuring")
    if args.plot and not args.json:
        parser.error("--plot: expected figures from --json FILE...")
    return args


def available_memory() -> int:
    """Bytes of memory that can be had now."""
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def run_all(args: argparse.Namespace) -> None:
    """Measure everything asked for, printing and storing each figure as it comes."""
    rows: list[dict] = []
    for count in args.nodes:
        tasks = [(task, quality) for quality in args.quality for task in ("loss", *args.solvers)]
        if args.compare and DENSE_MATRICES * 4 * count**2 < available_memory():
            tasks.insert(1, ("pyg", "modularity"))
        elif args.compare:
            print(f"{args.graph} {count}: the dense implementation does not fit", flush=True)
        for task, quality in tasks:
            row = measure(task, args.graph, quality, count, args.threads, args.repeat)
            rows.append(row)
            if args.json:
                args.json[0].write_text(json.dumps(rows, indent=1) + "\n")
            figures = row.get("error") or f"{row['seconds']:10.4f} s {row['peak_mib']:9.1f} MiB"
            print(f"{args.graph:9} {quality:10} {count:8d} {task:8} {figures}", flush=True)
        both = {
            r["task"]: r for r in rows
            if r["nodes"] == count and r["quality"] == "modularity" and "error" not in r
        }
        if {"pyg", "loss"} <= set(both):
            ours, dense = both["loss"], both["pyg"]
            slower = dense["seconds"] / ours["seconds"]
            larger = dense["peak_mib"] / max(ours["peak_mib"], 1e-3)
            print(
                f"{args.graph:9} {count:8d} dense / ours: {slower:.1f} times the time, "
                f"{larger:.0f} times the memory",
                flush=True,
            )
    for of in dict.fromkeys(map(series, rows)):
        slope = growth_exponent(rows, of, 10000)
        if slope is not None:
            print(f"{args.graph:9} {of[2]:10} {of[0]}: growth exponent {slope:.2f} from 1e4 nodes on")


def main() -> int:
    """Entry point; returns the exit status."""
    args = parse()
    if args.child is not None:
        child(json.loads(args.child))
        return 0
    if args.compare == "pyg" and importlib.util.find_spec("torch_geometric") is None:
        print(PYG_INSTALL, file=sys.stderr)
        return 2
    if args.nodes:
        if args.json:
            args.json[0].parent.mkdir(parents=True, exist_ok=True)
        run_all(args)
    if args.plot:
        plot([row for path in args.json for row in json.loads(path.read_text())], args.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
