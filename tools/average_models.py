#!/usr/bin/env python3
"""Average the weights of models that began alike, e.g. before and after a last stage of training.

    tools/average_models.py --models exp/many/finetune/model.pth exp/count/finetune/model.pth --out exp/mean/finetune/model.pth

Weights that all models share stay as they are. What was learned from other data than a model will meet is often
half forgotten by a last stage, and the mean keeps both (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022).
Epochs of one training are averaged by its option ``average``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from contrasep_lib.bin.common import Parser, within
from contrasep_lib.config.bounds import Weight
from contrasep_lib.errors import ContrasepError  # noqa: E402


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, nargs="+", required=True, metavar="FILE", help="model.pth of each")
    parser.add_argument("--shares", type=within(Weight), nargs="+", metavar="X", help="weight of each model (all alike)")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="model.pth; its record is the last model's"
    )
    return parser.parse_args(arguments)


def average(models: list[Path], shares: list[float], out: Path) -> None:
    """Write the weighted mean of models.

    Raises:
        ContrasepError: models of different structure or framing, or shares that are no weights.
    """
    from contrasep_lib.models.checkpoint import read_model, refuse_other, save_model

    if len(shares) != len(models) or min(shares) < 0 or sum(shares) <= 0:
        raise ContrasepError(f"--shares: expected a weight of at least 0 for each of the {len(models)} models, not all 0")
    contents = [read_model(path) for path in models]
    last = contents[-1]
    for path, content in zip(models, contents):
        refuse_other(path, content, last["features"], last["model"])
    mean, total = dict(last["state"]), shares[-1]
    for content, share in zip(contents[:-1], shares):
        total += share
        for name, value in mean.items():
            if value.is_floating_point():
                # equal weights stay equal to the bit
                mean[name] = value.lerp(content["state"][name], share / total)
    training = {**last["training"], "average_of": ["/".join(path.parts[-3:]) for path in models], "shares": shares}
    save_model(out, mean, last["features"], last["model"], training)


def main() -> None:
    """Entry point; errors of the user in one line."""
    args = parse()
    try:
        average(args.models, args.shares or [1.0] * len(args.models), args.out)
    except ContrasepError as error:
        sys.exit(f"average_models.py: {error}")
    print(f"average_models.py: {args.out}")


if __name__ == "__main__":
    main()
