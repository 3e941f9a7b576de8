"""What `training.py` times: the trainer's step, the two models, and clocks."""

from __future__ import annotations

import argparse
import collections
import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from espnet2.enh.loss.criterions.tf_domain import FrequencyDomainDPCL
from espnet2.enh.separator.dpcl_separator import DPCLSeparator
from espnet2.torch_utils.device_funcs import to_device
from espnet2.train.abs_espnet_model import AbsESPnetModel
from espnet2.train.distributed_utils import DistributedOption
from espnet2.train.reporter import Reporter

from contrasep_lib.config import build
from contrasep_lib.embedding import embedder
from contrasep_lib.embedding.backbones.options import BLSTMOptions
from contrasep_lib.mix.options import MixOptions
from contrasep_lib.models.options import ModelOptions
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.nodes.stft import num_frames, stft
from contrasep_lib.train import espnet_model, step
from contrasep_lib.train.data import DynamicMixtures, train_dataset
from contrasep_lib.train.iterator import EpochIterator
from contrasep_lib.train.options import TrainOptions
from contrasep_lib.train.session import Session
from contrasep_lib.train.task import ContrasepTask, build_arguments
from contrasep_lib.train.trainer import SafeTrainer

# batches of an epoch that no block comes to the end of
ENDLESS = 20000
LEAST_STEPS = 2

Batch = tuple[list[str], dict[str, torch.Tensor]]


def synchronise() -> None:
    """Wait until the GPU, where there is one in use, has done what it was given."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


class EspnetDPCL(AbsESPnetModel):
    """Deep clustering out of ESPnet's own separator and criterion, over our spectra.

    ESPnet's enhancement model takes the same way from spectra to loss (its ``DPCLSolver`` is this
    mean), but importing it needs the network.

    Args:
        options: ``embedding_dim`` and the backbone's ``layers`` and ``width`` are read.
        features: framing.
    """

    def __init__(self, options: ModelOptions, features: FeatureOptions) -> None:
        super().__init__()
        self.features = features
        self.separator = DPCLSeparator(
            features.win // 2 + 1, layer=options.backbone.layers, unit=options.backbone.width,
            emb_D=options.embedding_dim,
        )
        self.criterion = FrequencyDomainDPCL()

    def forward(
        self, mixture: torch.Tensor, mixture_lengths: torch.Tensor, sources: torch.Tensor, **kwargs: Any
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor]:
        """Loss of a batch that is sorted by falling length; see `contrasep_lib.train.espnet_model.EspnetModel.forward`."""
        spectrum = stft(mixture, self.features)
        references = list(stft(sources, self.features).unbind(1))
        _, _, others = self.separator(spectrum, num_frames(mixture_lengths, self.features))
        loss = self.criterion(references, others["tf_embedding"]).mean()
        return loss, {"loss": loss.detach()}, loss.new_tensor(float(len(mixture)))

    def collect_feats(
        self, mixture: torch.Tensor, mixture_lengths: torch.Tensor, **kwargs: Any
    ) -> dict[str, torch.Tensor]:
        """What it reads: samples ``(batch, samples)`` and their numbers ``(batch,)``, as ESPnet's own separators say."""
        return {"feats": mixture, "feats_lengths": mixture_lengths}


def task_arguments(args: argparse.Namespace) -> argparse.Namespace:
    """ESPnet's arguments, as a recipe's finetuning with the options of the command line has them."""
    config = {
        "features": FeatureOptions(),
        "model": ModelOptions(
            backbone=BLSTMOptions(layers=args.layers, width=args.width), embedding_dim=args.embedding_dim
        ),
        "mix": MixOptions(),
        "finetune": TrainOptions(batch_size=args.batch_size, segment_seconds=args.segment_seconds),
    }
    return build_arguments(config, "finetune", [args.dump], [args.dump], "unused", ngpu=args.ngpu)


def mixtures(task: argparse.Namespace) -> DynamicMixtures:
    """The training data of a task."""
    part = task.contrasep
    options = build(TrainOptions, part["train"], "finetune"), build(MixOptions, part["mix"], "mix")
    return train_dataset(part["train_sets"], *options)


def loader(dataset: DynamicMixtures, task: argparse.Namespace, workers: int) -> Iterable[Batch]:
    """Batches as training gets them, prepared by ``workers`` processes, from the first epoch on."""
    factory = EpochIterator(
        dataset, task.batch_size, ENDLESS, num_workers=workers, pin_memory=task.ngpu > 0
    )
    return factory.build_iter(1)


