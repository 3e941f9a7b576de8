"""Options of the sections ``separate`` and ``modularity``.

The latter stand here because importing the modularity engine imports torch, and every command reads
the configuration.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from contrasep_lib.config import LATER
from contrasep_lib.oracles.base import oracle_options


@dataclasses.dataclass(frozen=True)
class SeparateOptions:
    """How stage 5 separates.

    Attributes:
        separator: ``model`` (what stages 3 and 4 trained), ``oracle_<name>`` (see ``contrasep list oracles``), or
            ``mixture`` (every output is the mixture itself).
        count: whether the model is ``given`` the number of talkers, or it is ``estimated``.
        mask: the model's masks: ``hard`` (each node to one output) or ``soft`` (each node to all outputs, by how much of
            its embedding lies along their centroids).
        silence_db: nodes more than this below the loudest node are silent, dB.
    """

    separator: str = "oracle_ibm"
    count: Literal["given", "estimated"] = "estimated"
    mask: Literal["hard", "soft"] = "hard"
    silence_db: float = 40.0

    def __post_init__(self) -> None:
        if self.separator != "model":
            oracle_options(self.separator)
        if self.silence_db <= 0:
            raise ValueError(f"silence_db: a positive number of dB wanted, got {self.silence_db}")


@dataclasses.dataclass(frozen=True)
class ModularityOptions:
    """How embeddings become communities.

    Attributes:
        graph: ``kernel``, ((1 + s) / 2)^power, or ``threshold``, s where s > tau (the paper).
        power: of the kernel.
        tau: threshold on the cosine s.
        binary: edges of the threshold graph weigh 1 instead of s.
        k_max: the largest count considered, and the outputs of the network.
        counting: how talkers are counted: by ``cuts`` (communities are cut for as long as one of them holds two by the
            null) or by the model's ``counter`` (objective ``count``), which hears the whole mixture at once.
        solver: ``network`` (the paper: an MLP trained over mixtures, a copy refined on each),
            ``direct`` (soft assignments), ``spectral`` or ``kmeans`` (baseline).
        hidden: widths of the network's hidden layers.
        train_pool: training mixtures that are embedded for the network's training.
        train_steps: its steps.
        train_mixtures: mixtures in a step.
        train_nodes: nodes drawn from each mixture of the pool.
        learning_rate: of that training.
        collapse_weight: weight of the term that pulls towards communities of equal size.
        refine_steps: steps of refinement on each mixture.
        null: how the bar for a further talker is found: ``odds`` (fitted on mixtures of 1 talker to as many
            as the model has learned from, mixed from single speakers of validation) or ``round`` (against turned clouds).
        null_utterances: mixtures of each number of talkers, or for ``round`` single speakers by which its bar is
            raised; 0 takes the null of a round cloud.
        null_seconds: of each mixture at most.
        null_threshold: for ``odds`` the least logarithm of the odds at which a community is split, for ``round``
            the least score, standard deviations over the null; ``null``: 0 for ``odds``, 7.5 for ``round``.
        seed: of drawn mixtures and nodes, and, with the utterance id, of refinement and counting.
    """

    graph: Literal["kernel", "threshold"] = "kernel"
    power: int = 2
    tau: float = 0.5
    binary: bool = False
    k_max: int = 5
    solver: Literal["network", "direct", "spectral", "kmeans"] = "network"
    hidden: tuple[int, ...] = (64,)
    train_pool: int = 60
    train_steps: int = 200
    train_mixtures: int = 4
    train_nodes: int = 1024
    learning_rate: float = 3e-3
    collapse_weight: float = 0.3
    refine_steps: int = 100
    null: Literal["odds", "round"] = "odds"
    null_utterances: int = 16
    null_seconds: float = 6.0
    null_threshold: float | None = None
    seed: int = 0
    counting: Literal["cuts", "counter"] = dataclasses.field(default="cuts", metadata=LATER)

    def __post_init__(self) -> None:
        for name, least in (
            ("power", 1), ("k_max", 1), ("train_pool", 1), ("train_steps", 0), ("train_mixtures", 1), ("train_nodes", 2),
            ("refine_steps", 0), ("null_utterances", 0), ("seed", 0),
        ):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: at least {least} wanted, got {getattr(self, name)}")
        if not (-1 if self.binary else 0) <= self.tau < 1:
            low = -1 if self.binary else 0
            raise ValueError(f"tau: in [{low}, 1) wanted, got {self.tau}")
        if any(width < 1 for width in self.hidden):
            raise ValueError(f"hidden: widths of at least 1 wanted, got {list(self.hidden)}")
        for name in ("learning_rate", "null_seconds"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}: a positive number wanted, got {getattr(self, name)}")
        if self.null_threshold is not None and self.null_threshold <= 0 and not self.by_odds:
            raise ValueError(f"null_threshold: a positive number wanted for a round null, got {self.null_threshold}")
        if self.collapse_weight < 0:
            raise ValueError(f"collapse_weight: 0 or more wanted, got {self.collapse_weight}")

    @property
    def by_odds(self) -> bool:
        """Whether the null is fitted on mixtures; without any only the round one is known."""
        return self.null == "odds" and self.null_utterances > 0 and self.k_max > 1

    @property
    def least_score(self) -> float:
        """`null_threshold`, or what stands for it."""
        if self.null_threshold is not None:
            return self.null_threshold
        return 0.0 if self.by_odds else 7.5
