"""What an oracle is: a separator that is given the sources, the bound of those that mask the same nodes.

An oracle assigns each node of a mixture to its sources:

    @choice("oracle", "first", target="First")
    @dataclasses.dataclass(frozen=True)
    class FirstOptions(OracleOptions):
        "All nodes to the first source."
        title = "oracle, all to the first source"

    class First(Oracle):
        def assign(self, scene, nodes):
            return torch.nn.functional.one_hot(torch.zeros(nodes.power.shape, dtype=int), scene.num_spk).double()

It separates by ``separate: {separator: oracle_first}``, and is printed beside every system by
``score: {oracles: [ibm, first]}``.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
from typing import TYPE_CHECKING, Any, ClassVar

from contrasep_lib.config.bounds import shown
from contrasep_lib.config.choices import names, options_class
from contrasep_lib.errors import ContrasepError

if TYPE_CHECKING:
    import numpy as np
    import torch

    from contrasep_lib.nodes.granularity import Granularity, Nodes
    from contrasep_lib.nodes.options import FeatureOptions

PREFIX = "oracle_"
# the member that does not separate goes by its name alone
UNPROCESSED = "mixture"


@dataclasses.dataclass(frozen=True)
class OracleOptions:
    """What every oracle declares.

    Attributes:
        title: of its rows in tables.
        granularity: what a node is, ``frame`` or ``tf``; None where there are none.
        supervision: what it knows of the mixtures, as results state it.
    """

    title: ClassVar[str]
    granularity: ClassVar[str | None] = "tf"
    supervision: ClassVar[str] = "sources at test time (oracle)"


def separator_of(name: str) -> str:
    """The value of ``separate.separator`` by which an oracle separates, e.g. ``oracle_ibm``."""
    return name if name == UNPROCESSED else PREFIX + name


def oracle_title(name: str) -> str:
    """What an oracle's rows are called; its name where no module that declares it is loaded."""
    try:
        oracle: type[OracleOptions] = options_class("oracle", name)
    except ContrasepError:
        return f"oracle, {name}"
    return oracle.title


def oracle_options(separator: str) -> OracleOptions:
    """The options of the oracle that a value of ``separate.separator`` names.

    Raises:
        ContrasepError: no oracle of that name.
    """
    name = separator.removeprefix(PREFIX)
    if separator_of(name) != separator:
        known = ", ".join(map(separator_of, names("oracle")))
        raise ContrasepError(f"separate.separator: unknown separator {shown(separator)}; known: model, {known}")
    return options_class("oracle", name, "separate.separator")()


@dataclasses.dataclass(frozen=True)
class Separated:
    """What an oracle makes of a mixture.

    Attributes:
        outputs: ``(num_spk, samples)`` float32, in the order of the sources.
        assignment: share of each source in each node, ``(nodes, num_spk)`` float32; silent nodes are rows of zeros.
        shape: of the nodes.
        noise: what it gives to the noise, ``(samples,)`` float32; None for a mixture without noise.
    """

    outputs: np.ndarray
    assignment: np.ndarray
    shape: tuple[int, ...]
    noise: np.ndarray | None = None


