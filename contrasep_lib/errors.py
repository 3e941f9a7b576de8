"""The one exception that users see as a single line."""

from __future__ import annotations


class ContrasepError(Exception):
    """Bad input or a bad option.

    The message is one line that names the file (or option) and the fix. Programs print it
    after ``contrasep NAME:`` and exit with status 1, without a traceback.
    """


def one_line(text: object) -> str:
    r"""A message as one line of a terminal: what is no printable sign, which a name in a file may hold, is escaped.

    Example:
        >>> print(one_line("a\x1b[31m: b\nc"))
        a\x1b[31m: b c
    """
    words = " ".join(str(text).splitlines())
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in words)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory, of the machine or of a GPU, did not suffice; torch has an error for each."""
    # named, not imported: data stages do without torch
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
    )
