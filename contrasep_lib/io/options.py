"""Options of the section ``dump``."""

from __future__ import annotations

import dataclasses
from typing import Literal

from contrasep_lib.config import Bounded
from contrasep_lib.config.bounds import Items
from contrasep_lib.config.schema import LATER
from contrasep_lib.nodes.options import FeatureOptions, Hop, Win


@dataclasses.dataclass(frozen=True)
class DumpOptions(Bounded):
    """What stage 2 writes.

    Attributes:
        audio: audio in the arks: ``wav`` (PCM16, Kaldi reads it too) or ``flac`` (lossless, about
            half the size, read by kaldiio).
        spectra: log-magnitude spectra of the mixture beside the audio: ``none``, ``float32`` or
            ``compressed`` (Kaldi's lossy 8 bits; nothing that a score depends on reads them).
        win, hop: framing of the spectra and of the statistics, samples. Audio depends on neither,
            and training frames it by the section ``features``: so all framings share a dump.
        shard: utterances per ark file.
        checksum: ``crc32``: the sums of an utterance's tracks stand in ``utt2checksum`` and are compared whenever its
            audio is read; ``none``: damage that leaves headers and lengths intact is not noticed.
    """

    audio: Literal["wav", "flac"] = "wav"
    spectra: Literal["none", "float32", "compressed"] = "none"
    win: Win = 256
    hop: Hop = 64
    shard: Items = 500
    checksum: Literal["crc32", "none"] = dataclasses.field(default="crc32", metadata=LATER)

    def __post_init__(self) -> None:
        super().__post_init__()
        FeatureOptions(self.win, self.hop)
