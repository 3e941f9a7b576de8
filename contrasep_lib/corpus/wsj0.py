"""WSJ0 (LDC93S6A) for the mixtures of WSJ0-mix: checked whole, decoded once.

The lists decide what is needed; completeness is judged file by file. What is compressed on
the disks is decoded to PCM16 wav, without loss, at its own rate; wav and flac are used where they
lie. All errors of a corpus are reported at once, before anything is mixed.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from contrasep_lib.corpus.base import Corpus, Request
from contrasep_lib.corpus.hearing import raise_all
from contrasep_lib.corpus.single import Utterance, write_single_set
from contrasep_lib.corpus.wsj0_lists import fetch_lists, find_levels, list_name, read_lists
from contrasep_lib.corpus.wsj0_tree import REHEARSAL, completeness, file_key, find_files, missing_errors
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import write_text
from contrasep_lib.io.audio import read_audio, write_wav
from contrasep_lib.io.datadir import audio_length
from contrasep_lib.io.parallel import in_processes
from contrasep_lib.io.scp import write_table
from contrasep_lib.io.sphere import MAGIC, read_checked
from contrasep_lib.mix.levels import UTT2LEVEL
from contrasep_lib.mix.lists import Mixture, write_list

RATE = 16000
REPORT = "wsj0_files.tsv"
ERRORS = "wsj0_errors.txt"
# what results call this speech, where it is a rehearsal
LABEL = "label"

Take = tuple[str, str]


@dataclasses.dataclass(frozen=True)
class Taken:
    """What became of one file.

    Attributes:
        path: the audio that later stages read; the original, or what was decoded from it.
        samples: at `RATE`.
        error: what is wrong with it, one line; empty if nothing.
        doubtful: its samples do not have the sum that its header states.
    """

    path: str
    samples: int = 0
    error: str = ""
    doubtful: bool = False


def take_file(original: str, target: str) -> Taken:
    """Check a file and, if it is SPHERE, decode it; a decoded file that is there already is kept.

    Args:
        original: file of the corpus.
        target: where a decoded file goes.
    """
    try:
        with open(original, "rb") as file:
            # SPHERE goes by the name .wav too
            sphere = file.read(len(MAGIC)) == MAGIC
        if not sphere and Path(original).suffix.lower() in (".wav", ".flac"):
            samples, rate = read_audio(original)
            _require(original, rate, bool(samples.any()))
            return Taken(original, len(samples))
        if os.path.isfile(target):
            return Taken(target, audio_length(target)[0])
        pcm, rate, right = read_checked(original)
        _require(original, rate, bool(pcm.any()))
        write_wav(target, pcm, rate)
        return Taken(target, len(pcm), doubtful=not right)
    except ContrasepError as error:
        return Taken(original, error=str(error))
    except PermissionError as error:
        return Taken(original, error=f"{original}: cannot be read ({error.strerror}); change its mode")


def _require(path: str, rate: int, sound: bool) -> None:
    if rate != RATE:
        raise ContrasepError(f"{path}: {rate} Hz, WSJ0 has {RATE} Hz; take the original files")
    if not sound:
        raise ContrasepError(f"{path}: all zero; copy it from the disk again")


def prepare(
    tree: str | os.PathLike,
    lists_folder: str | os.PathLike,
    num_spk: int,
    out: str | os.PathLike,
    needs_levels: bool,
    run: Callable[[Callable[[str, str], Taken], Sequence[Take]], list[Taken]],
) -> dict[str, int]:
    """Write the single-speaker sets ``tr``, ``cv`` and ``tt`` and the lists that mix them.

    ``OUT/wsj0_files.tsv`` says of every file that the lists name where it is, or that it is missing,
    before any file is opened. ``OUT/wsj0/...`` holds what was decoded, ``OUT/lists`` the lists.

    Args:
        tree: folder that holds WSJ0, in any form that `find_files` knows.
        lists_folder: folder of the lists and levels.
        num_spk: talkers per mixture.
        out: sources folder.
        needs_levels: whether it is an error if a file has no published level. The levels are kept
            (``utt2level`` of the sets) if all files have one.
        run: runs ``work(*item)`` for every item, in order; in as many processes as it likes.

    Returns:
        set -> number of utterances.

    Raises:
        ContrasepError: any error of lists, tree or files; all are printed on standard error and written to
            ``OUT/wsj0_errors.txt``, and what was decoded is kept. An output folder with files of a
            rehearsal where ``tree`` is none, or the other way round.
    """
    out = Path(out)
    _claim(out, Path(tree))
    lists, errors = read_lists(lists_folder, num_spk)
    keys, key_errors = _keys_of(lists)
    errors += key_errors
    expected = {key for members in keys.values() for key in members}
    found = find_files(tree, expected)
    rows = [
        f"{name}\t{key}\t{'found' if key in found.files else 'missing'}\t{found.files.get(key, '-')}"
        for name, members in keys.items() for key in sorted(members)
    ]
    write_text(out / REPORT, "".join(row + "\n" for row in ["set\tfile\tstate\tpath", *rows]))
    print(f"{tree}: files that the lists name ({out / REPORT}):", *completeness(keys, found), sep="\n", flush=True)
    errors += missing_errors(tree, expected, found)
    levels, level_errors = find_levels(lists_folder, sorted({key.partition("/")[0] for key in expected}))
    level_errors = level_errors or _without_level(expected, levels)
    if needs_levels:
        errors += level_errors

    there = sorted(found.files)
    taken = dict(
        zip(there, run(take_file, [(str(found.files[key]), str(out / "wsj0" / f"{key}.wav")) for key in there]))
    )
    errors += [file.error for file in taken.values() if file.error]
    doubtful = [str(found.files[key]) for key, file in taken.items() if file.doubtful]
    if doubtful:
        print(
            f"{len(doubtful)} files have another sum of samples than their headers state, e.g. {doubtful[0]}; "
            "they are used as they are", file=sys.stderr,
        )
    raise_all(out / ERRORS, errors)
    for name, members in keys.items():
        utterances = [_utterance(key, taken[key]) for key in sorted(members)]
        write_single_set(out / name, utterances)
        if not level_errors:
            write_table(out / name / UTT2LEVEL, {u.utt_id: f"{levels[u.utt_id]:.17g}" for u in utterances})
        write_list(out / "lists" / list_name(num_spk, name), lists[name])
    return {name: len(members) for name, members in keys.items()}


def _claim(out: Path, tree: Path) -> None:
    """Note whether this is WSJ0 or a rehearsal; what was decoded of one is no part of the other."""
    marker, label, decoded = tree / REHEARSAL, out / LABEL, out / "wsj0"
    now = marker.read_text(encoding="utf-8") if marker.is_file() else ""
    before = label.read_text(encoding="utf-8") if label.is_file() else ""
    if decoded.is_dir() and now != before:
        held, given = (text.strip() or "WSJ0" for text in (before, now))
        raise ContrasepError(f"{out}: holds files of {held}, {tree} is {given}; delete it or name another folder")
    if now:
        write_text(label, now)


def _keys_of(lists: Mapping[str, Sequence[Mixture]]) -> tuple[dict[str, set[str]], list[str]]:
    """Set -> keys of the files that its list names, and the errors; sets that share files are among them."""
    keys: dict[str, set[str]] = {}
    errors: list[str] = []
    for name, mixtures in lists.items():
        keys[name] = set()
        bad: list[str] = []
        for source in sorted({source for mixture in mixtures for source in mixture.sources}):
            try:
                keys[name].add(file_key(source))
            except ContrasepError as error:
                bad.append(str(error))
        if bad:
            errors.append(f"list of {name}: {bad[0]}" + (f" ({len(bad)} such sources)" if len(bad) > 1 else ""))
        for other, members in keys.items():
            shared = keys[name] & members
            if other != name and shared:
                errors.append(
                    f"lists of {other} and {name} share {len(shared)} files, e.g. {min(shared)}; fix the lists"
                )
    return keys, errors


def _without_level(expected: set[str], levels: Mapping[str, float]) -> list[str]:
    lacking = sorted(key for key in expected if key.rpartition("/")[2] not in levels)
    if not lacking:
        return []
    return [f"{len(lacking)} files have no published level, e.g. {lacking[0]}; --activlev p56 does without"]


def _utterance(key: str, file: Taken) -> Utterance:
    _, speaker, name = key.split("/")
    return Utterance(name, speaker, file.path, None, None, file.samples, RATE)


class Wsj0(Corpus):
    """WSJ0 (LDC93S6A): every file that the lists of WSJ0-mix name is found, checked and decoded."""

    takes = frozenset({"corpus", "mix_lists", "num_spk"})

    def prepare(self, request: Request) -> dict[str, int]:
        """Write ``tr``, ``cv``, ``tt``, the lists, and ``wsj0_files.tsv``: of every file, whether it is there."""
        if not request.corpus:
            raise ContrasepError(
                "WSJ0 comes from the LDC (LDC93S6A): name the folder that holds it by --wsj0 DIR, or once in db.sh"
            )
        if request.num_spk is None:
            raise ContrasepError(
                "--num-spk: expected the number of speakers per mixture, which chooses WSJ0-mix's lists"
            )
        lists = request.mix_lists or fetch_lists(request.download_dir, request.num_spk)
        run_all = functools.partial(in_processes, nj=request.jobs, what="checking and decoding")
        published = self.mix.active_level == "published"
        return prepare(request.corpus, lists, request.num_spk, request.out, published, run_all)