class Scene:
    """One mixture and its sources in double precision; spectra are computed once for all oracles.

    Args:
        mixture: ``(samples,)`` float32.
        sources: ``(num_spk, samples)`` float32.
        features: framing, and which nodes are silent.
        noise: ``(samples,)`` float32, what the mixture has beside the sources; it takes part as one more source,
            the last.

    Attributes:
        num_spk: sources that nodes are shared among: talkers, and one more where there is noise.
        noisy: whether the last of them is noise.

    Raises:
        ContrasepError: sources and mixture of different length.
    """

    def __init__(
        self, mixture: np.ndarray, sources: np.ndarray, features: FeatureOptions, noise: np.ndarray | None = None
    ) -> None:
        import numpy as np
        import torch

        if sources.shape[-1] != len(mixture):
            raise ContrasepError(f"sources have {sources.shape[-1]} samples, the mixture {len(mixture)}")
        self.noisy = noise is not None
        if noise is not None:
            if len(noise) != len(mixture):
                raise ContrasepError(f"the noise has {len(noise)} samples, the mixture {len(mixture)}")
            sources = np.concatenate([sources, noise[None]])
        self.features, self.num_spk = features, len(sources)
        # double precision: the bound must not depend on how sums are ordered
        self.mixture = torch.from_numpy(np.ascontiguousarray(mixture, np.float64))[None]
        self.sources = torch.from_numpy(np.ascontiguousarray(sources, np.float64))[None]

    @functools.cached_property
    def mixture_spectrum(self) -> torch.Tensor:
        """``(1, frames, freq)`` complex."""
        from contrasep_lib.nodes.stft import stft

        return stft(self.mixture, self.features)

    @functools.cached_property
    def source_spectra(self) -> torch.Tensor:
        """``(1, num_spk, frames, freq)`` complex."""
        from contrasep_lib.nodes.stft import stft

        return stft(self.sources, self.features)


class Oracle(abc.ABC):
    """Separates a mixture whose sources are known, by a mask over nodes.

    Args:
        options: of the member.
    """

    def __init__(self, options: OracleOptions) -> None:
        self.options = options

    @classmethod
    def from_options(cls, options: Any) -> Oracle:
        """Build the oracle."""
        return cls(options)

    @abc.abstractmethod
    def assign(self, scene: Scene, nodes: Nodes) -> torch.Tensor:
        """The share of each source in each node, ``(1, nodes, num_spk)`` in double precision."""

    def granularity(self, scene: Scene) -> Granularity:
        """What the nodes are; time-frequency units for an oracle that has none of its own."""
        from contrasep_lib.nodes.granularity import GRANULARITIES

        return GRANULARITIES[self.options.granularity or "tf"](scene.features)

    def outputs(self, scene: Scene, nodes: Nodes, assignment: torch.Tensor) -> torch.Tensor:
        """The audio of an assignment, ``(1, num_spk, samples)``."""
        from contrasep_lib.nodes.granularity import apply_mask

        mask = self.granularity(scene).mask(assignment, nodes)
        return apply_mask(mask, nodes.spectrum, scene.mixture.shape[1], scene.features)

    def separate(self, scene: Scene) -> Separated:
        """Separate the mixture."""
        import numpy as np
        import torch

        nodes = self.granularity(scene).nodes_of(scene.mixture_spectrum)
        assignment = self.assign(scene, nodes)
        audible = torch.where(nodes.valid[0, :, None], assignment[0], 0.0)
        outputs = self.outputs(scene, nodes, assignment)[0].numpy().astype(np.float32)
        shares = audible.numpy().astype(np.float32)
        if scene.noisy:
            return Separated(outputs[:-1], shares[:, :-1], nodes.shape, outputs[-1])
        return Separated(outputs, shares, nodes.shape)


class Dominance(Oracle):
    """Each node to its louder source; ties go to the lower index."""

    def assign(self, scene: Scene, nodes: Nodes) -> torch.Tensor:
        import torch

        labels = self.granularity(scene).targets_of(scene.source_spectra)
        return torch.nn.functional.one_hot(labels, scene.num_spk).double()


class Shares(Oracle):
    """A share of each time-frequency unit for each source, from spectra alone."""

    @staticmethod
    @abc.abstractmethod
    def shares(sources: torch.Tensor, mixture: torch.Tensor) -> torch.Tensor:
        """The values of the mask.

        Args:
            sources: spectra ``(batch, num_spk, frames, freq)``, complex.
            mixture: spectrum ``(batch, frames, freq)``, complex.

        Returns:
            ``(batch, num_spk, frames, freq)`` in [0, 1].
        """

    def assign(self, scene: Scene, nodes: Nodes) -> torch.Tensor:
        return self.shares(scene.source_spectra, nodes.spectrum).flatten(2).transpose(1, 2)
