"""Downloads that resume, are checked, and are unpacked whole or not at all."""

from __future__ import annotations

import bz2
import errno
import gzip
import hashlib
import http.client
import lzma
import os
import shutil
import tarfile
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import IO

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import remove_tree
from contrasep_lib.io.ids import shown

BLOCK = 1 << 18
# bytes that an archive may unpack to, for each of its own and beside them; speech compresses by 2
MOST_EXPANSION, FEW_BYTES = 100, 1 << 20
PACKERS = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}
TIMEOUT_SECONDS = 30


def download(
    urls: Sequence[str],
    path: str | os.PathLike,
    md5: str,
    attempts: int = 5,
    pause: float = 1.0,
    local_copy: str = "--corpus DIR",
) -> Path:
    """Fetch a file, resuming what an earlier run left in ``PATH.part``.

    ``PATH`` exists only with the right checksum; a file found there is checked, not trusted.
    A broken transfer goes on where it broke, at the next address in turn, after a pause that
    doubles each time; a transfer that ends with the wrong checksum is begun anew once.

    Args:
        urls: addresses of the same file, tried in turn.
        path: where the file goes.
        md5: its MD5 sum, hexadecimal.
        attempts: transfers without progress (or refusals) before giving up.
        pause: seconds before the second attempt.
        local_copy: the option that takes a local copy, for the messages.

    Returns:
        ``path``.

    Raises:
        ContrasepError: no address has the file, wrong checksum twice, no connection, full disk.
    """
    path = Path(path)
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            if md5_of(path) == md5:
                return path
            path.unlink()
    except OSError as error:
        raise _disk_error(path, error) from None
    refused: dict[str, str] = {}
    failures = mismatches = 0
    while True:
        left = [url for url in urls if url not in refused]
        url = left[failures % len(left)]
        held = _size(part)
        try:
            _transfer(url, part, path.name)
            broken = ""
        except urllib.error.HTTPError as error:
            broken = f"{url}: {error.code} {error.reason}"
            if error.code == 416 and held:
                # nothing beyond what is held: it is whole, or no part of this file; the checksum tells
                broken = ""
            elif error.code < 500 and error.code not in (408, 429):
                refused[url] = broken
                if len(refused) < len(urls):
                    continue
                broken = "; ".join(refused.values())
                failures = attempts
        except (OSError, http.client.HTTPException) as error:
            broken = f"{url}: {getattr(error, 'reason', None) or error or type(error).__name__}"
        if not broken:
            found = md5_of(part)
            if found == md5:
                os.replace(part, path)
                return path
            part.unlink()
            mismatches += 1
            if mismatches == 2:
                raise ContrasepError(
                    f"{url}: MD5 {found} where {md5} is right, twice; try later or use {local_copy}"
                )
            continue
        failures = failures + 1 if _size(part) <= held else 1
        if failures >= attempts:
            kept = f"; {part} is kept and the next run goes on from there" if _size(part) else ""
            raise ContrasepError(
                f"{path.name}: cannot be downloaded ({broken}){kept}; {local_copy} takes a local copy"
            )
        time.sleep(min(pause * 2 ** (failures - 1), 60.0))


