"""Packs of models from others, through ``contrasep unpack``."""

import hashlib
import json
import stat
import struct
import zipfile
from pathlib import Path

import torch

from contrasep_lib.separate.shipped import FOLDER
from tests.bad_input.checkpoints import MODEL, Attack
from tests.bad_input.kinds import kind, put

FAMILY = "Packs of models"
PACK = "m.zip"
UNPACK = ("unpack", PACK, "unpacked")
CARD = "# m: one or two speakers\n\n- Licence: Apache-2.0\n"


def contents():
    """The entries of a good pack."""
    small = FOLDER / "small"
    found = {name: (small / name).read_bytes() for name in ("config.yaml", "finetune/model.pth")}
    found |= {f"modularity/{path.name}": path.read_bytes() for path in sorted((small / "modularity").iterdir())}
    return {"README.md": CARD.encode(), **found}


def manifest_of(entries, **changed):
    """What a pack says of its entries."""
    files = {name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
             for name, content in entries.items()}
    head = {"format": "contrasep model pack", "version": 1, "name": "m", "licence": "Apache-2.0", "files": files}
    return {**head, **changed}


def packed(entries=None, manifest=None, further=(), path=PACK):
    """Write a pack: ``further`` are entries, with attributes, of which the manifest does not know."""
    entries = contents() if entries is None else entries
    manifest = manifest_of(entries) if manifest is None else manifest
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("manifest.json", manifest if isinstance(manifest, (str, bytes)) else json.dumps(manifest))
        for name, content in entries.items():
            file.writestr(name, content)
        for name, content, attributes in further:
            entry = zipfile.ZipInfo("x")
            entry.filename = name
            for attribute, value in attributes.items():
                setattr(entry, attribute, value)
            file.writestr(entry, content)
    return UNPACK


def with_entry(name, content=b"x", **attributes):
    return packed({}, further=[(name, content, attributes)])


def with_content(name, content):
    return packed({**contents(), name: content})


def changed(**parts):
    """A pack of a model with other values in its checkpoint."""
    put(MODEL, contents()["finetune/model.pth"])
    values = torch.load(MODEL, weights_only=True)
    torch.save({**values, **{name: part(values) if callable(part) else part for name, part in parts.items()}}, MODEL)
    return with_content("finetune/model.pth", Path(MODEL).read_bytes())


# ---------------------------------------------------------------- what a pack is


@kind(FAMILY, "no such file (unpacking)", PACK, "no such file")
def missing(folder):
    return UNPACK


@kind(FAMILY, "a folder", "audio", "a folder, not a pack; name a file")
def a_folder(folder):
    return "unpack", "audio", "unpacked"


@kind(FAMILY, "another file (unpacking)", PACK, "no pack of a model, or a damaged one")
def foreign(folder):
    put(PACK, "no pack" * 10)
    return UNPACK


@kind(FAMILY, "a folder that is there already", "unpacked", "already there; remove it, or name another folder")
def folder_there(folder):
    Path("unpacked").mkdir()
    return packed()


@kind(FAMILY, "a pack of speech", PACK, "no manifest.json in it")
def speech(folder):
    with zipfile.ZipFile(PACK, "w") as file:
        file.writestr("README.md", "x")
    return UNPACK


@kind(FAMILY, "thousands of entries", PACK, "4000 entries, more than a model has")
def many(folder):
    return packed({f"modularity/a{number}.json": b"" for number in range(3999)}, {})


@kind(FAMILY, "another version of packs", PACK, "expected a pack of version 1, got 9")
def version(folder):
    return packed(manifest=manifest_of(contents(), version=9))


@kind(FAMILY, "a name that leads out of the folder (in the manifest)", PACK, 'name: expected an id, got "../ESCAPED"')
def name(folder):
    return packed(manifest=manifest_of(contents(), name="../ESCAPED"))


@kind(FAMILY, "a licence that is none", PACK, "licence: expected words, got 3")
def licence(folder):
    return packed(manifest=manifest_of(contents(), licence=3))


@kind(FAMILY, "files that are no mapping", PACK, "files: expected a mapping, got []")
def files(folder):
    return packed(manifest=manifest_of(contents(), files=[]))


