"""What a trained model's file says of its training."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contrasep_lib.io.machine import device_words
from contrasep_lib.models.checkpoint import read_model

# of a model that was trained before times were recorded
UNKNOWN = {"phase": "before", "minutes": None, "device": None}


def without_folders(sections: Mapping[str, Any]) -> dict[str, Any]:
    """What a model was trained with, for the model's file, which may travel: paths by their ends."""
    ends = {name: [Path(path).name for path in sections[name]] for name in ("train_sets", "valid_sets")}
    init = sections["init_param"]
    # exp/<tag>/<phase>/model.pth: the tag tells which
    return {**sections, **ends, "init_param": None if init is None else "/".join(Path(init).parts[-3:])}


def spent_of(training: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a model's record says of its time; see `time_spent`."""
    return training.get("spent", [UNKNOWN])


def cost_of_model(path: str | os.PathLike) -> dict[str, Any]:
    """Parameters and training of one of our models, as `contrasep_lib.report.cost.write_cost` takes them.

    Args:
        path: ``model.pth``.

    Raises:
        ContrasepError: missing, damaged or foreign file.
    """
    from contrasep_lib.models.separation import SeparationModel

    content = read_model(path)
    model = SeparationModel(content["model"], content["features"])
    return {"parameters": sum(value.numel() for value in model.parameters()), "training": spent_of(content["training"])}


def time_spent(
    sections: Mapping[str, Any], seconds: float, ngpu: int, cores: int, nodes: int = 1
) -> list[dict[str, Any]]:
    """Time and devices of a training and of all those that it began with, the first one first.

    Args:
        sections: as training has them; ``phase`` and ``init_param`` count.
        seconds: of this training, over all its runs.
        ngpu: GPUs of each node that it used; 0 means the processor.
        cores: of the processor of each node.
        nodes: machines.

    Returns:
        ``phase``, ``minutes`` and ``device`` of each; ``minutes`` and ``device`` are None where a model does not tell.
    """
    init = sections["init_param"]
    before = [] if init is None else spent_of(read_model(init)["training"])
    device = (f"{nodes} nodes, each " if nodes > 1 else "") + device_words(ngpu, cores)
    return [*before, {"phase": sections["phase"], "minutes": round(seconds / 60, 1), "device": device}]
