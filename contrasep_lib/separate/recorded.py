"""Separation of one recording: outputs and what is left of it, at the model's rate or the recording's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.audio import resample_blocks
from contrasep_lib.io.recording import Recording
from contrasep_lib.separate.long import LongSeparation
from contrasep_lib.separate.shipped import NamedSeparator

# root mean square that networks are given, about that of the mixtures of training
_LEVEL = 0.1


class RecordedSeparation:
    """The separation of a recording.

    The recording is brought to the level of the mixtures of training, by a power of two so that nothing is rounded,
    and its outputs back to its own. With the rest, outputs add up to the recording without its mean.

    Args:
        separator: trained model.
        recording: at the model's rate.
        num_spk: speakers of the whole recording, or None to estimate them.
        window: seconds of a window; a recording no longer than this is separated in one piece.
        advance: called with the seconds that each step has processed.
        work: see `LongSeparation`.

    Attributes:
        done: the separation at the level of training.
        num_spk: outputs.

    Raises:
        ContrasepError: nothing but silence, samples beyond 32-bit floats, a window shorter than a second, fewer
            speakers than one.

    Use as a context manager.
    """

    def __init__(
        self,
        separator: NamedSeparator,
        recording: Recording,
        num_spk: int | None = None,
        window: float = 30,
        advance: Callable[[float], object] = lambda seconds: None,
        work: Path | None = None,
    ) -> None:
        self.recording, self.rate = recording, separator.rate
        if not np.isfinite(recording.samples).all():
            raise ContrasepError(
                f"'{recording.source.label}': expected 1 for full scale, got samples beyond 32-bit floats; scale them"
            )
        self._gain = np.float32(level_gain(recording.samples))
        self.done = LongSeparation(
            separator.separator, recording.source.label, recording.samples, separator.rate, num_spk, window, advance,
            # by window: of an hour a second copy would be a tenth of the memory
            work, float(self._gain),
        )
        self.num_spk = self.done.num_spk

    def __enter__(self) -> RecordedSeparation:
        self.done.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.done.__exit__(kind, error, trace)

    def blocks(self, original: bool = False) -> Iterator[np.ndarray]:
        """Outputs and, as the last row, the rest: they add up to the recording without its mean.

        Args:
            original: at the recording's own rate in place of the model's. What the model does not see, above half of
                its rate, is in the rest.

        Yields:
            ``(num_spk + 1, samples)`` float32, in order of time.
        """
        outputs = (block / self._gain for block in self.done.blocks())
        if original and self.recording.rate != self.rate:
            outputs = resample_blocks(outputs, self.rate, self.recording.rate)
            whole: Iterable[np.ndarray] = self.recording.original()
        else:
            whole = [self.recording.samples]
        for block, mixture in side_by_side(outputs, whole):
            yield np.concatenate([block, mixture - block.sum(axis=0, keepdims=True)]).astype(np.float32, copy=False)


def level_gain(samples: np.ndarray) -> float:
    """The power of two that brings samples next to the level of training; 1 for silence."""
    power = float(np.square(samples, dtype=np.float64).mean()) if len(samples) else 0.0
    # float32 has room for 2^126; no recording needs it
    return 2.0 ** min(max(round(math.log2(_LEVEL / math.sqrt(power))), -100), 100) if power > 0 else 1.0


def side_by_side(first: Iterable[np.ndarray], second: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Two signals that come in blocks, ``(.., samples)``, in blocks of equal length, as far as both reach."""
    sides = [iter(first), iter(second)]
    held: list[np.ndarray | None] = [None, None]
    while True:
        for number, side in enumerate(sides):
            while held[number] is None or held[number].shape[-1] == 0:
                held[number] = next(side, None)
                if held[number] is None:
                    return
        samples = min(each.shape[-1] for each in held)
        yield held[0][..., :samples], held[1][..., :samples]
        held = [each[..., samples:] for each in held]
