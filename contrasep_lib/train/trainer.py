"""ESPnet's trainer with safe checkpoints, averaged weights, a time budget and plain errors."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch

from contrasep_lib.errors import ContrasepError, is_out_of_memory
from contrasep_lib.objectives.ranks import distributed
from contrasep_lib.train.agreement import of_first, of_one_epoch, seen_by_all
from contrasep_lib.train.curves import draw_curves
from contrasep_lib.train.espnet import Trainer, TrainerOptions, build_dataclass, force_gatherable
from contrasep_lib.train.espnet import trainer as espnet_trainer
from contrasep_lib.train.probe import Probe
from contrasep_lib.train.session import CHECKPOINT, Session, WeightAverage, duration, log

SECONDS_BETWEEN_PICTURES = 60.0


@dataclasses.dataclass
class Options(TrainerOptions):
    """ESPnet's options and ours.

    Attributes:
        identity: configuration that a checkpoint must share, plain values.
        ema_decay: see `contrasep_lib.train.options.TrainOptions`, as the following.
        budget_minutes: time for training.
        budget_clock: whose time.
        batch_size: for the words of an error.
        segment_seconds: likewise.
        rate: Hz.
        probe: mixtures that are separated after each epoch.
        bfloat16: mixed precision on the CPU, which ESPnet has for GPUs alone.
    """

    identity: Mapping[str, Any]
    ema_decay: float | None
    budget_minutes: float | None
    budget_clock: str
    batch_size: int
    segment_seconds: float | None
    rate: int
    probe: int
    bfloat16: bool


class TrainingIsOver(Exception):
    """Raised before an epoch that is not to be trained; all before it are saved."""


class SafeTrainer(Trainer):
    """Trainer whose runs can be killed at any moment.

    `session` is that of the last run, with the statistics of its epochs; `probe`, of the type
    `probe_type`, looks into its validation.
    """

    probe_type: ClassVar[type[Probe]] = Probe
    session: ClassVar[Session]
    probe: ClassVar[Probe]

    @classmethod
    def build_options(cls, args: Any) -> Options:
        """Options out of the task's arguments."""
        return build_dataclass(Options, args)

    @classmethod
    def run(
        cls, model, optimizers, schedulers, *, valid_iter_factory, trainer_options, distributed_option, **rest
    ) -> None:
        """Train, from the last checkpoint where there is one; arguments as ESPnet's.

        ESPnet's loop saves without a hook and averages the best epochs in a way that our own
        replaces, so both functions are exchanged while it runs.

        Raises:
            ContrasepError: loss that is not finite, memory that does not suffice, a checkpoint
                that is not whole or is another configuration's.
        """
        options = trainer_options
        master = not distributed_option.distributed or distributed_option.dist_rank == 0
        average = None if options.ema_decay is None else WeightAverage(model, options.ema_decay)
        budget = None if options.budget_minutes is None else 60 * options.budget_minutes
        cls.session = session = Session(
            Path(options.output_dir), options.identity, average, tuple(options.early_stopping_criterion[1:]),
            options.max_epoch, budget, options.rate, master,
            time.process_time if options.budget_clock == "cpu" else time.monotonic, options.patience,
        )
        cls.probe = cls.probe_type(valid_iter_factory.first_items(), options.probe)
        if distributed_option.distributed:
            cls.probe.share(distributed_option.dist_rank, distributed_option.dist_world_size)
            seen_by_all(session.folder / CHECKPOINT)
        with contextlib.ExitStack() as stack:
            stack.callback(model.register_forward_hook(cls._watch, with_kwargs=True).remove)
            if average:
                for optimizer in optimizers:
                    stack.callback(optimizer.register_step_post_hook(lambda *_: average.update()).remove)
            stack.enter_context(_exchanged(torch, "save", functools.partial(session.save, torch.save)))
            stack.enter_context(_exchanged(espnet_trainer, "average_nbest_models", lambda **_: None))
            if options.bfloat16:
                # around each forward pass; no gradient needs scaling, for bfloat16 has float32's range
                autocast = functools.partial(torch.autocast, "cpu", torch.bfloat16)
                stack.enter_context(_exchanged(espnet_trainer, "autocast", lambda *_, **__: autocast()))
            try:
                super().run(
                    model=model, optimizers=optimizers, schedulers=schedulers,
                    trainer_options=dataclasses.replace(options, patience=None),
                    valid_iter_factory=valid_iter_factory, distributed_option=distributed_option, **rest,
                )
            except TrainingIsOver:
                why = "time is up" if session.spent else "no more progress"
                log.info("%s after %s of training", why, duration(session.seconds))
        if master and session.stats:
            draw_curves(session.folder / "images" / "learning_curves.png", session.stats)

    @classmethod
    def resume(
        cls, checkpoint, model, reporter, optimizers, schedulers, scaler, ngpu: int = 0, strict: bool = True
    ) -> None:
        """Load the last whole checkpoint; arguments as ESPnet's, whose own way runs code from the file."""
        states = of_one_epoch(cls.session.restore) if distributed() else cls.session.restore()
        model.load_state_dict(states["model"], strict=strict)
        reporter.load_state_dict(states["reporter"])
        for part, state in zip([*optimizers, *schedulers], [*states["optimizers"], *states["schedulers"]]):
            if part is not None:
                part.load_state_dict(state)
        if scaler is not None and states["scaler"] is not None:
            scaler.load_state_dict(states["scaler"])
        log.info("resumed after epoch %d", reporter.get_epoch())

    @classmethod
    def train_one_epoch(
        cls, model, iterator, optimizers, *, reporter, options, distributed_option, **rest
    ) -> bool:
        """One epoch, or as much of it as there is time for; arguments as ESPnet's."""
        session = cls.session
        over = session.master and session.is_over(reporter.get_epoch())
        # clocks of processes differ, and all must stop at the same epoch
        if of_first(over) if distributed_option.distributed else over:
            raise TrainingIsOver
        if distributed_option.distributed and distributed_option.dist_rank:
            # dropout of its own; what is drawn for items does not come from here (`contrasep_lib.objectives.ranks`)
            torch.manual_seed(options.seed + reporter.get_epoch() + (distributed_option.dist_rank << 32))
        for optimizer in optimizers:
            # what an incomplete accumulation left over would be lost by a resume
            optimizer.zero_grad()
        with cls._plain_errors(options):
            return super().train_one_epoch(
                model=model, optimizers=optimizers, reporter=reporter, options=options,
                iterator=session.steps(iterator, reporter.get_epoch(), options.accum_grad),
                distributed_option=distributed_option, **rest,
            )

    @classmethod
    def validate_one_epoch(cls, model, iterator, reporter, options, distributed_option) -> None:
        """Validation of the averaged weights, where they are kept; arguments as ESPnet's."""
        session = cls.session
        with contextlib.ExitStack() as stack, cls._plain_errors(options):
            if session.average:
                session.average.swap()
                stack.callback(session.average.swap)
            super().validate_one_epoch(model, iterator, reporter, options, distributed_option)
            model = getattr(model, "module", model)
            improvement = cls.probe.si_snri(model)
            if improvement is not None:
                reporter.register({"si_snri": improvement})
                reporter.next()
            if session.master:
                # before a schedule asks for it
                session.require_best(reporter.stats)
            cls._draw(model, reporter.get_epoch())

    @classmethod
    def _watch(cls, model: torch.nn.Module, arguments: Any, batch: Mapping[str, Any], output: Any) -> Any:
        """Stop at a loss that is not finite; called after each forward pass of the model.

        Returns:
            the output with vectors of one in place of scalars, which ESPnet's averages over
            processes want.
        """
        loss = cls.session.loss = float(output[0].detach())
        if loss - loss != 0:
            ids = " ".join(batch.get("utt_id", ()))
            raise ContrasepError(
                f"the loss is {loss} at the batch of {ids}; the last good checkpoint is kept: lower the "
                "learning rate, or look at these utterances"
            )
        _, stats, weight = output
        # copies: ESPnet divides the loss in place before it reports the statistics
        stats = {name: value.detach().clone() for name, value in stats.items()}
        return force_gatherable((output[0], stats, weight), output[0].device)

    @classmethod
    def _draw(cls, model: torch.nn.Module, epoch: int) -> None:
        """Pictures now and then: drawing takes longer than a short epoch."""
        session = cls.session
        last = epoch == session.epochs or session.spent
        if session.master and (last or time.monotonic() - session.drawn > SECONDS_BETWEEN_PICTURES):
            session.drawn = time.monotonic()
            cls.probe.draw(model, session.folder / "images" / "embeddings.png", f"epoch {epoch}")
            if session.stats and not last:
                draw_curves(session.folder / "images" / "learning_curves.png", session.stats)

    @staticmethod
    @contextlib.contextmanager
    def _plain_errors(options: Options) -> Iterator[None]:
        """Errors of memory and of data processes in one line."""
        what = f"a batch_size of {options.batch_size} and segment_seconds of {options.segment_seconds}"
        try:
            yield
        except ContrasepError as error:
            raise ContrasepError(last_error(str(error)) or str(error)) from None
        except (MemoryError, RuntimeError) as error:
            text = str(error)
            if re.search(r"DataLoader worker .*(exited unexpectedly|killed by signal)", text):
                raise ContrasepError(
                    f"a process that prepares data was killed with {what}; out of memory? lower num_workers"
                ) from None
            if is_out_of_memory(error):
                raise ContrasepError(f"out of memory with {what}; lower one of them") from None
            raise


@contextlib.contextmanager
def _exchanged(owner: Any, name: str, value: Any) -> Iterator[None]:
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)


def last_error(text: str) -> str | None:
    """The message of the last ContrasepError in a traceback that another process sent, if any."""
    found = re.findall(r"^contrasep_lib\.errors\.ContrasepError: (.*)$", text, flags=re.MULTILINE)
    return found[-1] if found else None
