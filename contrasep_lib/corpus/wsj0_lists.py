"""The lists of WSJ0-mix and the active levels published for it.

``mix_K_spk_SET.txt`` holds the mixtures of ``K`` talkers of the sets ``tr``, ``cv`` and ``tt`` (20,000,
5,000 and 3,000 lines), ``activlev_FOLDER.txt`` the level of every file of a folder of the corpus. Both are
those of the first publication (Hershey et al., ICASSP 2016), as the public repository below
keeps them. They are fetched from there, or taken from a local folder; of four and five talkers from
a local folder only, as no checksum of those is known here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from contrasep_lib.corpus.download import download
from contrasep_lib.errors import ContrasepError
from contrasep_lib.mix.levels import parse_levels
from contrasep_lib.mix.lists import Mixture, read_list

SETS = ("tr", "cv", "tt")
FOLDERS = ("si_tr_s", "si_dt_05", "si_et_05")
SERVERS = ("https://raw.githubusercontent.com/mpariente/pywsj0-mix/master/metadata",)
CHECKSUMS = {
    "mix_2_spk_tr.txt": "a2e8d60a6e4dce48f72b691f5f300c66",
    "mix_2_spk_cv.txt": "f128e69a9d6f4344c46a42040e4579ac",
    "mix_2_spk_tt.txt": "47a1633b5021a16343c26116ba431c73",
    "mix_3_spk_tr.txt": "2e66a43f06ddffb9c4b8e4d1f07fcb1f",
    "mix_3_spk_cv.txt": "2743602a467d7d322e44eb86312d44f0",
    "mix_3_spk_tt.txt": "dada7964216eaab547eb42791c41dc0a",
    "activlev_si_tr_s.txt": "c08f26fc5483190903b7da4b5c616387",
    "activlev_si_dt_05.txt": "c4738656c4311606e4ad530b6c197707",
    "activlev_si_et_05.txt": "a6ce4f71c0b5285230f1dbffbe26f1aa",
}


def list_name(num_spk: int, set_name: str) -> str:
    """File name of a list."""
    return f"mix_{num_spk}_spk_{set_name}.txt"


def levels_name(folder: str) -> str:
    """File name of the levels of a folder of the corpus, e.g. of ``si_tr_s``."""
    return f"activlev_{folder}.txt"


def fetch_lists(folder: str | os.PathLike, num_spk: int, servers: Sequence[str] = SERVERS) -> Path:
    """Download the lists of ``num_spk`` talkers and the levels; what is there is checked and kept.

    Args:
        folder: receives ``wsj0mix_lists/``.
        num_spk: 2 or 3.
        servers: addresses of the repository's ``metadata``.

    Returns:
        ``folder/wsj0mix_lists``.

    Raises:
        ContrasepError: another number of talkers; see `download`.
    """
    folder = Path(folder) / "wsj0mix_lists"
    names = [list_name(num_spk, set_name) for set_name in SETS]
    if any(name not in CHECKSUMS for name in names):
        raise ContrasepError(
            f"--num-spk {num_spk}: lists of 2 and 3 talkers can be fetched; "
            f"name a folder with {names[0]} by --mix-lists DIR"
        )
    for name in (*names, *map(levels_name, FOLDERS)):
        inside = f"activlev/{name}" if name.startswith("activlev") else name
        urls = [f"{server}/{inside}" for server in servers]
        download(urls, folder / name, CHECKSUMS[name], local_copy="--mix-lists DIR")
    return folder


def read_lists(folder: str | os.PathLike, num_spk: int) -> tuple[dict[str, list[Mixture]], list[str]]:
    """Read the lists of all sets without stopping at an error.

    Returns:
        set -> mixtures (of sets without an error), and the errors, one line each.
    """
    lists: dict[str, list[Mixture]] = {}
    errors: list[str] = []
    for set_name in SETS:
        path = Path(folder) / list_name(num_spk, set_name)
        if not path.is_file():
            errors.append(f"{path}: no such list; --mix-lists names the folder that holds it")
            continue
        try:
            lists[set_name] = read_list(path, num_spk)
        except ContrasepError as error:
            errors.append(str(error))
    return lists, errors


def find_levels(folder: str | os.PathLike, folders: Iterable[str]) -> tuple[dict[str, float], list[str]]:
    """Levels of the files of some folders of the corpus, by utterance, and the errors, one line each."""
    levels: dict[str, float] = {}
    errors: list[str] = []
    for name in folders:
        try:
            levels.update(parse_levels(Path(folder) / levels_name(name)))
        except ContrasepError as error:
            errors.append(f"{error}; --activlev p56 does without")
    return levels, errors
