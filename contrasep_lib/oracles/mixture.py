"""No separation: every output is the mixture."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from contrasep_lib.config.choices import choice
from contrasep_lib.oracles.base import Oracle, OracleOptions, Scene

if TYPE_CHECKING:
    import torch

    from contrasep_lib.nodes.granularity import Nodes


@choice("oracle", "mixture", target="Unprocessed")
@dataclasses.dataclass(frozen=True)
class UnprocessedOptions(OracleOptions):
    """The mixture itself as every output, given the number of speakers."""

    title = "unprocessed mixture"
    granularity = None
    supervision = "none"


class Unprocessed(Oracle):
    """Every node to every output."""

    def assign(self, scene: Scene, nodes: Nodes) -> torch.Tensor:
        import torch

        return torch.ones(*nodes.power.shape, scene.num_spk, dtype=torch.double)

    def outputs(self, scene: Scene, nodes: Nodes, assignment: torch.Tensor) -> torch.Tensor:
        # the samples as they are, not as a spectrum of them gives them back
        return scene.mixture[:, None].expand_as(scene.sources)
