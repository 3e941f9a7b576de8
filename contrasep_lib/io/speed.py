"""How long separation took: what stage 5 notes beside its audio, and sums of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# in ``separate_<set>``: seconds, audio_seconds and device
SPEED = "speed.json"


def total_speed(speeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Seconds of separation and of audio over parts or sets, and all their devices."""
    total = {name: round(sum(speed[name] for speed in speeds), 2) for name in ("seconds", "audio_seconds")}
    return {**total, "device": ", ".join(sorted({speed["device"] for speed in speeds}))}
