"""What zip files from others need."""

from __future__ import annotations

import struct
import zipfile

DAMAGES = (zipfile.BadZipFile, struct.error, IndexError, NotImplementedError, RuntimeError, EOFError, ValueError)
"""What a damaged or foreign zip file makes its reader raise, besides ``OSError``, which may come of a full disk."""
