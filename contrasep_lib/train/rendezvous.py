"""Where the nodes of a training meet: an address, or a file on a file system that they share."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

from contrasep_lib.errors import ContrasepError

ADDRESS = re.compile(r"[\w.-]+:\d{1,5}")
THIS_MACHINE = "localhost"


def own_name() -> str:
    """A name of this machine that other nodes reach it by, or ``localhost`` where it has none."""
    name = socket.getfqdn()
    try:
        socket.getaddrinfo(name, None)
    except OSError:
        return THIS_MACHINE
    return name


@contextlib.contextmanager
def meeting_point(where: str | os.PathLike) -> Iterator[tuple[str, bool | None]]:
    """The address at which nodes meet.

    Of several nodes that name the same file the first one writes its own address into it, with a port that is free, and
    the others read it. Who leaves removes the file, so that the same command may be started again.

    Args:
        where: ``HOST:PORT``, the host one of the nodes; or a file.

    Yields:
        ``HOST:PORT``, and whether this node waits there for the others; None where the host's name tells.

    Raises:
        ContrasepError: the file cannot be written, or holds something else.
    """
    if ADDRESS.fullmatch(str(where)):
        yield str(where), None
        return
    path = Path(where)
    address = f"{own_name()}:{_free_port()}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        first = _written_first(path, address)
        found = address if first else path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError as error:
        raise ContrasepError(
            f"--rendezvous {path}: expected HOST:PORT, or a file that can be written, got: {error.strerror}"
        ) from None
    if not ADDRESS.fullmatch(found):
        raise ContrasepError(f"--rendezvous {path}: expected HOST:PORT in it, got '{found[:40]}'; name a new file")
    try:
        yield found, first
    finally:
        # unless another start has come since
        with contextlib.suppress(OSError):
            if path.read_text(encoding="utf-8", errors="replace").strip() == found:
                path.unlink()


def _written_first(path: Path, text: str) -> bool:
    """Make a file with all its content at once, unless there is one: whether it was made."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(temporary, "x", encoding="utf-8") as file:
            file.write(text + "\n")
        # unlike opening with "x", safe on NFS too, and nobody reads half of it
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(("", 0))
        return listener.getsockname()[1]
