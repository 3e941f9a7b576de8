"""Training of the recogniser, within a time that is given."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from contrasep_lib.asr.data import Spoken, batches
from contrasep_lib.asr.files import save_recogniser
from contrasep_lib.asr.options import AsrOptions
from contrasep_lib.asr.recogniser import Recogniser, least_samples, padded
from contrasep_lib.asr.tokens import Tokens
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import write_text
from contrasep_lib.score.words import error_rate

LARGEST_GRADIENT = 5.0
CURVE = ("minutes", "cpu_minutes", "steps", "epoch", "loss", "wer", "uer")


def transcribe_all(model: Recogniser, recordings: Sequence[Spoken]) -> list[str]:
    """Transcripts of recordings, in their order."""
    model.eval()
    made = [""] * len(recordings)
    for batch in batches(recordings, model.options.batch_seconds):
        audio = [recordings[index].audio(model.options.rate) for index in batch]
        for index, text in zip(batch, model.transcribe(audio)):
            made[index] = text
    return made


def error_rates(model: Recogniser, recordings: Sequence[Spoken]) -> tuple[float, float]:
    """Word and unit error rate on recordings, as shares of the words and units that were said."""
    said, heard = [one.text for one in recordings], transcribe_all(model, recordings)
    pieces = model.tokens.pieces
    return error_rate([text.split() for text in said], [text.split() for text in heard]), error_rate(
        [pieces(text) for text in said], [pieces(text) for text in heard]
    )


def _endless(recordings: Sequence[Spoken], options: AsrOptions) -> Iterator[tuple[int, list[int]]]:
    """Epoch and indices of batch after batch; each epoch draws its own."""
    epoch = 0
    while True:
        epoch += 1
        rng = np.random.default_rng((options.seed, epoch))
        for batch in batches(recordings, options.batch_seconds, rng):
            yield epoch, batch


def _batch(
    recordings: Sequence[Spoken], units: Sequence[list[int]], batch: Sequence[int], rate: int
) -> tuple[torch.Tensor, ...]:
    audio, lengths = padded([recordings[index].audio(rate) for index in batch])
    longest = max(len(units[index]) for index in batch)
    targets = torch.full((len(batch), longest), -1)
    for row, index in zip(targets, batch):
        row[: len(units[index])] = torch.tensor(units[index])
    return audio, lengths, targets, torch.tensor([len(units[index]) for index in batch])


def _factor(progress: float, warmup: float) -> float:
    """Share of the highest learning rate: up along a line, down along a cosine."""
    if progress < warmup:
        return max(progress, 1e-3) / warmup
    return 0.5 + 0.5 * math.cos(math.pi * min((progress - warmup) / (1 - warmup), 1.0))


def _optimiser(model: Recogniser, options: AsrOptions) -> torch.optim.Optimizer:
    if options.optim == "adam":
        return torch.optim.Adam(model.parameters(), lr=options.learning_rate)
    from contrasep_lib.train.muon import MuonAdam

    return MuonAdam(model.named_parameters(), lr=options.learning_rate)


class Training:
    """One training: what it learns from, where it writes.

    Args:
        training, validation: recordings with transcripts.
        options: the section ``asr``.
        folder: receives ``asr.pth``, the best by word error rate on validation, and ``curve.tsv``, a line for each
            validation.
        device: where it computes.

    Raises:
        ContrasepError: no transcripts, or no recording to learn from; recordings that are too short for the encoder
            are left out.
    """

    def __init__(
        self, training: Sequence[Spoken], validation: Sequence[Spoken], options: AsrOptions, folder: Path,
        device: str = "cpu",
    ) -> None:
        torch.manual_seed(options.seed)
        self.options, self.folder, self.device = options, folder, device
        tokens = Tokens.train((one.text for one in training), options.units)
        units = [tokens.encode(one.text) for one in training]
        fewest = least_samples(options, training=True)
        long = [round(one.seconds * options.rate) >= fewest for one in training]
        kept = [index for index, numbers in enumerate(units) if numbers and long[index]]
        self.short, self.least = long.count(False), fewest / options.rate
        if not kept or not validation:
            lacking = "--valid-sets" if kept else "--train-sets"
            least = f" of {self.least:.2f} s or more" if self.short and not kept else ""
            raise ContrasepError(f"{lacking}: no recording with words{least}; name sets with transcripts")
        self.training, self.units = [training[index] for index in kept], [units[index] for index in kept]
        self.validation = list(validation)
        words = {word for one in self.training for word in one.text.split()}
        self.model = Recogniser(options, tokens, words).to(device)
        self.curve: list[tuple[float, ...]] = []
        self.best = math.inf

    def run(self, log: Any = print) -> float:
        """Train until time or steps are over; returns the best word error rate on validation."""
        options, model = self.options, self.model
        if self.short:
            log(f"{self.short} recordings are shorter than {self.least:.2f} s and left out")
        optimiser = _optimiser(model, options)
        clock = time.process_time if options.budget_clock == "cpu" else time.monotonic
        started, validated = clock(), 0.0
        losses: list[float] = []
        step = epoch = 0
        for epoch, batch in _endless(self.training, options):
            minutes = (clock() - started) / 60
            progress = max(minutes / options.budget_minutes, step / options.steps)
            if progress >= 1:
                break
            if minutes - validated >= options.valid_every:
                self._validate(minutes, step, epoch, losses, log)
                validated = (clock() - started) / 60
            for group in optimiser.param_groups:
                group["lr"] = options.learning_rate * _factor(progress, options.warmup)
            model.train()
            tensors = _batch(self.training, self.units, batch, options.rate)
            loss = model.loss(*(tensor.to(self.device) for tensor in tensors))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), LARGEST_GRADIENT)
            step += 1
            # one such batch must not end a training
            if torch.isfinite(norm):
                optimiser.step()
                losses.append(float(loss.detach()))
        self._validate((clock() - started) / 60, step, epoch, losses, log)
        return self.best

    def _validate(self, minutes: float, step: int, epoch: int, losses: list[float], log: Any) -> None:
        wer, uer = error_rates(self.model, self.validation)
        loss = float(np.mean(losses)) if losses else math.nan
        losses.clear()
        cpu = time.process_time() / 60
        self.curve.append((round(minutes, 2), round(cpu, 2), step, epoch, round(loss, 4), round(wer, 4), round(uer, 4)))
        lines = ["\t".join(CURVE), *("\t".join(map(str, line)) for line in self.curve)]
        write_text(self.folder / "curve.tsv", "\n".join(lines) + "\n")
        when = f"{minutes:.1f} minutes ({cpu:.1f} of processor time), step {step}, epoch {epoch}"
        log(f"{when}: loss {loss:.3f}, WER {wer:.1%}, UER {uer:.1%}")
        if wer < self.best or len(self.curve) == 1:
            self.best = wer
            record = {"utterances": len(self.training), "hours": sum(one.seconds for one in self.training) / 3600}
            save_recogniser(self.folder / "asr.pth", self.model, {**record, **dict(zip(CURVE, self.curve[-1]))})
