"""Finding finished mixtures: folders of sets that hold ``mix.. s1 s2 [s3 ..] [noise]``, with files of the same names.

LibriMix has ``Libri2Mix/wav8k/min/{train-100,train-360,dev,test}/{mix_clean,mix_both,mix_single,s1,s2,noise}`` and
lists ``metadata/mixture_SET_MIX.csv`` beside its sets; WHAM! ``wav8k/min/{tr,cv,tt}/{mix_clean,mix_both,mix_single,s1,
s2,noise}``; WSJ0-mix and this toolkit ``wav8k/min/{tr,cv,tt}/{mix,s1,s2}``. Paths within lists are those of the machine
that wrote them, so only their last parts count.
"""

from __future__ import annotations

import csv
import dataclasses
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.ids import RULE, is_id, shown

SUFFIXES = (".wav", ".flac")
# folders that a set is known by, the first that is there
USUAL = {
    "tr": ("tr", "train", "train-100", "train-360", "train-clean-100"),
    "cv": ("cv", "valid", "val", "dev", "dev-clean"),
    "tt": ("tt", "test", "eval", "test-clean"),
}
CLEAN, SINGLE = "mix_clean", "mix_single"


@dataclasses.dataclass(frozen=True)
class Tree:
    """A set of finished mixtures.

    Attributes:
        folder: of the set.
        mixture: name of the folder of mixtures.
        sources: names of the folders of talkers, ``s1``, ``s2``, ..
        noise: name of the folder of noise; None without any.
        listing: LibriMix's list of the set; None without one.
    """

    folder: Path
    mixture: str
    sources: tuple[str, ...]
    noise: str | None
    listing: Path | None

    @property
    def tracks(self) -> tuple[str, ...]:
        """Folders of what adds up: the mixture's own, the talkers', the noise's."""
        return (self.mixture, *self.sources, *([self.noise] if self.noise else []))


def find_base(corpus: Path, rate: int, mode: str, num_spk: int | None) -> Path:
    """The folder that holds the folders of sets, or is a set itself.

    Args:
        corpus: where the user says that the mixtures are.
        rate: of the mixtures, Hz, which names a folder ``wav8k``.
        mode: ``min`` or ``max``.
        num_spk: talkers, which name a folder ``Libri2Mix``; None for any.

    Raises:
        ContrasepError: no folder ``s1`` where it is looked for.
    """
    counts = [num_spk] if num_spk else range(2, 11)
    tops = [Path(), *(Path(f"Libri{count}Mix") for count in counts)]
    # the rate and mode that are asked for, not another that is there
    places = [corpus / top / f"wav{rate // 1000}k" / mode for top in tops]
    places += [corpus / mode, corpus]
    for place in places:
        if (place / "s1").is_dir() or next(place.glob("*/s1/"), None) is not None:
            return place
    holds = ", ".join(sorted(path.name for path in corpus.iterdir())[:6]) or "nothing"
    raise ContrasepError(
        f"{corpus}: no folder s1 of sources, neither in wav{rate // 1000}k/{mode}/SET nor in SET, it holds {holds}; "
        "mix.rate and mix.mode choose the folder of LibriMix and WHAM!"
    )


def usual_sets(base: Path) -> list[str]:
    """Those of ``tr cv tt`` whose folders are there under usual names; ``tt`` alone where the base is a set itself."""
    found = [name for name, usual in USUAL.items() if any((base / folder / "s1").is_dir() for folder in usual)]
    return found or ["tt"]


def find_sets(base: Path, sets: Sequence[str], named: Mapping[str, str] | None) -> dict[str, Path]:
    """Set -> its folder.

    Args:
        base: see `find_base`.
        sets: of ``mix.sets``; one that is optional (``dev``, ``tt_..``) may be missing, where ``named`` has none.
        named: set -> name of its folder; None for usual names.

    Raises:
        ContrasepError: a set without a folder.
    """
    if (base / "s1").is_dir():
        return {"tt" if "tt" in sets else sets[0]: base}
    found: dict[str, Path] = {}
    for name in sets:
        usual = (named[name],) if named and name in named else USUAL.get(name, (name,))
        there = next((base / folder for folder in usual if (base / folder / "s1").is_dir()), None)
        if there is not None:
            found[name] = there
        elif (named and name in named) or not (name == "dev" or name.startswith("tt_")):
            folders = ", ".join(sorted(path.parent.name for path in base.glob("*/s1"))) or "none"
            raise ContrasepError(
                f"{base}: no folder {' or '.join(usual)} for the set {name}; there are {folders}: name them by "
                "corpus.mixtures.sets, or leave the set out of mix.sets"
            )
    return found


