"""Options of the sections ``pretrain`` and ``finetune``."""

from __future__ import annotations

import dataclasses
import re
from typing import Annotated, Literal

from contrasep_lib.config import LATER, Bounded, Range, Text
from contrasep_lib.config.bounds import (
    Count,
    Decibels,
    Items,
    LearningRate,
    Minutes,
    Part,
    PositiveWeight,
    Probability,
    Processes,
    Seed,
    Speakers,
    Steps,
)
from contrasep_lib.train.surroundings_options import TrainNoiseOptions, TrainRoomOptions

# names of folders are made of it
CorpusName = Annotated[
    str, Text("a name of letters, digits, _ and -", lambda text: bool(re.fullmatch(r"[A-Za-z0-9_-]+", text)))
]
# ESPnet's and torch's arguments, which know their own bounds
Argument = Annotated[float, Range(-1e12, 1e12)]
WholeArgument = Annotated[int, Range(-(10**12), 10**12)]


@dataclasses.dataclass(frozen=True)
class AugmentOptions(Bounded):
    """What mixtures drawn on the fly hold beside speech (`contrasep_lib.train.augment`); by default nothing.

    Attributes:
        silence: probability of silence before and after the mixture, up to half of the item.
        edge: probability for each talker that it begins late or ends early.
        pause: probability for each talker of a pause of 0.3 to 1.5 s.
        noise: probability of stationary noise between white and brown, in the mixture and in no source.
        noise_db: range of its level under the mixture's power, dB.
        shortest: probability that a mixture is cut to its shortest talker, as ``mix.mode: min`` cuts those of lists.
        codec: probability that the mixture, noise and all, goes through a lossy codec; sources do not.
        codecs: those that it draws from, and for each the bit rate (`contrasep_lib.io.codec`).
    """

    silence: Probability = 0.0
    edge: Probability = 0.0
    pause: Probability = 0.0
    noise: Probability = 0.0
    noise_db: tuple[Decibels, ...] = (20.0, 60.0)
    shortest: Probability = dataclasses.field(default=0.0, metadata=LATER)
    codec: Probability = dataclasses.field(default=0.0, metadata=LATER)
    codecs: tuple[Literal["mulaw", "mp3", "opus"], ...] = dataclasses.field(
        default=("mulaw", "mp3", "opus"), metadata=LATER
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.noise_db) != 2 or self.noise_db[0] > self.noise_db[1]:
            raise ValueError(f"noise_db: expected a range of dB such as [20, 60], got {list(self.noise_db)}")
        if not self.codecs:
            raise ValueError("codecs: expected names of codecs, got none")