class Learner:
    """A model with its optimiser, stepped by the real trainer.

    Args:
        name: ``ours`` or ``espnet``.
        task: see `task_arguments`.
    """

    def __init__(self, name: str, task: argparse.Namespace) -> None:
        torch.manual_seed(0)
        self.name, self.task = name, task
        self.model: AbsESPnetModel = ContrasepTask.build_model(task)
        if name == "espnet":
            self.model = EspnetDPCL(self.model.options, self.model.features)
        self.device = "cuda" if task.ngpu else "cpu"
        self.model.to(self.device)
        (self.optimizer,) = ContrasepTask.build_optimizers(task, self.model)
        self.options = SafeTrainer.build_options(task)

    @property
    def parameters(self) -> int:
        """Numbers that are learnt."""
        return sum(value.numel() for value in self.model.parameters())

    def steps(self, batches: Iterable[Batch]) -> None:
        """Train on batches: `SafeTrainer.train_one_epoch` as in a recipe's run, without checkpoints."""
        options, reporter = self.options, Reporter()
        reporter.set_epoch(1)
        SafeTrainer.session = Session(
            Path(options.output_dir), {}, None, ("loss", "min"), 1, None, options.rate, master=False
        )
        watch = self.model.register_forward_hook(SafeTrainer._watch, with_kwargs=True)
        try:
            with reporter.observe("train") as observed:
                SafeTrainer.train_one_epoch(
                    model=self.model, iterator=batches, optimizers=[self.optimizer], schedulers=[None],
                    scaler=None, reporter=observed, summary_writer=None, options=options,
                    distributed_option=DistributedOption(),
                )
        finally:
            watch.remove()

    def breakdown(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Seconds of the parts of a step, mean over batches, of which the first is left out.

        The trainer's step written out, so that clipping stands apart. On a GPU each part is
        waited for, which makes the sum larger than a step of the trainer.
        """
        watch, model = Stopwatch(), self.model
        with contextlib.ExitStack() as stack:
            for owner, attribute, part in self._parts():
                stack.enter_context(watch.wrapped(owner, attribute, part))
            model.train()
            for count, (_, batch) in enumerate(batches):
                if count == 1:
                    watch.seconds.clear()
                with watch.part("transfer"):
                    batch = to_device(batch, self.device)
                with watch.part("loss"):
                    loss = model(**batch)[0]
                with watch.part("backward"):
                    loss.backward()
                with watch.part("clipping"):
                    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), self.options.grad_clip)
                    assert torch.isfinite(norm)
                with watch.part("optimiser"):
                    self.optimizer.step()
                    self.optimizer.zero_grad()
        return {name: seconds / count for name, seconds in watch.seconds.items()}

    def _parts(self) -> list[tuple[Any, str, str]]:
        """Functions of a forward pass and the part of the step that each is; the rest is loss."""
        model = self.model
        if isinstance(model, EspnetDPCL):
            return [(sys.modules[__name__], "stft", "features"), (model.separator, "forward", "backbone")]
        features = [(model, name, "features") for name in ("trimmed", "nodes_of", "weights_of")]
        return [
            *features, (step, "stft", "features"), (model.inputs, "forward", "features"),
            (model.granularity, "loudest", "features"), (model.backbone, "hidden", "backbone"),
            (model.backbone, "units", "backbone"), (embedder, "unit_norm", "unit norm"),
            (espnet_model, "similarity", "statistics"),
        ]


class Clock:
    """Hands batches on for some time, and times the waiting for each and the step made with it.

    Before a clock is read, the GPU has finished: waiting is the time in which it had nothing to do.

    Args:
        batches: the loader, or any other source.
        seconds: after these no further batch is handed on; at least two are timed.
        skip: first batches that are not timed.
    """

    def __init__(self, batches: Iterable[Batch], seconds: float, skip: int = 1) -> None:
        self.batches, self.limit, self.skip = batches, seconds, skip
        self.waits: list[float] = []
        self.works: list[float] = []
        self.samples = 0

    def __len__(self) -> int:
        return ENDLESS

    def __iter__(self) -> Iterator[Batch]:
        source = iter(self.batches)
        for number in range(ENDLESS):
            synchronise()
            begun = time.perf_counter()
            ids, batch = next(source)
            came = time.perf_counter()
            yield ids, batch
            synchronise()
            if number >= self.skip:
                self.waits.append(came - begun)
                self.works.append(time.perf_counter() - came)
                self.samples += int(batch["mixture_lengths"].sum())
                if self.seconds >= self.limit and len(self.works) >= LEAST_STEPS:
                    return

    @property
    def seconds(self) -> float:
        """Time of all timed batches."""
        return sum(self.waits) + sum(self.works)

    @property
    def rate(self) -> float:
        """Batches per second."""
        return len(self.works) / self.seconds

    @property
    def waiting(self) -> float:
        """Share of the time spent waiting for batches."""
        return sum(self.waits) / self.seconds


class Stopwatch:
    """Seconds by part; time within a part of a part counts for the inner one alone."""

    def __init__(self) -> None:
        self.seconds: collections.Counter = collections.Counter()
        self.running: list[str] = []
        self.mark = 0.0

    def _switch(self) -> None:
        synchronise()
        now = time.perf_counter()
        if self.running:
            self.seconds[self.running[-1]] += now - self.mark
        self.mark = now

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time what happens inside as a part."""
        self._switch()
        self.running.append(name)
        try:
            yield
        finally:
            self._switch()
            self.running.pop()

    @contextlib.contextmanager
    def wrapped(self, owner: Any, attribute: str, part: str) -> Iterator[None]:
        """Time all calls of a function of a module or of an object as a part."""
        original: Callable[..., Any] = getattr(owner, attribute)
        own = attribute in vars(owner)

        def timed(*arguments: Any, **options: Any) -> Any:
            with self.part(part):
                return original(*arguments, **options)

        setattr(owner, attribute, timed)
        try:
            yield
        finally:
            if own:
                setattr(owner, attribute, original)
            else:
                delattr(owner, attribute)


def sorted_batch(batch: Batch) -> Batch:
    """The batch by falling length, as ESPnet's recurrent layers want it."""
    ids, entries = batch
    order = entries["mixture_lengths"].argsort(descending=True, stable=True)
    return [ids[index] for index in order], {name: value[order] for name, value in entries.items()}


def padding(batches: Sequence[dict[str, torch.Tensor]]) -> float:
    """Share of the samples of batches that lie behind the ends of mixtures."""
    inside = sum(int(batch["mixture_lengths"].sum()) for batch in batches)
    return 1 - inside / sum(batch["mixture"].numel() for batch in batches)


def in_turn(batches: Sequence[Batch]) -> Iterator[Batch]:
    """The same batches over and over; fresh dictionaries, for the trainer adds to them."""
    while True:
        for ids, batch in batches:
            yield ids, dict(batch)
