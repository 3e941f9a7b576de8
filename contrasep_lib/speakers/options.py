"""Options of the speaker encoders; nothing here imports torch."""

from __future__ import annotations

import dataclasses

from contrasep_lib.config import Bounded, choice


@choice("speaker_encoder", "resemblyzer", target="contrasep_lib.speakers.resemblyzer:Resemblyzer")
@dataclasses.dataclass(frozen=True)
class ResemblyzerOptions(Bounded):
    """The GE2E encoder of the package Resemblyzer (extra ``speakers``); works at 16 kHz."""
