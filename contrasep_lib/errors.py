"""The one exception that users see as a single line."""

from __future__ import annotations


class ContrasepError(Exception):
    """Bad input or a bad option.

    The message is one line that names the file (or option) and the fix. Programs print it
    after ``contrasep NAME:`` and exit with status 1, without a traceback.
    """


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory, of the machine or of a GPU, did not suffice; torch has an error for each."""
    # named, not imported: data stages do without torch
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
    )
