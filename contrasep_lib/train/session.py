"""What a run of the trainer keeps beside ESPnet's own state: averages, checkpoints, time."""

from __future__ import annotations

import contextlib
import datetime
import logging
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from contrasep_lib.config import legacy
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import atomic_path
from contrasep_lib.models.checkpoint import first_difference, read_states, write_states
from contrasep_lib.objectives.ranks import distributed

CHECKPOINT = "checkpoint.pth"
PREVIOUS = "checkpoint.previous.pth"
# what ESPnet's reporter and torch's schedulers leave in a checkpoint beside plain values and tensors
SAFE = (datetime.timedelta, np._core.multiarray.scalar, np.dtype, type(np.dtype(np.float64)))
SECONDS_BETWEEN_LINES = 10.0
# mean cosine from which on embeddings have collapsed to one point
ALIKE = 0.999

log = logging.getLogger("contrasep.train")


class WeightAverage:
    """Running average of a model's parameters.

    The decay grows from 0.18 to ``decay`` over the first steps, as (1 + n) / (10 + n), so the
    initial weights are soon forgotten.

    Args:
        model: its buffers are not averaged.
        decay: share of the average that one step keeps.
    """

    def __init__(self, model: torch.nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self.parameters = dict(model.named_parameters())
        self.average = {name: value.detach().clone() for name, value in self.parameters.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the parameters after a step."""
        self.steps += 1
        keep = min(self.decay, (1 + self.steps) / (10 + self.steps))
        blend = torch.optim.swa_utils.get_ema_multi_avg_fn(keep)
        blend(list(self.average.values()), [value.detach() for value in self.parameters.values()], self.steps)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange average and parameters; a second call undoes it."""
        for name, value in self.parameters.items():
            current = value.detach().clone()
            value.copy_(self.average[name])
            self.average[name].copy_(current)

    def state_dict(self) -> dict[str, Any]:
        """Plain values and tensors."""
        return {"steps": self.steps, "average": self.average}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.steps = state["steps"]
        for name, value in state["average"].items():
            self.average[name].copy_(value)


class Session:
    """One run: reads and writes its checkpoints, counts its time, tells how far it is.

    A checkpoint is ``checkpoint.pth``, all that resuming needs, and ``Nepoch.pth``, the weights
    that were validated. The latter is written first and both appear only when whole; the checkpoint
    before is kept as ``checkpoint.previous.pth``.

    Args:
        folder: of the phase.
        identity: configuration, plain values; a checkpoint of another one is refused.
        average: running average of the weights, or None.
        best: statistic of validation that judges an epoch, and whether ``min`` or ``max`` is best.
        epochs: epochs at most.
        budget: seconds of training over all runs, or None.
        rate: Hz, for telling the speed.
        master: whether this process writes and tells; of several training processes the first.
        clock: gives seconds, by which time is counted.
        patience: training stops when as many epochs and one more brought nothing better.
    """

    def __init__(
        self,
        folder: Path,
        identity: Mapping[str, Any],
        average: WeightAverage | None,
        best: tuple[str, str],
        epochs: int,
        budget: float | None,
        rate: int,
        master: bool = True,
        clock: Callable[[], float] = time.monotonic,
        patience: int | None = None,
    ) -> None:
        self.folder, self.identity, self.average, self.best = folder, identity, average, best
        self.epochs, self.budget, self.rate, self.master, self.patience = epochs, budget, rate, master, patience
        self.stats: dict[int, Any] = {}
        self.loss = float("nan")
        self.clock, self.begun, self.before = clock, clock(), 0.0
        self.started = time.monotonic()
        self.batches = 0
        self.bar = None if master else True
        self.reported = self.drawn = self.started

    @property
    def seconds(self) -> float:
        """Time spent in training so far, over all runs that continued each other."""
        return self.before + self.clock() - self.begun

    @property
    def spent(self) -> bool:
        """Whether the time is up."""
        return self.budget is not None and self.seconds >= self.budget

    # ------------------------------------------------------------ checkpoints

    def epoch_file(self, epoch: int) -> Path:
        """``Nepoch.pth``, the weights that were validated in an epoch."""
        return self.folder / f"{epoch}epoch.pth"

    def save(self, original: Callable[..., None], states: Any, path: Any, *arguments: Any) -> None:
        """In place of ``torch.save`` within ESPnet's loop.

        ESPnet writes the checkpoint before the weights of its epoch, so that a kill between the
        two leaves a checkpoint that cannot be finished; here both are written when it writes the
        first, in the other order, and its second call has nothing left to do.
        """
        if path == self.folder / CHECKPOINT:
            self._save_checkpoint(states)
        elif Path(path).parent != self.folder or not re.fullmatch(r"\d+epoch\.pth", Path(path).name):
            original(states, path, *arguments)

    def _save_checkpoint(self, states: dict[str, Any]) -> None:
        self.stats, epoch = states["reporter"]["stats"], states["reporter"]["epoch"]
        # a criterion that does not exist is reported before anything is written
        self.ranking()
        states = {
            **states, "identity": self.identity, "seconds": self.seconds,
            "average": self.average.state_dict() if self.average else None,
        }
        write_states(self.epoch_file(epoch), self._weights(states))
        shown = dict.fromkeys(("loss", self.best[0], "si_snri"))
        valid = self.stats[epoch]["valid"]
        values = ", ".join(f"{name} {valid[name]:.4g}" for name in shown if name in valid)
        best = ", the best so far" if self.ranking()[:1] == [epoch] else ""
        log.info("epoch %d/%d in validation: %s%s", epoch, self.epochs, values, best)
        if min(valid.get("within", 0.0), valid.get("between", 0.0)) > ALIKE:
            log.warning(
                "epoch %d: all embeddings are alike (mean cosine %.4f within speakers, %.4f between them); "
                "take a lower learning_rate, or warm up (scheduler: warmupconstant)",
                epoch, valid["within"], valid["between"],
            )
        checkpoint = self.folder / CHECKPOINT
        if checkpoint.is_file():
            _duplicate(checkpoint, self.folder / PREVIOUS)
        write_states(checkpoint, states)

    @staticmethod
    def _weights(states: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        return {**states["model"], **(states["average"]["average"] if states["average"] else {})}

    def restore(self) -> dict[str, Any]:
        """The states of the last whole checkpoint; repairs what an error left of it.

        Raises:
            ContrasepError: no whole checkpoint, or one of another configuration.
        """
        checkpoint, previous = self.folder / CHECKPOINT, self.folder / PREVIOUS
        try:
            states = read_states(checkpoint, safe=SAFE)
        except ContrasepError as error:
            if not previous.is_file():
                raise
            states = read_states(previous, safe=SAFE)
            log.warning("%s; going on from %s", str(error).partition(";")[0], previous)
            if self.master:
                _duplicate(previous, checkpoint)
        if "identity" not in states:
            raise ContrasepError(
                f"{checkpoint}: not a checkpoint of contrasep; delete it or name another folder"
            )
        before, now = legacy.identity_of_today(states["identity"]), dict(self.identity)
        if not {"init_param"} <= before.keys() & now.keys():
            # earlier versions did not keep it, and what goes on needs no weights to begin with
            before, now = ({key: value for key, value in one.items() if key != "init_param"} for one in (before, now))
        difference = first_difference(before, now)
        if difference:
            raise ContrasepError(
                f"{checkpoint}: checkpoint of another configuration ({difference}); delete {self.folder} "
                "or name another folder"
            )
        if self.master:
            self._repair(self.epoch_file(states["reporter"]["epoch"]), states)
        states["reporter"]["stats"] = legacy.statistics_of_today(states["reporter"]["stats"])
        self.stats, self.before = states["reporter"]["stats"], states["seconds"]
        if self.average:
            self.average.load_state_dict(states["average"])
        return states

    def _repair(self, weights: Path, states: Mapping[str, Any]) -> None:
        try:
            read_states(weights)
        except ContrasepError:
            log.warning("%s: not whole; written again from %s", weights, self.folder / CHECKPOINT)
            write_states(weights, self._weights(states))

    # ---------------------------------------------------------------- product

    def require_best(self, known: Iterable[str]) -> None:
        """Raise ContrasepError where validation, which has these statistics, has none by which epochs are judged."""
        if self.best[0] not in known:
            numbers = ", ".join(sorted(key for key in known if key not in ("time", "total_count")))
            raise ContrasepError(f"best: no statistic '{self.best[0]}' in validation; known: {numbers}")

    def ranking(self, kept: bool = True) -> list[int]:
        """Epochs, the best first.

        Args:
            kept: only those whose weights are there.

        Raises:
            ContrasepError: validation has no such statistic.
        """
        (name, mode), values = self.best, {}
        for epoch, stats in self.stats.items():
            known = stats.get("valid", {})
            self.require_best(known)
            values[epoch] = known[name] if mode == "min" else -known[name]
        # the earlier of equals is the better, whatever comes after
        ranked = sorted((value, epoch) for epoch, value in values.items() if not np.isnan(value))
        return [epoch for _, epoch in ranked if not kept or self.epoch_file(epoch).is_file()]

    def is_over(self, epoch: int) -> bool:
        """Whether there is no time for an epoch, or the last ones have brought nothing better.

        Of several training processes the first decides. ESPnet has a rule of its own for the latter, which each process
        would follow by itself, and which forgets at each resume.
        """
        if epoch == 1:
            # an epoch at least, however little: there is no model without one
            return False
        best = self.ranking(kept=False)[:1]
        return self.spent or (self.patience is not None and bool(best) and epoch - 1 - best[0] > self.patience)

    def average_of(self, epochs: list[int]) -> dict[str, torch.Tensor]:
        """Mean of the weights of epochs; what is no floating number is taken from the first."""
        mean = read_states(self.epoch_file(epochs[0]))
        for count, epoch in enumerate(epochs[1:], 2):
            other = read_states(self.epoch_file(epoch))
            for name, value in mean.items():
                if value.is_floating_point():
                    value.lerp_(other[name], 1 / count)
        return mean

    # --------------------------------------------------------------- progress

    def steps(self, iterator: Iterable, epoch: int, accumulate: int) -> Iterator:
        """The batches of an epoch, until the time is up; tells how far training is.

        Args:
            accumulate: batches that make a step; time ends after a whole step.
        """
        length = len(iterator)
        # each process takes its share of a batch
        processes = torch.distributed.get_world_size() if distributed() else 1
        begun, speech, loss = time.monotonic(), 0.0, 0.0
        # drawn on a terminal only; a log has the lines
        with tqdm(total=length, desc=f"epoch {epoch}/{self.epochs}", leave=False, disable=self.bar) as bar:
            for number, (ids, batch) in enumerate(iterator, 1):
                yield ids, batch
                self.batches += 1
                speech += processes * float(batch["mixture_lengths"].sum()) / self.rate
                loss += self.loss
                now = time.monotonic()
                left = (now - self.started) / self.batches * (length * (self.epochs - epoch + 1) - number)
                if self.budget is not None:
                    left = min(left, max(0.0, self.budget - self.seconds))
                words = (
                    f"loss {loss / number:.4g}, {speech / (now - begun):.3g} hours of speech an hour, "
                    f"{duration(left)} left"
                )
                bar.set_postfix_str(words, refresh=False)
                bar.update()
                # the other training processes end with the first
                end = self.master and self.spent and number % accumulate == 0
                if number == length or end or now - self.reported >= SECONDS_BETWEEN_LINES:
                    self.reported = now
                    log.info("epoch %d/%d, batch %d/%d: %s", epoch, self.epochs, number, length, words)
                if end:
                    return


def duration(seconds: float) -> str:
    """A time in words: ``45 s``, ``12 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _duplicate(path: Path, other: Path) -> None:
    """A second name for a file, or a copy where the file system has no hard links."""
    with atomic_path(other) as temporary:
        second = temporary.with_suffix(".link")
        try:
            os.link(path, second)
        except OSError:
            shutil.copyfile(path, temporary)
        else:
            os.replace(second, temporary)


@contextlib.contextmanager
def logged(folder: Path, master: bool) -> Iterator[None]:
    """All lines to ``train.log``; our own and errors to the terminal, where a bar may stand in."""
    folder.mkdir(parents=True, exist_ok=True)
    console = logging.StreamHandler(sys.stderr)
    handlers: list[logging.Handler] = [console]
    if master:
        handlers.append(logging.FileHandler(folder / "train.log", encoding="utf-8"))
        # steps are drawn as a bar on a terminal
        steps_shown = not sys.stderr.isatty()
        console.addFilter(
            lambda record: record.name == log.name and (steps_shown or "batch" not in record.msg)
        )
    else:
        console.setLevel(logging.ERROR)
    lines = logging.Formatter("%(asctime)s (%(module)s:%(lineno)d) %(levelname)s: %(message)s")
    handlers[-1].setFormatter(lines)
    console.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    root, level = logging.getLogger(), logging.getLogger().level
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    for handler in handlers:
        root.addHandler(handler)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.setLevel(level)
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()
