"""Outputs that are named after enrolled voices: ``NAME_alice.wav`` in place of ``NAME_spk2.wav``.

Nothing of a voice is kept: ``NAME.json`` holds names and scores.
"""

from __future__ import annotations

import dataclasses
import json
import os
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from contrasep_lib.enrol.voices import BLOCK, LONGEST, Voice, loudest, pinned, scores_of
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import write_text
from contrasep_lib.io.audio import resample_audio
from contrasep_lib.io.rttm import read_rttm, write_rttm
from contrasep_lib.separate.earlier import SUFFIXES, named_outputs, require_replaceable
from contrasep_lib.separate.shipped import NamedSeparator


class Naming:
    """Names the outputs of recordings, once they are separated.

    Args:
        separator: that separates.
        voices: to look for.
        threshold: of a score; below it a voice is not there.
        places: ``OUT/.../NAME`` of each recording, of which ``NAME.json`` will tell.
        overwrite: whether earlier outputs of these names are replaced.
        kept: files that are never replaced, see `require_replaceable`.

    Raises:
        ContrasepError: a file of an output's future name is there, and is no earlier output that may be replaced.
    """

    def __init__(
        self, separator: NamedSeparator, voices: Sequence[Voice], threshold: float, places: Sequence[Path],
        overwrite: bool = False, kept: Mapping[Path, str] = types.MappingProxyType({}),
    ) -> None:
        self.separator, self.voices, self.threshold = separator, voices, threshold
        self._before = {place: _identity(place) for place in places}
        for place in places:
            listed = named_outputs(place.parent, place.name)
            files = (place.with_name(f"{place.name}_{voice.name}{end}") for voice in voices for end in SUFFIXES)
            for path in filter(os.path.lexists, files):
                # those of earlier runs are removed by the separation that replaces them
                require_replaceable([path], kept, overwrite or path not in listed)
                if path not in listed:
                    raise ContrasepError(
                        f"{path} is there, and {place.name}.json lists no such output; move it, or use another --out"
                    )

    def lines(self) -> Iterator[str]:
        """Name the outputs of each recording that has been separated since; one line for each voice."""
        for place, before in self._before.items():
            if (now := _identity(place)) and now != before:
                yield from self._name(place)

    def _name(self, place: Path) -> list[str]:
        described = place.with_name(f"{place.name}.json")
        content = json.loads(described.read_text(encoding="utf-8"))
        scores = self._scores([place.with_name(name) for name in content["outputs"]], content)
        found = pinned(scores, self.threshold)
        content["enrolled"], names, lines = {}, {}, []
        # as in separation: what has no JSON is not whole
        described.unlink()
        for number, (voice, output) in enumerate(zip(self.voices, found)):
            best = float(scores[number].max() if output is None else scores[number, output])
            name, more = None, ""
            if output is not None:
                name = content["outputs"][output]
                new = place.with_name(f"{place.name}_{voice.name}{Path(name).suffix}")
                # of another recording of this run, whose name begins with this one's
                if os.path.lexists(new):
                    more = f", not renamed, as {new} is there"
                else:
                    place.with_name(name).rename(new)
                    name = content["outputs"][output] = new.name
                    names[f"spk{output + 1}"] = voice.name
            content["enrolled"][voice.name] = {
                "output": name, "score": round(best, 4), "threshold": self.threshold,
            }
            where = f"not there (at most {best:.2f}" if name is None else f"{place.with_name(name)} ({best:.2f}"
            lines.append(f"{place.name}: {voice.name}: {where}, threshold {self.threshold:g}){more}")
        _rename_turns(place, names)
        write_text(described, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        return lines

    def _scores(self, paths: Sequence[Path], content: dict[str, Any]) -> np.ndarray:
        """Of each voice for each output, ``(voices, outputs)``: of the part where most of that output is heard."""
        rate = self.separator.rate
        energies = np.stack([_energies(path) for path in paths])
        gains = np.asarray(content.get("gains", [content["gain"]] * len(paths)))[: len(paths), None]
        scores = np.empty((len(self.voices), len(paths)))
        for which in range(len(paths)):
            begin = loudest(energies[which], LONGEST)
            outputs = np.stack([_part(path, begin, rate) for path in paths]) / gains
            for number, voice in enumerate(self.voices):
                scores[number, which] = scores_of(self.separator, voice.sample, outputs, [which])[0]
        return scores


def _rename_turns(place: Path, names: Mapping[str, str]) -> None:
    """The speakers of ``NAME.rttm`` as the outputs are named."""
    path = place.with_name(f"{place.name}.rttm")
    if names and path.is_file():
        turns = [dataclasses.replace(turn, speaker=names.get(turn.speaker, turn.speaker)) for turn in read_rttm(path)]
        write_rttm(path, place.name, turns)


def _identity(place: Path) -> tuple[int, int] | None:
    """Tells one NAME.json from the next; None where there is none."""
    try:
        status = os.stat(f"{place}.json")
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def _energies(path: Path) -> np.ndarray:
    """Energy of each quarter of a second of a file, ``(blocks,)``, read block by block."""
    import soundfile

    with soundfile.SoundFile(path) as file:
        size = round(BLOCK * file.samplerate)
        return np.array([np.square(block).sum() for block in file.blocks(size, dtype="float64")])


def _part(path: Path, begin: float, rate: int) -> np.ndarray:
    """A part of an output at the model's rate, ``(samples,)``."""
    import soundfile

    with soundfile.SoundFile(path) as file:
        own = file.samplerate
        file.seek(min(round(begin * own), file.frames))
        samples = file.read(round(LONGEST * own), dtype="float64")
    return samples if own == rate else resample_audio(samples, own, rate)
