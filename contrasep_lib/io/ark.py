"""Writing ark files with their scp."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contrasep_lib.io.atomic import atomic_path
from contrasep_lib.io.scp import read_table, write_table


def save_ark(ark: str | os.PathLike, scp: str | os.PathLike, entries: Mapping[str, Any], **how: Any) -> None:
    """Write entries to an ark and its scp, each under its name only when whole, the scp last.

    Args:
        ark: archive to write.
        scp: table ``key ark:offset`` to write.
        entries: key -> what kaldiio writes: matrices, or ``(rate, int16 samples)``.
        how: further arguments of ``kaldiio.save_ark``.
    """
    import kaldiio

    with atomic_path(scp) as raw_scp:
        with atomic_path(ark) as temporary:
            kaldiio.save_ark(str(temporary), dict(entries), scp=str(raw_scp), **how)
        # kaldiio noted the temporary name of the ark
        offsets = {key: entry.rpartition(":")[2] for key, entry in read_table(raw_scp).items()}
        write_table(raw_scp, {key: f"{Path(ark)}:{offset}" for key, offset in offsets.items()})
