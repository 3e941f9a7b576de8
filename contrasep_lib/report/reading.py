"""Reading what stage 6 wrote, with errors of one line."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from contrasep_lib.errors import ContrasepError


def read_json(path: str | os.PathLike, remedy: str = "run stage 6 of this tag again") -> dict[str, Any]:
    """A JSON object; anything else that is JSON counts as an empty one.

    Raises:
        ContrasepError: it cannot be read; the message ends with the remedy.
    """
    try:
        tree = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        raise ContrasepError(f"{path}: cannot be read ({error}); {remedy}") from None
    return tree if isinstance(tree, dict) else {}


def require_keys(tree: Mapping[str, Any], keys: Sequence[str], path: str | os.PathLike) -> None:
    """Raise ContrasepError, naming the first key that is missing."""
    for key in keys:
        if key not in tree:
            raise ContrasepError(f"{path}: key '{key}' missing; run stage 6 of this tag again")
