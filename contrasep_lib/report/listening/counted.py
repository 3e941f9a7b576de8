"""Evidence of the counts of the mixtures on a page, measured for them alone.

Stage 5 keeps none, as measuring it takes a fifth to a half of the time of separation.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import write_text
from contrasep_lib.report.reading import read_json
from contrasep_lib.separate.separation import Separation

FILE = "evidence.json"
_DECIMALS = 6


def keep_evidence(
    exp: str | os.PathLike, name: str, mixtures: Iterable[tuple[str, np.ndarray]],
    separate: Callable[[str, np.ndarray], Separation],
) -> Path:
    """Write ``exp/<tag>/score_<set>/evidence.json``.

    Args:
        exp: ``exp/<tag>``.
        name: of the test set.
        mixtures: utterance id and samples of each, ``(samples,)``.
        separate: separates one of them with its evidence.

    Returns:
        path of the file: utterance id -> ``qualities``, for 1, 2, .. speakers the quality of the best partition, mean
        and standard deviation of its null.
    """
    kept = {}
    for key, mixture in mixtures:
        entries = separate(key, mixture).evidence
        rows = [(entry.quality, entry.null_mean, entry.null_spread) for entry in entries]
        if rows and all(math.isfinite(value) for row in rows for value in row):
            kept[key] = {"qualities": [[round(value, _DECIMALS) for value in row] for row in rows]}
    path = Path(exp) / f"score_{name}" / FILE
    write_text(path, json.dumps(kept, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    return path


def kept_qualities(exp: str | os.PathLike, name: str, key: str) -> list[tuple[float, float, float]]:
    """The qualities of a mixture, see `keep_evidence`; none where none were kept.

    Raises:
        ContrasepError: a file of another form.
    """
    path = Path(exp) / f"score_{name}" / FILE
    if not path.is_file():
        return []
    entry = read_json(path).get(key, {"qualities": []})
    rows = entry.get("qualities") if isinstance(entry, dict) else None
    if not isinstance(rows, list) or not all(map(_is_row, rows)):
        raise ContrasepError(f"{path}: '{key}': expected rows of three numbers; delete it and run stage 6 again")
    return [(float(row[0]), float(row[1]), float(row[2])) for row in rows]


def _is_row(row: Any) -> bool:
    return isinstance(row, list) and len(row) == 3 and all(isinstance(value, (int, float)) for value in row)