@kind(FAMILY, "a file without its checksum", PACK, "files: README.md: expected bytes and SHA-256, got {}")
def no_sum(folder):
    return packed(manifest=manifest_of(contents(), files={"README.md": {}}))


@kind(FAMILY, "a manifest that nests without end", PACK, "manifest.json: no JSON of a pack")
def nested(folder):
    return packed({}, b"[" * 100_000)


# ---------------------------------------------------------------- entries


@kind(FAMILY, "an entry that leads out of the folder (of a model)", PACK, "'../ESCAPED' (it leads out of the folder)")
def leads_out(folder):
    return with_entry("../ESCAPED")


@kind(FAMILY, "an entry that leads out from within", PACK, "'modularity/../../ESCAPED' (it leads out of the folder)")
def leads_out_inside(folder):
    return with_entry("modularity/../../ESCAPED")


@kind(FAMILY, "an absolute path", PACK, "'/tmp/ESCAPED' (an absolute path)")
def absolute(folder):
    return with_entry("/tmp/ESCAPED")


@kind(FAMILY, "a drive of Windows", PACK, "'C:ESCAPED' (an absolute path)")
def drive(folder):
    return with_entry("C:ESCAPED")


@kind(FAMILY, "a path of Windows", PACK, "'..\\ESCAPED' (a backslash)")
def backslash(folder):
    return with_entry("..\\ESCAPED")


@kind(FAMILY, "a link (in a pack)", PACK, "'modularity/null.json' is a link")
def link(folder):
    mode = (stat.S_IFLNK | 0o777) << 16
    return with_entry("modularity/null.json", b"/etc/passwd", create_system=3, external_attr=mode)


@kind(FAMILY, "a device (in a pack)", PACK, "'modularity/null.json' is no file")
def device(folder):
    return with_entry("modularity/null.json", b"", create_system=3, external_attr=(stat.S_IFCHR | 0o666) << 16)


@kind(FAMILY, "a folder as an entry", PACK, "'modularity/' (a folder)")
def a_folder_inside(folder):
    return with_entry("modularity/", b"")


@kind(FAMILY, "a name with a zero in it", PACK, "unsafe entry 'README.md\\x00.json' (a control sign)")
def zero(folder):
    with_entry("README.md?.json")
    put(PACK, Path(PACK).read_bytes().replace(b"README.md?.json", b"README.md\0.json"))
    return UNPACK


@kind(FAMILY, "an entry twice", PACK, "'README.md' stands twice")
def twice(folder):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return packed({"README.md": b"1"}, further=[("README.md", b"2", {})])


@kind(FAMILY, "entries whose names differ in case alone", PACK, "'README.md' and 'readme.MD' differ in case alone")
def case(folder):
    return packed({"README.md": b"1"}, further=[("readme.MD", b"2", {})])


@kind(FAMILY, "the name of a device of Windows", PACK, "'modularity/nul.json' (the name of a device)")
def windows_device(folder):
    return with_entry("modularity/nul.json")


@kind(FAMILY, "a name that ends with a dot", PACK, "'modularity/null.json.' (a part of its path")
def dot(folder):
    return with_entry("modularity/null.json.")


@kind(FAMILY, "what is no part of a model", PACK, "'run.py' is no part of a model")
def program(folder):
    return with_entry("run.py")


@kind(FAMILY, "a compressed entry", PACK, "'README.md' is compressed, and packs of models are not")
def compressed(folder):
    return with_entry("README.md", bytes(2**20), compress_type=zipfile.ZIP_DEFLATED)


