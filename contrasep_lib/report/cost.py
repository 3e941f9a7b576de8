"""What a system costs: parameters, time of training and of separation, on which devices.

These are measurements of a run, so they stand in ``exp/<tag>/cost.json``, not in results.json, which is the same
for the same inputs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from contrasep_lib.io.atomic import write_text
from contrasep_lib.io.speed import SPEED, total_speed
from contrasep_lib.report.reading import read_json, require_keys

COST = "cost.json"
KEYS = ("parameters", "training", "separation")


def of_system(system: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters and training of a system that is not ours (`contrasep_lib.report.results.read_system`)."""
    training = {"phase": "training", "minutes": system["minutes"], "device": system["device"]}
    return {"parameters": system["parameters"], "training": [training]}


def write_cost(exp: str | os.PathLike, system: Mapping[str, Any], sets: Sequence[str]) -> Path:
    """Write ``cost.json``.

    Args:
        exp: ``exp/<tag>`` with ``separate_<set>/speed.json``.
        system: ``parameters``, a number, and ``training``: ``phase``, ``minutes`` and ``device`` of each training
            behind it, None where they were not recorded; from `contrasep_lib.train.record.cost_of_model` or
            `of_system`.
        sets: names of the test sets; those without a measurement are passed over.
    """
    speeds = [speed for name in sets if (speed := _speed(Path(exp) / f"separate_{name}" / SPEED))]
    separation = total_speed(speeds) if speeds else None
    path = Path(exp) / COST
    write_text(path, json.dumps({**system, "separation": separation}, indent=2, sort_keys=True) + "\n")
    return path


def _speed(path: Path) -> dict[str, Any] | None:
    return read_json(path) if path.is_file() else None


def read_cost(exp: str | os.PathLike) -> dict[str, Any] | None:
    """What `write_cost` wrote; None where it did not.

    Raises:
        ContrasepError: a file that is not of that kind.
    """
    path = Path(exp) / COST
    if not path.is_file():
        return None
    cost = read_json(path)
    require_keys(cost, KEYS, path)
    return cost


def cost_cells(cost: Mapping[str, Any]) -> list[str]:
    """Million parameters, training in words, and real-time factor with its device, as cells of a table."""
    minutes: dict[str, float] = {}
    for part in cost["training"]:
        if part["minutes"] is not None:
            minutes[part["device"]] = minutes.get(part["device"], 0.0) + part["minutes"]
    words = [f"{spent:.0f} minutes on {device}" for device, spent in minutes.items()]
    if any(part["minutes"] is None for part in cost["training"]):
        words.append("some time before that was not recorded" if words else "not recorded")
    speed = cost["separation"]
    separation = ("-", "-") if speed is None else (f"{speed['seconds'] / speed['audio_seconds']:.3f}", speed["device"])
    return [f"{cost['parameters'] / 1e6:.2f}", ", ".join(words) or "none", *separation]
