"""Finished mixtures: data directories that refer to them where they lie, after every file was checked.

``OUT/mixtures/SET`` are the mixtures, with ``noise.scp`` where there is noise; ``OUT/SET`` the single speakers of the
sets that are no tests, each utterance once, for pretraining and mixing on the fly. Nothing is copied or mixed.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from contrasep_lib.corpus.base import Corpus, Request
from contrasep_lib.corpus.hearing import counted, raise_all
from contrasep_lib.corpus.mixture_tree import Entry, Tree, find_base, find_sets, read_entries, tree_of
from contrasep_lib.corpus.single import Utterance, write_single_set
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.datadir import audio_length, write_mixture_dir
from contrasep_lib.io.ids import is_id, shown
from contrasep_lib.io.parallel import in_processes
from contrasep_lib.io.validate import validate_audio

ERRORS, MIXTURES = "errors.txt", "mixtures"
# (speaker, utterance) of each source
Talkers = list[tuple[str, str]]


def librispeech_talkers(name: str, count: int) -> Talkers | None:
    """Speakers and utterances by LibriMix's names; None where a name is another's.

    Example:
        >>> librispeech_talkers("4077-13754-0001_5142-33396-0065", 2)
        [('4077', '4077-13754-0001'), ('5142', '5142-33396-0065')]
    """
    parts = name.split("_")[:count]
    if len(parts) < count or not all(re.fullmatch(r"[0-9]+-[0-9]+-[0-9]+", part) for part in parts):
        return None
    return [(part.partition("-")[0], part) for part in parts]


def wsj0mix_talkers(name: str, count: int) -> Talkers | None:
    """Speakers and utterances by WSJ0-mix's names, with or without gains; None where a name is another's.

    Example:
        >>> wsj0mix_talkers("01aa010k_1.3053_01po0310_-1.3053", 2)
        [('01a', '01aa010k'), ('01p', '01po0310')]
    """
    parts = [part for part in name.split("_") if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?(e-?[0-9]+)?", part)]
    if len(parts) < count or not all(re.fullmatch(r"[0-9a-z]{3}[a-z][0-9a-z]{4}", part) for part in parts):
        return None
    return [(part[:3], part) for part in parts[:count]]


NAMINGS: dict[str, Callable[[str, int], Talkers | None]] = {
    "librispeech": librispeech_talkers, "wsj0mix": wsj0mix_talkers,
}


def find_talkers(said: Sequence[str], count: int, naming: str, table: str | None) -> tuple[list[Talkers], str]:
    """Speakers and utterances of the sources of mixtures.

    Args:
        said: what names each mixture's speakers.
        count: sources of a mixture.
        naming: see `MixturesOptions.names`.
        table: see `MixturesOptions.speakers`.

    Returns:
        those of each mixture, and where they are from; ``none`` where nothing tells, and each source counts as a
        speaker of its own.

    Raises:
        ContrasepError: a name that is not of the naming, or lacks in the table.
    """
    if table is not None:
        return _by_table(said, count, table), "table"
    for name in NAMINGS if naming == "auto" else [naming] if naming != "none" else []:
        made = [NAMINGS[name](text, count) for text in said]
        if None not in made:
            return [talkers for talkers in made if talkers is not None], name
        if naming == name:
            odd = said[made.index(None)]
            raise ContrasepError(f"{shown(odd)}: does not name {count} speakers, as names of '{name}' do")
    return [[(f"{text}-{number}",) * 2 for number in range(1, count + 1)] for text in said], "none"


def _by_table(said: Sequence[str], count: int, table: str) -> list[Talkers]:
    try:
        rows = {fields[0]: fields[1:] for fields in map(str.split, Path(table).read_text(encoding="utf-8").splitlines())
                if fields}
    except (OSError, UnicodeDecodeError) as error:
        raise ContrasepError(f"{table}: cannot be read ({error}); corpus.mixtures.speakers names it") from None
    for text in said:
        names = rows.get(text, [])
        if len(names) != count or not all(map(is_id, names)):
            raise ContrasepError(f"{table}: '{shown(text)}': expected a line with {count} speakers, got {len(names)}")
    return [[(name, f"{name}-{text}-{number}") for number, name in enumerate(rows[text], 1)] for text in said]


@dataclasses.dataclass(frozen=True)
class Checked:
    """What the audio of a mixture is: what is wrong, one line each, its samples and rate (Hz)."""

    errors: tuple[str, ...]
    samples: int = 0
    rate: int = 0


def check_entry(name: str, paths: Sequence[str], rate: int, noisy: bool, samples: int | None) -> Checked:
    """Read all tracks of a mixture: one rate and length, sources that add up; see `validate_audio`."""
    errors, own_rate = validate_audio(name, list(paths), rate, None, noise=noisy)
    if errors:
        return Checked(tuple(errors))
    length = audio_length(paths[0])[0]
    if samples is not None and samples != length:
        return Checked((f"{name}: {paths[0]}: {length} samples, its list says {samples}",))
    return Checked((), length, own_rate)


class FinishedMixtures(Corpus):
    """Mixtures that others have made."""

    takes = frozenset({"corpus", "num_spk"})

    def prepare(self, request: Request) -> Mapping[str, int]:
        """Write ``mixtures/SET`` and, of sets that are no tests, ``SET``; ``errors.txt`` where something is wrong."""
        out, options, mix = Path(request.out), self.options, self.mix
        if request.corpus is None:
            raise ContrasepError("--corpus: name the folder that holds the mixtures; nothing is downloaded")
        base = find_base(Path(request.corpus), mix.rate, mix.mode, request.num_spk)
        sets: dict[str, tuple[Tree, list[Entry]]] = {}
        errors: list[str] = []
        for name, folder in find_sets(base, list(mix.sets), options.sets).items():
            tree = tree_of(folder, options.mixture, options.noise, request.num_spk)
            entries, found = read_entries(tree)
            sets[name] = tree, entries[: mix.sets[name]]
            errors += found
        self._require(out, request.corpus, errors)
        work = [
            (entry.name, entry.paths, mix.rate, tree.noise is not None, entry.samples)
            for tree, entries in sets.values() for entry in entries
        ]
        results = in_processes(check_entry, work, request.jobs, f"checking {request.corpus}")
        self._require(out, request.corpus, [error for checked in results for error in checked.errors])
        left = iter(results)
        made = {}
        for name, (tree, entries) in sets.items():
            kept = [(entry, checked) for entry in entries if not (checked := next(left)).errors]
            made[name] = self._write(out, name, tree, kept)
        return made

    def _require(self, out: Path, corpus: str, errors: Sequence[str]) -> None:
        if errors and self.options.leave_out:
            print(f"{corpus}: {counted(errors, 'mixtures have errors and are left out')}", file=sys.stderr)
        else:
            raise_all(out / ERRORS, errors)

    def _write(self, out: Path, name: str, tree: Tree, kept: Sequence[tuple[Entry, Checked]]) -> int:
        """Write the data directories of a set; returns the number of mixtures."""
        count = len(tree.sources)
        if not kept:
            raise ContrasepError(f"{tree.folder}: no mixture of it can be used")
        talkers, known_by = find_talkers(
            [entry.said for entry, _ in kept], count, self.options.names, self.options.speakers
        )
        if known_by == "none":
            print(
                f"{tree.folder}: names tell no speakers, so each source counts as a speaker of its own, intervals are "
                "too narrow, and mixing on the fly may mix one with themselves; corpus.mixtures.speakers names a table"
            )
        write_mixture_dir(
            out / MIXTURES / name,
            {entry.name: [Path(path) for path in entry.paths[: 1 + count]] for entry, _ in kept},
            {entry.name: [speaker for speaker, _ in own] for (entry, _), own in zip(kept, talkers)},
            noise={entry.name: entry.paths[-1] for entry, _ in kept} if tree.noise else None,
            lengths={entry.name: (checked.samples, checked.rate) for entry, checked in kept},
        )
        if not name.startswith("tt"):
            write_single_set(out / name, single_speakers(kept, talkers))
        source = f"the list {tree.listing.name}" if tree.listing else "the files"
        noise = " and noise" if tree.noise else ""
        print(f"{name}: {len(kept)} mixtures of {count} talkers{noise} in {tree.folder / tree.mixture}, by {source}")
        return len(kept)


def single_speakers(kept: Sequence[tuple[Entry, Checked]], talkers: Sequence[Talkers]) -> list[Utterance]:
    """The sources of mixtures, each utterance once: where several mixtures have it, cut differently, the longest."""
    longest: dict[str, Utterance] = {}
    for (entry, checked), own in zip(kept, talkers):
        for path, (speaker, utt) in zip(entry.paths[1:], own):
            if utt not in longest or checked.samples > longest[utt].num_samples:
                longest[utt] = Utterance(utt, speaker, path, None, None, checked.samples, checked.rate)
    return list(longest.values())