def tree_of(folder: Path, mixture: str | None, noise: str, num_spk: int | None) -> Tree:
    """The tracks of a set.

    Args:
        folder: of the set.
        mixture, noise: see `contrasep_lib.corpus.options.MixturesOptions`.
        num_spk: talkers expected; None takes all folders ``s1``, ``s2``, ..

    Raises:
        ContrasepError: no folder of mixtures, several where none was named, another number of sources.
    """
    there = sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name.startswith("mix"))
    if mixture is None and len(there) != 1:
        what = f"several folders of mixtures ({', '.join(there)})" if there else "no folder mix.. of mixtures"
        raise ContrasepError(f"{folder}: {what}; name one by --set corpus.mixtures.mixture=mix_both")
    name = mixture or there[0]
    if not (folder / name).is_dir():
        raise ContrasepError(f"{folder}: no folder {name} of mixtures; there are {', '.join(there) or 'none'}")
    sources: list[str] = []
    while (folder / f"s{len(sources) + 1}").is_dir():
        sources.append(f"s{len(sources) + 1}")
    sources = sources[:1] if name == SINGLE else sources
    if num_spk is not None and len(sources) != num_spk:
        raise ContrasepError(
            f"{folder}: expected sources of {num_spk} talkers in {name}, got {', '.join(sources) or 'none'}; "
            "--num-spk states another number"
        )
    if noise == "auto":
        beside: str | None = "noise" if (folder / "noise").is_dir() and name != CLEAN else None
    else:
        beside = None if noise == "none" else noise
    if beside and not (folder / beside).is_dir():
        raise ContrasepError(f"{folder}: no folder {beside} of noise; corpus.mixtures.noise names it")
    listing = folder.parent / "metadata" / f"mixture_{folder.name}_{name}.csv"
    return Tree(folder, name, tuple(sources), beside, listing if listing.is_file() else None)


@dataclasses.dataclass(frozen=True)
class Entry:
    """A mixture of a set.

    Attributes:
        name: of its files.
        paths: files of the tracks, in the order of `Tree.tracks`.
        said: what names its speakers: its name, or where LibriMix shortened that the original one.
        samples: length by LibriMix's list; None where nothing says it.
    """

    name: str
    paths: tuple[str, ...]
    said: str
    samples: int | None = None


def read_entries(tree: Tree) -> tuple[list[Entry], list[str]]:
    """The mixtures of a set: those of its list, in that order, or all files in that of their names.

    Returns:
        the mixtures whose files are all there, and what is wrong, one line each.
    """
    files = {track: _files(tree.folder / track) for track in tree.tracks}
    rows: list[tuple[str, str, int | None]] = [(name, name, None) for name in sorted(files[tree.mixture])]
    if tree.listing is not None:
        rows = list(_read_listing(tree.listing, tree.mixture))
    entries, errors, seen = [], [], set()
    where = tree.listing or tree.folder / tree.mixture
    for name, said, samples in rows:
        missing = next((track for track in tree.tracks if name not in files[track]), None)
        if not is_id(name):
            errors.append(f"{where}: expected a name of {RULE}, got '{shown(name)}'")
        elif name in seen:
            errors.append(f"{where}: '{name}' stands twice")
        elif missing is not None:
            errors.append(f"{name}: {tree.folder / missing}: no such audio file")
        else:
            entries.append(Entry(name, tuple(files[track][name] for track in tree.tracks), said, samples))
        seen.add(name)
    spare = {track: files[track].keys() - seen for track in tree.tracks[1:]}
    for track, names in spare.items():
        if names and tree.listing is None:
            errors.append(f"{min(names)}: in {tree.folder / track} but not in {tree.mixture} ({len(names)} such files)")
    if not entries and not errors:
        errors.append(f"{where}: no mixtures in it")
    return entries, errors


def _files(folder: Path) -> dict[str, str]:
    """Name without suffix -> path, of the audio in a folder."""
    with os.scandir(folder) as there:
        paths = ((os.path.splitext(entry.name), entry.path) for entry in there if not entry.name.startswith("."))
        return {stem: path for (stem, suffix), path in paths if suffix.lower() in SUFFIXES}


def _read_listing(path: Path, mixture: str) -> Iterator[tuple[str, str, int | None]]:
    """Name, original name and length of each line of LibriMix's list.

    Raises:
        ContrasepError: no UTF-8 text, a column or a field that is missing, a length that is no number.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or ()
            for column in ("mixture_ID", "mixture_path", "length"):
                if column not in columns:
                    raise ContrasepError(f"{path}: no column '{column}'; expected LibriMix's list of {mixture}")
            for number, row in enumerate(reader, 2):
                if None in row or None in row.values():
                    raise ContrasepError(f"{path}:{number}: expected {len(columns)} fields")
                if not re.fullmatch(r"[0-9]{1,12}(\.0)?", row["length"]):
                    raise ContrasepError(f"{path}:{number}: expected a length in samples, got '{shown(row['length'])}'")
                name = re.split(r"[/\\]", row["mixture_path"])[-1].rpartition(".")[0]
                yield name, row.get("original_mixture_ID") or row["mixture_ID"], int(float(row["length"]))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ContrasepError(f"{path}: cannot be read as a list ({error})") from None