def _transfer(url: str, part: Path, name: str) -> None:
    """Append to ``part`` what it lacks; raises when the transfer ends early."""
    from tqdm import tqdm

    held = _size(part)
    request = urllib.request.Request(url, headers={"Range": f"bytes={held}-"} if held else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
        resumed = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(
            f"bytes {held}-"
        )
        if held and not resumed:
            # a server without ranges sends all of it again
            held = 0
        length = answer.headers.get("Content-Length")
        total = held + int(length) if length else None
        bar = tqdm(total=total, initial=held, desc=name, unit="B", unit_scale=True, disable=None)
        with bar, _opened(part, "ab" if held else "wb") as file:
            while block := answer.read(BLOCK):
                try:
                    if file.write(block) < len(block):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                except OSError as error:
                    raise _disk_error(part, error) from None
                bar.update(len(block))
    if total is not None and _size(part) < total:
        raise ConnectionError(f"broke off after {_size(part)} of {total} bytes")


def _opened(path: Path, mode: str) -> IO[bytes]:
    try:
        # unbuffered, so that a full disk shows where the block is written
        return open(path, mode, buffering=0)
    except OSError as error:
        raise _disk_error(path, error) from None


def _disk_error(path: Path, error: OSError) -> ContrasepError:
    return ContrasepError(
        f"{path}: cannot be written ({error.strerror}); make room there or choose another folder"
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def md5_of(path: str | os.PathLike) -> str:
    """MD5 sum of a file, hexadecimal."""
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


class _Bounded:
    """What an archive unpacks to, read no further than its size allows: a few bytes may announce any number."""

    def __init__(self, file: IO[bytes], most: int) -> None:
        self.file, self.most = file, most

    def read(self, count: int = -1) -> bytes:
        left = self.most + 1 - self.file.tell()
        content = self.file.read(left if count < 0 else min(count, left))
        if self.file.tell() > self.most:
            raise ValueError(f"it unpacks to more than {self.most} bytes")
        return content

    def seek(self, place: int, whence: int = 0) -> int:
        return self.file.seek(place, whence)

    def tell(self) -> int:
        return self.file.tell()


def unpack_part(archive: str | os.PathLike, folder: str | os.PathLike, part: str) -> Path:
    """Unpack ``TOP/PART`` of a tar archive as ``folder/TOP/PART``, with the files beside it.

    All is unpacked under a temporary name; the part comes into place last, by one rename, so
    its presence means that it is whole.

    Args:
        archive: tar archive with one top folder, compressed or not.
        folder: receives the top folder.
        part: folder within the top folder.

    Returns:
        ``folder/TOP``.

    Raises:
        ContrasepError: damaged archive, links, devices or paths that lead out of it, more than 100 bytes for each of
            the archive's, no such part in it.
    """
    folder = Path(folder)
    temporary = folder / f".{part}.tmp"
    remove_tree(temporary)
    temporary.mkdir(parents=True)
    # the filter refuses what the loop refuses and more; early 3.10 and 3.11 do not have it
    safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    try:
        with open(archive, "rb") as file:
            packer = PACKERS.get(file.read(2), open)
        most = MOST_EXPANSION * os.path.getsize(archive) + FEW_BYTES
        with packer(archive, "rb") as file, tarfile.open(fileobj=_Bounded(file, most), mode="r:") as tar:
            for member in tar:
                inside = PurePosixPath(member.name)
                if not (member.isfile() or member.isdir()) or inside.is_absolute() or ".." in inside.parts:
                    raise ContrasepError(
                        f"{archive}: unsafe entry '{shown(member.name)}'; remove it and fetch it again"
                    )
                # a sparse file announces more than there is
                if member.size > most or member.issparse():
                    raise ContrasepError(
                        f"{archive}: '{shown(member.name)}' announces {member.size} bytes; remove it and fetch it again"
                    )
                tar.extract(member, temporary, **safely)
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError, ValueError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise ContrasepError(f"{archive}: cannot be unpacked ({error}); remove it and run again") from None
    except ContrasepError:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    found = next((top / part for top in sorted(temporary.iterdir()) if (top / part).is_dir()), None)
    if found is None:
        shutil.rmtree(temporary, ignore_errors=True)
        raise ContrasepError(f"{archive}: no folder '{part}' in it; remove it and run again")
    top = folder / found.parent.name
    top.mkdir(exist_ok=True)
    for beside in sorted(found.parent.iterdir()):
        if beside.is_file():
            os.replace(beside, top / beside.name)
    os.replace(found, top / part)
    shutil.rmtree(temporary, ignore_errors=True)
    return top
