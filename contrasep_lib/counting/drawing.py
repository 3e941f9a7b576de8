"""The nodes that counting looks at."""

from __future__ import annotations

import numpy as np
import torch

from contrasep_lib.modularity.soft import unit
from contrasep_lib.nodes.nodeset import NodeSet

MAX_TEST_NODES = 4096
"""Counting looks at this many nodes at most, drawn without replacement by weight from the seed."""


def check_countable(nodes: NodeSet, min_share: float = 0.02) -> None:
    """Raise ValueError unless each utterance can be counted, see :func:`~.recursive.count_communities`."""
    if not 0 < min_share < 0.5:
        raise ValueError(f"min_share: expected a value in (0, 0.5), got {min_share}")
    nodes.require_unit_norm()
    for row in range(nodes.z.shape[0]):
        if not bool(taking_part(nodes, row).any()):
            raise ValueError(
                f"nodes: utterance {row} of the batch has no valid node of positive weight (all silent); "
                "at least one is needed to count speakers"
            )


def taking_part(nodes: NodeSet, row: int) -> torch.Tensor:
    """Which nodes of an utterance are counted, ``(nodes,)`` bool."""
    return nodes.valid[row] & (nodes.weight[row] > 0)


def drawn(
    nodes: NodeSet, row: int, seed: int, most: int = MAX_TEST_NODES
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Embeddings and weights of the nodes that counting looks at, in float64, and their indices.

    Among more than ``most`` the draw is by weight and without replacement
    (exponential clocks, Efraimidis and Spirakis 2006); those drawn then count alike.
    """
    index = torch.nonzero(taking_part(nodes, row)).squeeze(1).cpu().numpy()
    weight = nodes.weight.detach()[row].to("cpu", torch.float64).numpy()[index]
    if len(index) > most:
        clocks = np.random.default_rng(seed).exponential(size=len(index)) / weight
        chosen = np.sort(np.argpartition(clocks, most)[:most])
        index, weight = index[chosen], np.ones(most)
    z = nodes.z.detach()[row][torch.from_numpy(index).to(nodes.z.device)].to("cpu", torch.float64).numpy()
    return unit(padded(z)), weight / weight.mean(), index


def padded(z: np.ndarray) -> np.ndarray:
    """At least two dimensions, so that there are bearings."""
    return np.pad(z, ((0, 0), (0, max(2 - z.shape[1], 0))))
