"""Archives of corpora: tar files, compressed or not."""

import io
import tarfile

from contrasep_lib.corpus.download import unpack_part
from tests.bad_input.kinds import kind, put

FAMILY = "Archives"
ARCHIVE = "corpus.tar.gz"


def unpacked():
    return unpack_part(ARCHIVE, "corpora", "part")


def archive(name, content=b"", **changed):
    """Unpack an archive of one entry."""
    with tarfile.open(ARCHIVE, "w:gz") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        for attribute, value in changed.items():
            setattr(entry, attribute, value)
        tar.addfile(entry, io.BytesIO(content))
    return unpacked


@kind(FAMILY, "an entry that leads out of the folder", ARCHIVE, "unsafe entry '../../ESCAPED'")
def leads_out(folder):
    return archive("../../ESCAPED")


@kind(FAMILY, "a link", ARCHIVE, "unsafe entry 'Top/part/link'")
def link(folder):
    return archive("Top/part/link", type=tarfile.SYMTYPE, linkname="/etc/passwd")


@kind(FAMILY, "a device", ARCHIVE, "unsafe entry 'Top/part/zero'")
def device(folder):
    return archive("Top/part/zero", type=tarfile.CHRTYPE, devmajor=1, devminor=5)


@kind(FAMILY, "zeros that expand a thousandfold", ARCHIVE, "announces 67108864 bytes")
def expands(folder):
    return archive("Top/part/zeros", bytes(2**26))


@kind(FAMILY, "a header of gigabytes", ARCHIVE, "it unpacks to more than")
def header(folder):
    return archive("Top/part/a", bytes(2**24), type=tarfile.XHDTYPE)


@kind(FAMILY, "another file", ARCHIVE, "cannot be unpacked")
def foreign(folder):
    put(ARCHIVE, "no archive")
    return unpacked


@kind(FAMILY, "without the part that is asked for", ARCHIVE, "no folder 'part' in it")
def no_part(folder):
    return archive("Top/other/a", b"1")
