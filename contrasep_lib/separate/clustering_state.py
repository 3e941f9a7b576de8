"""Graph, quality, solver and counter of a configuration, with what stage 4 trained of them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch

from contrasep_lib.config import create, implementation
from contrasep_lib.counting.counters.base import CountEstimator
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import write_text
from contrasep_lib.modularity.graphs import Graph
from contrasep_lib.modularity.options import ModularityOptions
from contrasep_lib.modularity.quality import Modularity, Quality
from contrasep_lib.modularity.solvers.base import Solver


@dataclasses.dataclass(frozen=True)
class ClusteringState:
    """What turns embeddings into communities.

    Attributes:
        graph: over the nodes.
        solver: that partitions it.
        counter: that says into how many communities.
        quality: of a partition, which the solver maximises.
    """

    graph: Graph
    solver: Solver
    counter: CountEstimator
    quality: Quality = Modularity()

    @classmethod
    def from_options(cls, options: ModularityOptions, network: torch.nn.Module | None = None) -> ClusteringState:
        """The parts of a configuration, untrained.

        Args:
            options: section ``modularity``.
            network: the model's classifier of the number of speakers; None for a model that has none.

        Raises:
            ContrasepError: the counter needs a network and there is none, or another solver.
        """
        graph = create(options.graph)
        solver = create(options.solver, num_communities=options.k_max)
        quality = create(options.quality)
        counter = create(options.counting, graph=graph, most=options.k_max, network=network).with_quality(quality)
        return cls(graph, solver, counter.with_solver(solver), quality)

    @classmethod
    def load(
        cls, folder: str | Path, options: ModularityOptions, network: torch.nn.Module | None = None
    ) -> ClusteringState:
        """Read ``exp/<tag>/modularity``; the arguments are those of `from_options`.

        Raises:
            ContrasepError: a file is missing, damaged, or of another configuration.
        """
        made, folder = cls.from_options(options, network), Path(folder)
        parts: dict[str, Any] = {"solver": made.solver, "counter": made.counter}
        for name, part in parts.items():
            if part.state_file:
                path = folder / part.state_file
                try:
                    parts[name] = part.with_state(_read(path))
                except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
                    raise ContrasepError(f"{path}: {error}; run stage 4 again") from None
        parts["counter"] = parts["counter"].with_solver(parts["solver"])
        return dataclasses.replace(made, **parts)

    def save(self, folder: str | Path) -> None:
        """Write ``exp/<tag>/modularity``."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for part in (self.solver, self.counter):
            state = part.state()
            if part.state_file and state:
                _write(folder / part.state_file, state)


def state_files(options: ModularityOptions) -> list[str]:
    """Names of the files that `ClusteringState.load` reads."""
    names = (implementation(part).state_file for part in (options.solver, options.counting))
    return [name for name in names if name]


def _read(path: Path) -> dict[str, Any]:
    from contrasep_lib.models.checkpoint import read_states

    if path.suffix != ".json":
        return read_states(path)
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ContrasepError(f"{path}: no such file; run stage 4 first") from None
    except (ValueError, RecursionError):
        raise ContrasepError(f"{path}: not a JSON file; run stage 4 again") from None
    if not isinstance(state, dict):
        raise ContrasepError(f"{path}: expected a mapping, got {type(state).__name__}; run stage 4 again")
    return state


def _write(path: Path, state: dict[str, Any]) -> None:
    from contrasep_lib.models.checkpoint import write_states

    if path.suffix == ".json":
        write_text(path, json.dumps(state, indent=2, sort_keys=True) + "\n")
    else:
        write_states(path, state)
