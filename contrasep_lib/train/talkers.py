"""Who may talk in a mixture that is drawn on the fly: all of a corpus, or all who speak one language."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.dumpset import DumpSet
from contrasep_lib.io.scp import read_table

LANGUAGES = "utt2lang"

# speaker -> numbers of its utterances; speakers in order
Pool = dict[str, list[int]]


def pool_of(numbers: Iterable[int], talkers: Sequence[str]) -> Pool:
    """The speakers of some utterances.

    Args:
        numbers: of the utterances.
        talkers: speaker of each number.
    """
    pool: Pool = {}
    for number in numbers:
        pool.setdefault(talkers[number], []).append(int(number))
    return {speaker: pool[speaker] for speaker in sorted(pool)}


def split_by_language(
    numbers: Iterable[int], talkers: Sequence[str], utterances: Sequence[tuple[DumpSet, str]]
) -> list[Pool]:
    """The speakers of each language among some utterances; who speaks two is in both, with the utterances of each.

    Args:
        numbers: of the utterances.
        talkers: speaker of each number.
        utterances: set and id of each number; all of a set without ``utt2lang`` speak one language.

    Raises:
        ContrasepError: an utterance that the ``utt2lang`` of its set does not name.
    """
    tables: dict[DumpSet, dict[str, str]] = {}
    spoken: dict[str, list[int]] = {}
    for number in numbers:
        dump, key = utterances[number]
        if dump not in tables:
            path = dump.folder / LANGUAGES
            tables[dump] = read_table(path) if path.is_file() else dict.fromkeys(dump.keys, "")
        if key not in tables[dump]:
            raise ContrasepError(f"{dump.folder / LANGUAGES}: no utterance '{key}'; run stages 0 to 2 again")
        spoken.setdefault(tables[dump][key], []).append(number)
    return [pool_of(spoken[language], talkers) for language in sorted(spoken)]


def pick_language(pools: Sequence[Pool], num_spk: int, rng: np.random.Generator) -> Pool:
    """A language with enough speakers, by the number of its speakers, so that these are about equally likely."""
    enough = [pool for pool in pools if len(pool) >= num_spk]
    sizes = np.array([len(pool) for pool in enough], dtype=np.float64)
    return enough[int(rng.choice(len(enough), p=sizes / sizes.sum()))]
