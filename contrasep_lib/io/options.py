"""Options of the section ``dump``."""

from __future__ import annotations

import dataclasses
from typing import Literal

from contrasep_lib.nodes.options import FeatureOptions


@dataclasses.dataclass(frozen=True)
class DumpOptions:
    """What stage 2 writes.

    Attributes:
        audio: audio in the arks: ``wav`` (PCM16, Kaldi reads it too) or ``flac`` (lossless, about
            half the size, read by kaldiio).
        spectra: log-magnitude spectra of the mixture beside the audio: ``none``, ``float32`` or
            ``compressed`` (Kaldi's lossy 8 bits; nothing that a score depends on reads them).
        win, hop: framing of the spectra and of the statistics, samples. Audio depends on neither,
            and training frames it by the section ``features``: so all framings share a dump.
        shard: utterances per ark file.
    """

    audio: Literal["wav", "flac"] = "wav"
    spectra: Literal["none", "float32", "compressed"] = "none"
    win: int = 256
    hop: int = 64
    shard: int = 500

    def __post_init__(self) -> None:
        if self.shard < 1:
            raise ValueError(f"shard: expected at least 1 utterance, got {self.shard}")
        FeatureOptions(self.win, self.hop)