@dataclasses.dataclass(frozen=True)
class TrainOptions(Bounded):
    """How a phase is trained.

    Names of optimisers and schedulers, and the keys of their ``_conf``, are ESPnet's.

    Attributes:
        data: ``dynamic`` mixes on the fly from sets of single speakers, by the gains and levels of
            the section ``mix``; ``fixed`` reads sets of mixtures; ``single`` reads single speakers.
        num_spk: with ``dynamic``: numbers of speakers, each equally likely; a number that stands
            twice is twice as likely. ``null``: run.sh takes 1 to one more than its ``--num-spk``, which stands twice.
        segment_seconds: length of a training segment, seconds; shorter signals are padded, of
            longer ones a random part is taken. ``null`` takes all of every signal.
        balance: with ``dynamic`` and ``single``: share of each corpus, e.g. ``{wsj0: 0.5, audiomnist:
            0.5}``, brought to a sum of 1 (docs/howto/training.md); ``null``: all utterances alike.
        speed: with ``dynamic`` and ``single``: factors of speed, each equally likely, multiples of
            0.01; a talker at another speed counts as another speaker.
        batch_size: items in a batch, over all GPUs together.
        batches_per_epoch: batches in an epoch; ``null``: as many as one pass over the utterances
            needs. A pass that is longer than an epoch goes on in the next.
        valid_batches: batches of validation; ``null``: all utterances once.
        probe: mixtures of validation that are separated after each epoch (by k-means, the count
            given); their mean SI-SNR improvement is the statistic ``si_snri``, and the first is drawn.
        epochs: epochs at most; 0 leaves the phase out of a recipe.
        budget_minutes: training stops after the step in which this much time has been spent, over
            all runs that continued each other; the epoch is then validated and saved as any other.
        budget_clock: whether that time is the clock's on the ``wall``, or what the process has of its processors
            (``cpu``), which compares trainings on a machine that other programs use too.
        patience: training stops when as many epochs and one more brought nothing better.
        best: statistic of validation that judges an epoch.
        best_mode: whether less of ``best`` is better, or more.
        average: the weights of this many best epochs are averaged in the end.
        optim: optimiser; ``muon`` is one for matrices, with Adam for all else (`contrasep_lib.train.muon`).
        learning_rate: its learning rate.
        optim_conf: its further arguments.
        scheduler: learning rate schedule, or ``none``; ``warmupconstant`` has no end (`contrasep_lib.train.schedule`).
        scheduler_conf: its arguments.
        grad_clip: largest norm of the gradient.
        accumulate: batches whose gradients are added up for one step.
        precision: ``bfloat16`` computes in mixed precision on GPUs and on CPUs that have instructions
            for it; other CPUs take ``float32``.
        ema_decay: weights are validated and kept as a running average with this decay per step
            (less in the first steps); ``null``: as they are.
        augment: with ``dynamic`` and ``single``: silence, pauses, noise and codecs in training, see `AugmentOptions`.
        same_language: with ``dynamic``: share of mixtures whose talkers all speak one language (``utt2lang``; a set
            without that table counts as one language). In validation they are drawn as without.
        repeats: with ``dynamic``: mixtures in a row that have the same speakers, with other utterances of theirs where
            there are any, for what pairs recordings (objective ``nt_xent`` with ``positives: other``).
        noise: noise beside the talkers, which belongs to no source. With ``fixed`` that of the sets (``noise.scp``),
            whatever its kinds.
        room: rooms around the talkers; with ``fixed`` those of the sets.
        freeze: parts of the model (``backbone``, ``decoder``, ``counter`` ..) that keep the weights they begin with;
            objectives that teach no other part are left out.
        num_workers: processes that prepare data; 0 prepares in the training process.
        log_interval: batches between two lines of statistics in ``train.log``.
        seed: draws initial weights, data and dropout.
    """

    data: Literal["dynamic", "fixed", "single"] = "dynamic"
    num_spk: tuple[Speakers, ...] | None = (2,)
    segment_seconds: Annotated[float, Range(0.01, 3600)] | None = 3.0
    speed: tuple[Annotated[float, Range(0.5, 2)], ...] = (1.0,)
    batch_size: Annotated[int, Range(1, 65536)] = 8
    batches_per_epoch: Count | None = None
    valid_batches: Count | None = None
    probe: Steps = 4
    epochs: Steps = 20
    budget_minutes: Minutes | None = None
    patience: Steps | None = None
    best: str = "loss"
    best_mode: Literal["min", "max"] = "min"
    average: Annotated[int, Range(1, 1000)] = 1
    optim: Literal["adam", "adamw", "radam", "sgd", "muon"] = "adam"
    learning_rate: LearningRate = 1e-3
    optim_conf: dict[str, WholeArgument | Argument | bool | tuple[Argument, ...]] = dataclasses.field(
        default_factory=dict
    )
    scheduler: Literal[
        "none",
        "warmupconstant",
        "warmuplr",
        "noamlr",
        "reducelronplateau",
        "steplr",
        "exponentiallr",
        "cosineannealinglr",
        "onecyclelr",
        "cosineannealingwarmuprestarts",
    ] = "none"
    scheduler_conf: dict[str, WholeArgument | Argument | bool | str] = dataclasses.field(default_factory=dict)
    grad_clip: Annotated[float, Range(0, 1e9, "(]")] = 5.0
    accumulate: Items = 1
    precision: Literal["float32", "bfloat16"] = "float32"
    ema_decay: Part | None = None
    num_workers: Processes = 1
    log_interval: Count = 50
    seed: Seed = 0
    balance: dict[CorpusName, PositiveWeight] | None = dataclasses.field(default=None, metadata=LATER)
    budget_clock: Literal["wall", "cpu"] = dataclasses.field(default="wall", metadata=LATER)
    freeze: tuple[str, ...] = dataclasses.field(default=(), metadata=LATER)
    augment: AugmentOptions = dataclasses.field(default=AugmentOptions(), metadata=LATER)
    same_language: Probability = dataclasses.field(default=0.0, metadata=LATER)
    repeats: Annotated[int, Range(1, 1000)] = dataclasses.field(default=1, metadata=LATER)
    noise: TrainNoiseOptions = dataclasses.field(default=TrainNoiseOptions(), metadata=LATER)
    room: TrainRoomOptions = dataclasses.field(default=TrainRoomOptions(), metadata=LATER)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("num_spk", "speed"):
            if getattr(self, name) == ():
                raise ValueError(f"{name}: expected a list of numbers, got none")
        if any(abs(factor * 100 - round(factor * 100)) > 1e-6 for factor in self.speed):
            raise ValueError(f"speed: expected multiples of 0.01, got {list(self.speed)}")
        if self.data == "fixed" and self.speed != (1.0,):
            raise ValueError("speed: mixtures that are fixed have the speed [1.0]")
        if self.data == "fixed" and self.augment != AugmentOptions():
            raise ValueError("augment: expected data 'dynamic' or 'single' with it, got 'fixed'")
        if self.same_language and self.data != "dynamic":
            raise ValueError(f"same_language: expected data 'dynamic' with it, got '{self.data}'")
        if self.repeats > 1 and self.data != "dynamic":
            raise ValueError(f"repeats: expected data 'dynamic' with it, got '{self.data}'")
        if self.balance is not None:
            self._check_balance()
        if self.batches_per_epoch is not None and self.batches_per_epoch % self.accumulate:
            raise ValueError(
                f"batches_per_epoch: expected a multiple of accumulate ({self.accumulate}), "
                f"got {self.batches_per_epoch}"
            )
        stated = self.scheduler_conf.get("mode", self.best_mode)
        if self.scheduler == "reducelronplateau" and stated != self.best_mode:
            raise ValueError(f"scheduler_conf: mode is best_mode, '{self.best_mode}', got '{stated}'; leave it out")
        if "lr" in self.optim_conf:
            raise ValueError("optim_conf: the learning rate has its own option, learning_rate")

    def _check_balance(self) -> None:
        if not self.balance:
            raise ValueError("balance: expected null or a share for each corpus, got none")
        if self.data == "fixed":
            raise ValueError(
                "balance: expected data 'single' or 'dynamic' with it (single speakers are balanced), got 'fixed'"
            )
        if self.epochs == 0:
            raise ValueError("balance: epochs is 0, so this phase reads nothing; take it out or set epochs")
