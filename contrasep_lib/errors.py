"""The one exception that users see as a single line."""

from __future__ import annotations


class ContrasepError(Exception):
    """Bad input or a bad option.

    The message is one line that names the file (or option) and the mend. Programs print it
    after ``contrasep NAME:`` and exit with status 1, without a traceback.
    """
