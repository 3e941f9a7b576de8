#!/usr/bin/env python3
"""What choices after the embedding give binary masks over frames: accuracy, SI-SNR improvement, paired differences.

    tools/bench/frame_choices.py --model exp/NAME/model.pth --dump dump/dev_2mix [..] \
        --rows 'plain={}' 'magnitude={weight: magnitude}' 'context={context: 2}' [--json FILE]

The number of speakers is given. Each row changes one mapping of choices; the first is what the others are compared with, mixture by
mixture, with intervals over speakers as `contrasep compare` has them:

    weight      of nodes, uniform (the default) or magnitude
    context     embeddings are averaged over so many frames to each side, without silent ones (0)
    silence_db  a frame is silent so far under the loudest (the model's)
    graph, quality, solver   values of these keys of the section modularity (kernel, normalised, kmeans)
    mask        hard (each frame to one output), soft, posterior: values of separate.mask (hard)
    temperature separate.temperature, of posterior (0.1)

Accuracy is over frames that are not silent, under the best permutation; accuracy by magnitude weighs them by theirs.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import zlib
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np  # noqa: E402
import torch  # noqa: E402
import yaml  # noqa: E402
from frames import model_at  # noqa: E402

from contrasep_lib.bin.common import positive  # noqa: E402
from contrasep_lib.errors import ContrasepError  # noqa: E402

CHOICES = {
    "weight": "uniform", "context": 0, "silence_db": None, "graph": "kernel", "quality": "normalised", "solver": "kmeans",
    "mask": "hard", "temperature": 0.1,
}  # fmt: skip
COLUMNS = ("accuracy, %", "by magnitude, %", "SI-SNRi, dB")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, metavar="FILE", help="model.pth")
    parser.add_argument("--dump", type=Path, nargs="+", required=True, metavar="DIR", help="dumped sets of mixtures")
    parser.add_argument("--mixtures", type=positive, default=100, metavar="N", help="of each set, the first ones (100)")
    parser.add_argument("--rows", nargs="+", required=True, metavar="NAME=YAML", help="choices of each row")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the values of every mixture go")
    return parser.parse_args(arguments)


class Row:
    """Choices of one row, ready to use."""

    def __init__(self, text: str) -> None:
        from contrasep_lib.config import build, create
        from contrasep_lib.modularity.options import ModularityOptions
        from contrasep_lib.separate.options import SeparateOptions

        self.name, equals, value = text.partition("=")
        try:
            given = yaml.safe_load(value)
        except yaml.YAMLError:
            given = None
        if not equals or not isinstance(given, dict) or set(given) - set(CHOICES):
            known = ", ".join(CHOICES)
            raise ContrasepError(f"--rows: expected NAME={{KEY: VALUE, ..}} with keys among {known}, got '{text}'")
        self.choices: dict[str, Any] = {**CHOICES, **given}
        section = {name: self.choices[name] for name in ("graph", "quality", "solver")}
        options = build(ModularityOptions, section, "modularity")
        self.graph, self.quality = create(options.graph), create(options.quality)
        self.solver = create(options.solver, num_communities=options.k_max)
        shares = {name: self.choices[name] for name in ("mask", "temperature")}
        self.separate = build(SeparateOptions, {"separator": "model", **shares}, "separate")


def averaged(z: torch.Tensor, valid: torch.Tensor, context: int) -> torch.Tensor:
    """Embeddings of frames ``(frames, dim)`` averaged over valid ones up to ``context`` frames away, of unit norm again."""
    from contrasep_lib.embedding.heads import unit_norm

    if not context:
        return z
    kernel = torch.ones(1, 1, 2 * context + 1, dtype=z.dtype)
    known = torch.where(valid.unsqueeze(1), z, 0.0)
    return unit_norm(torch.nn.functional.conv1d(known.T.unsqueeze(1), kernel, padding=context).squeeze(1).T)


def values_of(row: Row, model: Any, mixture: np.ndarray, sources: np.ndarray, seed: int) -> tuple[float, ...]:
    """`COLUMNS` of one mixture."""
    from contrasep_lib.modularity.diagnostics import contingency, matched_share
    from contrasep_lib.nodes.granularity import GRANULARITIES, apply_mask
    from contrasep_lib.score.ratios import improvements
    from contrasep_lib.separate.model_separator import assignment_of, hard_shares

    features = model.features
    if row.choices["silence_db"] is not None:
        features = dataclasses.replace(features, silence_db=row.choices["silence_db"])
    granularity = GRANULARITIES["frame"](features)
    nodes, seen = model.analyse(torch.from_numpy(mixture)[None])
    heard = granularity.nodes_of(seen.spectrum)
    valid = heard.valid[0]
    magnitude = torch.where(valid, heard.power[0].sqrt(), 0.0)
    weight = magnitude / magnitude[valid].mean() if row.choices["weight"] == "magnitude" else valid.to(magnitude)
    z = averaged(nodes.z[0], valid, row.choices["context"])
    nodes = dataclasses.replace(nodes, z=z[None], weight=weight[None], valid=heard.valid)
    labels = row.solver.solve(nodes, len(sources), row.graph, seed, row.quality).labels
    assign, _ = assignment_of(nodes, hard_shares(nodes, labels, len(sources)), row.separate)
    outputs = apply_mask(granularity.mask(assign, heard), seen.spectrum, len(mixture), features)[0]
    truth = granularity.targets(torch.from_numpy(sources)[None])[0]
    found = [
        matched_share(contingency(labels[0, valid], truth[valid], part[valid]))
        for part in (torch.ones_like(magnitude), magnitude)
    ]
    return (*(100 * share for share in found), float(improvements(outputs.double().numpy(), mixture, sources).mean()))


def run(args: argparse.Namespace) -> None:
    """Entry point."""
    from contrasep_lib.io.atomic import write_text
    from contrasep_lib.io.dumpset import DumpSet

    model, rows = model_at(args.model, False, False), [Row(text) for text in args.rows]
    if model.granularity.name != "frame":
        raise ContrasepError(f"{args.model}: expected a model of frames, got one of {model.granularity.name}")
    found: list[tuple[str, tuple[str, ...], np.ndarray]] = []
    for folder in args.dump:
        dump = DumpSet(folder)
        for key in dump.keys[: args.mixtures]:
            mixture, sources, seed = dump.mixture(key), dump.sources(key), zlib.crc32(key.encode())
            with torch.inference_mode():
                table = np.array([values_of(row, model, mixture, sources, seed) for row in rows])
            found.append((str(folder), dump.speakers[key], table))
    for folder in [*map(str, args.dump), *(["all"] if len(args.dump) > 1 else [])]:
        of = [(speakers, table) for name, speakers, table in found if folder in (name, "all")]
        lines = _lines(rows, [names for names, _ in of], np.stack([table for _, table in of]))
        print(f"\n{folder}, {len(of)} mixtures\n", *lines, sep="\n", flush=True)
    if args.json:
        tree = {}
        for place, row in enumerate(rows):
            values = [[name, *table[place].tolist()] for name, _, table in found]
            tree[row.name] = {"choices": row.choices, "values": values}
        write_text(args.json, json.dumps({"columns": COLUMNS, "rows": tree}, indent=1) + "\n")


def _lines(rows: list[Row], speakers: list[tuple[str, ...]], table: np.ndarray) -> list[str]:
    """A table of rows from values ``(mixtures, rows, columns)``."""
    lines = ["| row | " + " | ".join(COLUMNS) + " | difference, dB |", "| --- |" + " ---: |" * (len(COLUMNS) + 1)]
    for place, row in enumerate(rows):
        cells = []
        for column, name in enumerate(COLUMNS):
            digits = 2 if name.endswith("dB") else 1
            cells.append(_words(table[:, place, column], speakers, f".{digits}f"))
        change = table[:, place, -1] - table[:, 0, -1]
        cells.append(_words(change, speakers, "+.2f") if place else "-")
        lines.append(f"| {row.name} | " + " | ".join(cells) + " |")
    return lines


def _words(values: np.ndarray, speakers: list[tuple[str, ...]], form: str) -> str:
    from contrasep_lib.score.intervals import speaker_interval

    (interval,) = speaker_interval(values, speakers)
    limits = "" if interval is None else f" [{interval[0]:{form}}, {interval[1]:{form}}]"
    return f"{values.mean():{form}}{limits}"


def main() -> None:
    """Print the tables; errors of the user in one line."""
    try:
        run(parse())
    except ContrasepError as error:
        sys.exit(f"frame_choices.py: {error}")


if __name__ == "__main__":
    main()
