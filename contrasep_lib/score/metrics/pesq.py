"""Perceptual evaluation of speech quality."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

from contrasep_lib.config import Bounded, choice
from contrasep_lib.errors import ContrasepError
from contrasep_lib.score.metrics.perceptual import Perceptual, is_silent

if TYPE_CHECKING:
    import numpy as np

NARROW, WIDE = 8000, 16000


@choice("metric", "pesq", target="Pesq")
@dataclasses.dataclass(frozen=True)
class PesqOptions(Bounded):
    """PESQ and its improvement over the mixture, by the package pesq (pip install 'contrasep[pesq]').

    Attributes:
        band: ``nb`` (narrow band, ITU-T P.862.1) or ``wb`` (wide band, P.862.2, for mixtures of 16 kHz and more).
    """

    band: Literal["nb", "wb"] = "nb"


class Pesq(Perceptual):
    """PESQ of ITU-T P.862 as MOS-LQO, 1 to 4.55 (``nb``) or 4.64 (``wb``), larger is better.

    Narrow band takes 8 and 16 kHz as they are and other rates at 8 kHz, wide band rates above 16 kHz at 16 kHz. The
    score does not exist where PESQ finds no utterance (silence) or fewer than 0.25 s.

    Raises:
        ContrasepError: wide band for mixtures below 16 kHz.
    """

    name = "pesq"

    @property
    def title(self) -> str:  # type: ignore[override]
        """Heading, with the band where it is not the usual one."""
        return "PESQ" if self.options.band == "nb" else "PESQ wb"

    def judge(self, signal: np.ndarray, source: np.ndarray, rate: int) -> float | None:
        import math

        import pesq

        from contrasep_lib.io.audio import resample_audio

        wide = self.options.band == "wb"
        if wide and rate < WIDE:
            raise ContrasepError(f"score.metrics.pesq.band: wb needs mixtures of {WIDE} Hz, got {rate} Hz; set nb")
        if is_silent(source) or is_silent(signal):
            return None
        own = WIDE if wide else rate if rate in (NARROW, WIDE) else NARROW
        pair = [resample_audio(each, rate, own) for each in (source, signal)]
        try:
            value = float(pesq.pesq(own, *pair, self.options.band))
        except (pesq.NoUtterancesError, pesq.BufferTooShortError):
            return None
        except (pesq.PesqError, RuntimeError, ValueError) as error:
            raise ContrasepError(f"score.metrics.pesq: {' '.join(str(error).split())}; leave the metric out") from None
        return value if math.isfinite(value) else None
