"""The diarisation error rate.

It is missed speech, false alarms and confused speakers over all speech (NIST Rich Transcription 2009); where several
speak at once each of them counts. Speakers of a hypothesis are mapped to those of the reference one to one, so that as
much time as possible agrees.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from contrasep_lib.io.rttm import FRAME, runs


@dataclasses.dataclass(frozen=True)
class DiarisationError:
    """Seconds of error.

    Attributes:
        missed, false_alarm, confusion: seconds, each speaker by itself.
        speech: seconds of the reference, each speaker by itself.
        mapping: hypothesis' number -> reference's.
    """

    missed: float
    false_alarm: float
    confusion: float
    speech: float
    mapping: dict[int, int]

    @property
    def rate(self) -> float:
        """Diarisation error rate; NaN where nobody speaks."""
        error = self.missed + self.false_alarm + self.confusion
        return error / self.speech if self.speech else math.nan


def diarisation_error(reference: np.ndarray, hypothesis: np.ndarray, collar: float = 0.0) -> DiarisationError:
    """Diarisation error of a hypothesis.

    Args:
        reference: ``(speakers, frames)`` bool.
        hypothesis: ``(others, frames)`` bool, of as many frames.
        collar: seconds to either side of the edges of the reference that are not judged.
    """
    from scipy.optimize import linear_sum_assignment

    judged = np.ones(reference.shape[1], bool)
    if collar:
        reach = round(collar / FRAME)
        marks = np.zeros(reference.shape[1] + 1, np.int32)
        for edge in np.concatenate([np.concatenate(runs(row)) for row in reference]):
            marks[max(edge - reach, 0)] += 1
            marks[min(edge + reach, len(judged))] -= 1
        judged = marks.cumsum()[:-1] == 0
    a, b = reference[:, judged].astype(np.float32), hypothesis[:, judged].astype(np.float32)
    together = a @ b.T
    rows, columns = linear_sum_assignment(-together)
    number, other = a.sum(0), b.sum(0)
    right = sum((a[i] * b[j] for i, j in zip(rows, columns)), np.zeros_like(number))
    missed, alarm = np.maximum(number - other, 0), np.maximum(other - number, 0)
    confused = np.minimum(number, other) - right
    missing, false, wrong, speech = (
        float(each.sum(dtype=np.float64)) * FRAME for each in (missed, alarm, confused, number)
    )
    mapping = {int(j): int(i) for i, j in zip(rows, columns) if together[i, j] > 0}
    return DiarisationError(missing, false, wrong, speech, mapping)
