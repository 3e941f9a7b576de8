"""Keys of what a step made: of the configuration it reads and of the meaning of its output.

A stage of a recipe has one step or several, each with a folder of its own. Its ``.done`` (``utils/markers.sh``) holds
the key of all that the step depends on and the names and sizes of its outputs; never a time stamp.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from contrasep_lib.config import as_key
from contrasep_lib.errors import ContrasepError


@dataclasses.dataclass(frozen=True)
class Step:
    """What the output of a step depends on beside its input files.

    Attributes:
        format: counts the meanings that the step's output has had; raise it when the same configuration and inputs
            give another output, and what was made before is made again. A further table that readers can do without
            (``utt2spks``) does not raise it: models trained on such data would be refused.
        reads: sections of the configuration, or single values (``section.key``).
        of_model: sections that it reads beside where a model separates, not an oracle.
    """

    format: int
    reads: tuple[str, ...] = ()
    of_model: tuple[str, ...] = ()


FORMATS = {
    "sources": Step(1, ("corpus",)),
    "mixtures": Step(1, ("mix",)),
    "data": Step(1),
    "dump": Step(1, ("dump", "mix.rate")),
    "pretrain": Step(1, ("features", "mix", "model", "pretrain")),
    "finetune": Step(1, ("features", "mix", "model", "finetune")),
    "modularity": Step(1, ("features", "model", "modularity")),
    "separate": Step(1, ("features", "separate"), ("model", "modularity")),
    "score": Step(1, ("features", "separate", "score")),
}


def step_keys(config: Mapping[str, Any]) -> dict[str, str]:
    """Key of each step of `FORMATS` under a configuration: 64 hexadecimal digits.

    Args:
        config: from `contrasep_lib.config.load_config`.
    """
    keys = {}
    for name, step in FORMATS.items():
        of_model = step.of_model if config["separate"].separator == "model" else ()
        read = {path: _value(config, path) for path in (*step.reads, *of_model)}
        keys[name] = _digest({"step": name, "format": step.format, "reads": read})
    return keys


def _value(config: Mapping[str, Any], path: str) -> Any:
    section, _, key = path.partition(".")
    return as_key(getattr(config[section], key) if key else config[section])


def _digest(document: Any) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def stage_key(sections: Mapping[str, Any], inputs: Iterable[str | os.PathLike[str]], values: Mapping[str, str]) -> str:
    """Key of an output by all that it depends on: 64 hexadecimal digits.

    Args:
        sections: configuration subtrees that it depends on, as plain values.
        inputs: files whose contents it depends on; their order does not matter.
        values: further dependencies, e.g. the format of a step.

    Raises:
        ContrasepError: an input is not there, which means that an earlier stage has not run.
    """
    digests = []
    for path in inputs:
        try:
            digests.append([Path(path).name, hashlib.sha256(Path(path).read_bytes()).hexdigest()])
        except FileNotFoundError:
            raise ContrasepError(f"{path}: not there; run the earlier stage that makes it first") from None
    return _digest({"sections": sections, "inputs": sorted(digests), "values": dict(values)})