@kind(FAMILY, "an encrypted entry", PACK, "'modularity/null.json' is encrypted")
def encrypted(folder):
    packed()
    content = bytearray(Path(PACK).read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    put(PACK, bytes(content))
    return UNPACK


@kind(FAMILY, "a card of megabytes", PACK, "'README.md' is of 2097152 bytes, more than 1048576")
def large(folder):
    return with_entry("README.md", bytes(2**21))


@kind(FAMILY, "entries that share their bytes", PACK, "bytes in a file of")
def overlapping(folder):
    size = 2**19
    entry = zipfile.ZipInfo("modularity/a.json")
    entry.file_size = size
    with zipfile.ZipFile(PACK, "w") as file:
        file.writestr(entry, bytes(size))
        for letter in "bcdef":
            other = zipfile.ZipInfo(f"modularity/{letter}.json")
            other.header_offset, other.file_size, other.compress_size, other.CRC = 0, size, size, entry.CRC
            file.filelist.append(other)
            file.NameToInfo[other.filename] = other
    return UNPACK


@kind(FAMILY, "a program before the pack", PACK, "bytes that belong to no entry")
def before(folder):
    packed()
    put(PACK, b"#!/bin/sh\n" + Path(PACK).read_bytes())
    return UNPACK


@kind(FAMILY, "sizes of 64 bits, which might hide others", PACK, "sizes of 64 bits, which no pack has")
def wide(folder):
    packed()
    content = Path(PACK).read_bytes()
    put(PACK, content[:-22] + struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1) + content[-22:])
    return UNPACK


# ---------------------------------------------------------------- contents


@kind(FAMILY, "a file that is not in the manifest", PACK, "'modularity/null.json' is not in manifest.json")
def not_listed(folder):
    entries = contents()
    extra = entries.pop("modularity/null.json")
    return packed(entries, further=[("modularity/null.json", extra, {})])


@kind(FAMILY, "a file of the manifest that is not in the pack", PACK, "'finetune/model.pth' is not in the pack")
def not_there(folder):
    entries = contents()
    manifest = manifest_of(entries)
    del entries["finetune/model.pth"]
    return packed(entries, manifest)


@kind(FAMILY, "another size than the manifest's", PACK, "'README.md': expected 2 bytes, got")
def size(folder):
    return packed(manifest=manifest_of({**contents(), "README.md": b"# "}))


@kind(FAMILY, "another content than the checksum's", PACK, "'README.md' is damaged")
def checksum(folder):
    return packed(manifest=manifest_of({**contents(), "README.md": CARD.replace("one", "two").encode()}))


@kind(FAMILY, "another licence in the card", PACK, "README.md: another licence than in manifest.json")
def other_licence(folder):
    return with_content("README.md", CARD.replace("Apache-2.0", "MIT").encode())


@kind(FAMILY, "plugins in the settings", PACK, "modularity, separate and the rate of mix, got 'plugins'")
def plugins_inside(folder):
    return with_content("config.yaml", b"plugins: antigravity\n")


@kind(FAMILY, "a base of the settings", PACK, "got 'base'")
def base(folder):
    return with_content("config.yaml", b"base: ../../secret.yaml\n")


@kind(FAMILY, "references in the settings, which may stand for any number of values", PACK, "got references or nesting")
def references(folder):
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60))]
    return with_content("config.yaml", "\n".join(lines).encode())


@kind(FAMILY, "settings that are no sections", PACK, "config.yaml: expected sections, got list")
def list_of_settings(folder):
    return with_content("config.yaml", b"[1]")


@kind(FAMILY, "settings that make objects", PACK, "config.yaml: not valid YAML; name another file")
def yaml_objects(folder):
    return with_content("config.yaml", b"model: !!python/object/apply:os.system ['touch ESCAPED']\n")


@kind(FAMILY, "settings of mixing", PACK, "config.yaml: mix: expected the rate alone")
def mixing(folder):
    return with_content("config.yaml", b"mix: {rate: 8000, seed: 3}\n")


@kind(FAMILY, "a setting out of bounds", PACK, "features.win: expected ")
def bounds(folder):
    return with_content("config.yaml", b"features: {win: 1000000000}\n")


@kind(FAMILY, "weights with objects, which could run code", PACK, "model.pth: not read, as it is damaged or holds")
def objects(folder):
    return changed(training=Attack())


@kind(FAMILY, "options of a network of terabytes", PACK, "finetune/model.pth: 'backbone")
def terabytes(folder):
    return changed(model=lambda content: {**content["model"], "layers": 100, "width": 8192})


@kind(FAMILY, "a modularity network with objects", PACK, "network.pth: not read, as it is damaged or holds")
def network(folder):
    torch.save({"dim": Attack()}, "n.pth")
    return with_content("modularity/network.pth", Path("n.pth").read_bytes())


@kind(FAMILY, "a table that is not JSON", PACK, "modularity/other.json: not a JSON file; pack it again")
def table(folder):
    return with_content("modularity/other.json", b"[" * 100_000)
