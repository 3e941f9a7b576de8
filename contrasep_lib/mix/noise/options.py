"""Options of noise in mixtures: ``mix.noise`` of lists, ``finetune.noise`` of training."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from contrasep_lib.config import Bounded, Range

Snr = Annotated[float, Range(-60, 100)]
Kind = Literal["folder", "babble", "white", "pink", "brown", "speech"]


@dataclasses.dataclass(frozen=True)
class NoiseOptions(Bounded):
    """Noise beside the talkers of a mixture; by default none.

    Attributes:
        kinds: what is drawn, each equally likely: recordings of a ``folder``; ``babble`` of other speakers of the set;
            ``white``, ``pink`` and ``brown`` noise; noise of the spectrum of ``speech``, that of the mixture's talkers.
        folder: recordings of the kind ``folder``, in subfolders of any depth. Folders tr, cv and tt in it hold
            those of the sets; else each subfolder is shared out by names (`contrasep_lib.mix.noise.folder`).
        snr: range, dB; the sum of the talkers' active levels over the mean square of the noise in the mixture.
        babble_talkers: speakers of a babble.
    """

    kinds: tuple[Kind, ...] = ()
    folder: str | None = None
    snr: tuple[Snr, ...] = (0.0, 15.0)
    babble_talkers: Annotated[int, Range(2, 100)] = 6

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.snr) != 2 or self.snr[0] > self.snr[1]:
            raise ValueError(f"snr: expected a range of dB such as [-5, 10], got {list(self.snr)}")
        if ("folder" in self.kinds) != (self.folder is not None):
            raise ValueError("folder: expected a folder of recordings where kinds has 'folder', and only there")
