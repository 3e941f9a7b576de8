"""What has been found of the windows of a recording, in a folder, so that an interrupted separation goes on.

A window has two files at most: what the network saw, until its outputs are there, and the outputs. Both are arrays of
numbers, written under another name first. The folder belongs to one recording, model and set of options, by a key in
it; found under another key, it is emptied.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from contrasep_lib.io.atomic import atomic_open, write_text

_KEY, _SEEN, _OUT = "key", ".seen.npz", ".out.npz"


class WindowStore:
    """Arrays of windows by number.

    Args:
        folder: where they are kept; None for a temporary folder.
        key: of the recording, the model and the options.
    """

    def __init__(self, folder: Path | None, key: str) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="contrasep-") if folder is None else None
        self.folder = Path(self._temporary.name) if self._temporary else folder
        self.folder.mkdir(parents=True, exist_ok=True)
        mark = self.folder / _KEY
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if mark.read_text(encoding="utf-8") == key:
                return
        for path in self.folder.iterdir():
            # nothing but what was written here
            if path.name == _KEY or path.name.endswith((_SEEN, _OUT)):
                path.unlink()
        write_text(mark, key)

    def save_seen(self, number: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep what the network saw of a window."""
        self._save(self._path(number, _SEEN), arrays)

    def seen(self, number: int) -> dict[str, np.ndarray] | None:
        """What `save_seen` kept; None where there is nothing, or it is damaged."""
        return _load(self._path(number, _SEEN))

    def save_outputs(self, number: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep the outputs of a window."""
        self._save(self._path(number, _OUT), arrays)

    def outputs(self, number: int) -> dict[str, np.ndarray] | None:
        """What `save_outputs` kept; None where there is nothing, or it is damaged."""
        return _load(self._path(number, _OUT))

    def remove(self) -> None:
        """Remove the folder, when the recording's own outputs are there."""
        if self._temporary:
            self._temporary.cleanup()
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        """Leave a folder that has a name as it is, for another run."""
        if self._temporary:
            self._temporary.cleanup()

    def _path(self, number: int, kind: str) -> Path:
        return self.folder / f"{number:06d}{kind}"

    @staticmethod
    def _save(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
        with atomic_open(path, "wb") as file:
            np.savez(file, **arrays)


def _load(path: Path) -> dict[str, np.ndarray] | None:
    try:
        with np.load(path, allow_pickle=False) as content:
            return {name: content[name] for name in content.files}
    except FileNotFoundError:
        return None
    except Exception:  # a damaged file of any kind is found anew
        return None
