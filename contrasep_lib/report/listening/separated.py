"""A page of recordings that ``contrasep separate`` separated, from what lies in its folders.

A folder holds ``NAME.json`` and the outputs that it names. The recording itself is heard where its folder is named;
else the sum of the outputs stands for it. Units have the colour of the output that is loudest there.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.audio import resample_audio
from contrasep_lib.io.recording import read_recording
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.report.listening.content import (
    MOST_SECONDS,
    NOTHING,
    Cell,
    Choice,
    Communities,
    Content,
    CountEvidence,
    Scene,
    Table,
    Track,
    names_of,
    number_cell,
    telling,
    text_cell,
)
from contrasep_lib.report.plots import level_db
from contrasep_lib.report.reading import read_json

# of a window of the spectrograms, seconds
_WINDOW = 0.032
# of a list, one for each number of speakers
_MOST_NUMBERS = 100
_KEYS = {"outputs": list, "num_spk": int, "seconds": (int, float), "windows": list}
_REMEDY = "separate the recording again"


@dataclasses.dataclass(frozen=True)
class Separated:
    """A folder of separated recordings: its name on the page, and the content of its JSON files by their names."""

    name: str
    folder: Path
    recordings: Mapping[str, Mapping[str, Any]]


def separated_content(
    folders: Sequence[str | os.PathLike], number: int, owner: str | None = None, recordings: str | None = None
) -> Content:
    """The page of one folder, or of several with the same recordings side by side.

    Args:
        folders: as ``contrasep separate --out`` writes them.
        number: recordings that can be heard, at most.
        owner: whose recordings they are; None for not stated.
        recordings: folder of the recordings themselves; None for the sum of the outputs in their place.

    Raises:
        ContrasepError: a folder without separated recordings, or a file that cannot be read.
    """
    paths = list(map(Path, folders))
    found = [Separated(name, path, _recordings(path)) for name, path in zip(names_of(paths), paths)]
    names = list(dict.fromkeys(name for one in found for name in one.recordings))
    certainty = {name: _certainty(found, name) for name in names}
    names.sort(key=lambda name: (certainty[name] is None, certainty[name] or 0.0))
    header = ["recording", "seconds", *(f"{one.name}: {title}" for one in found for title in
                                        ("outputs", "probability of the count", "smallest share of energy"))]
    if len(found) == 1:
        header = [title.removeprefix(f"{found[0].name}: ") for title in header]
    rows = [_row(found, name) for name in names]
    notes = ["Probability of the count: the smallest of all windows, where the counter states it."]
    choices = [
        Choice(place, names[place], "", functools.partial(_scene, found, names[place], recordings))
        for place in telling([certainty[name] for name in names], number)
    ]
    title = f"Separated recordings: {', '.join(one.name for one in found)}"
    first = 3 if any(value is not None for value in certainty.values()) else None
    return Content(
        title, owner or f"{', '.join(names[:3])}{' and others' if len(names) > 3 else ''} (owner not stated)", [],
        Table("Recordings", header, rows, None if first is None else (first, True), notes), choices,
    )


def is_separated(folder: str | os.PathLike) -> bool:
    """Whether a folder looks like one that ``contrasep separate`` wrote."""
    return not any(Path(folder).glob("score_*")) and any(Path(folder).glob("*.json"))


def _recordings(folder: Path) -> dict[str, Mapping[str, Any]]:
    made = {}
    for path in sorted(folder.glob("*.json")):
        content = read_json(path, _REMEDY)
        if "outputs" not in content:
            continue
        for key, kind in _KEYS.items():
            if not isinstance(content.get(key), kind):
                raise ContrasepError(f"{path}: key '{key}' missing or of another kind; {_REMEDY}")
        for name in content["outputs"]:
            # nothing that a file says leads out of its folder
            if not isinstance(name, str) or Path(name).name != name:
                raise ContrasepError(f"{path}: outputs: expected names of files beside it; {_REMEDY}")
        made[path.stem] = content
    if not made:
        raise ContrasepError(f"{folder}: no separated recordings (NAME.json); run contrasep separate --out {folder}")
    return made


def _windows(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [window for window in content["windows"] if isinstance(window, dict)]


def _numbers(values: Any) -> list[float]:
    """A list of numbers from JSON; empty where it is something else."""
    whole = isinstance(values, list) and all(isinstance(value, (int, float)) for value in values)
    return [float(value) for value in values[:_MOST_NUMBERS]] if whole else []


def _probability(content: Mapping[str, Any]) -> float | None:
    """The smallest probability of a window's count."""
    known = [max(chances) for window in _windows(content) if (chances := _numbers(window.get("probabilities")))]
    return min(known, default=None)


def _certainty(found: Sequence[Separated], name: str) -> float | None:
    known = [_probability(one.recordings[name]) for one in found if name in one.recordings]
    return min((value for value in known if value is not None), default=None)


def _row(found: Sequence[Separated], name: str) -> list[Cell]:
    seconds = next(one.recordings[name]["seconds"] for one in found if name in one.recordings)
    cells = [text_cell(name), number_cell(seconds, 1)]
    for one in found:
        content = one.recordings.get(name)
        if content is None:
            cells += [Cell(NOTHING)] * 3
            continue
        given = " (given)" if content.get("count") == "given" else ""
        shares = _numbers(content.get("energy_shares"))
        cells += [Cell(f"{content['num_spk']}{given}", content["num_spk"]), number_cell(_probability(content)),
                  number_cell(min(shares, default=None), 3)]
    return cells


def _scene(found: Sequence[Separated], name: str, recordings: str | None) -> Scene:
    holders = [one for one in found if name in one.recordings]
    read = {one.name: _outputs(one.folder, one.recordings[name]["outputs"]) for one in holders}
    rate = next(iter(read.values()))[1]
    first = holders[0].recordings[name]
    signals = {title: [_at(signal, own, rate) for signal in outputs] for title, (outputs, own) in read.items()}
    samples = min(len(signal) for outputs in signals.values() for signal in outputs)
    outputs = {title: np.stack([signal[:samples] for signal in each]) for title, each in signals.items()}
    mixture = _recording(first, recordings, rate, samples)
    heard = outputs[holders[0].name].sum(axis=0) if mixture is None else mixture
    tracks = [Track("sum of the outputs" if mixture is None else "recording", heard)]
    hop = max(round(_WINDOW * rate / 4), 1)
    features = FeatureOptions(win=4 * hop, hop=2 * hop)
    several, maps = len(holders) > 1, []
    for one in holders:
        own = outputs[one.name]
        colours = _colours(outputs[holders[0].name], own)
        group = one.name if several else ""
        tracks += [Track(f"output {number + 1}", own[number], group, "", colours[number]) for number in range(len(own))]
        rest = _rest(one.folder, name, one.recordings[name], rate, samples)
        tracks += [] if rest is None else [Track("rest", rest, group, "what no output holds")]
        maps.append(_loudest(heard, own, colours, features, one.name))
    evidence = [_evidence(one.name, one.recordings[name]) for one in holders]
    return Scene(rate, tracks, features, max(float(first["seconds"]), samples / rate), maps, evidence)


def _outputs(folder: Path, names: Sequence[str]) -> tuple[list[np.ndarray], int]:
    """The beginnings of a recording's outputs, and their rate in Hz."""
    read = [_beginning(folder / name) for name in names]
    if not read or len({rate for _, rate in read}) > 1:
        raise ContrasepError(f"{folder}: expected outputs of one rate, got {', '.join(names) or 'none'}; {_REMEDY}")
    return [samples for samples, _ in read], read[0][1]


def _beginning(path: Path) -> tuple[np.ndarray, int]:
    """The first `MOST_SECONDS` of a file of one channel, float32, and its rate in Hz."""
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            samples = file.read(round(MOST_SECONDS * file.samplerate), dtype="float32", always_2d=True)
            rate = file.samplerate
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        raise ContrasepError(f"{path}: cannot be read ({' '.join(str(error).split())}); {_REMEDY}") from None
    if not len(samples) or not np.isfinite(samples).all():
        raise ContrasepError(f"{path}: no samples, or some that are no numbers; {_REMEDY}")
    return samples.mean(axis=1), rate


def _at(samples: np.ndarray, own: int, rate: int) -> np.ndarray:
    return samples if own == rate else resample_audio(samples.astype(np.float64), own, rate).astype(np.float32)


def _rest(folder: Path, name: str, content: Mapping[str, Any], rate: int, samples: int) -> np.ndarray | None:
    """What no output holds, where it was written (``--rest``)."""
    known = set(content["outputs"])
    for path in sorted(folder.glob("*_rest.*")):
        if path.stem == f"{name}_rest" and path.name not in known:
            signal, own = _beginning(path)
            heard = _at(signal, own, rate)[:samples]
            return np.pad(heard, (0, samples - len(heard)))
    return None


def _recording(content: Mapping[str, Any], recordings: str | None, rate: int, samples: int) -> np.ndarray | None:
    """The recording itself; None where it does not lie in the folder that was named."""
    file = content.get("file")
    if recordings is None or not isinstance(file, str) or Path(file).name != file:
        return None
    path = Path(recordings) / file
    if not path.is_file():
        return None
    channel = content.get("channel")
    heard = read_recording(path, rate, channel if isinstance(channel, int) else None).samples[:samples]
    return np.pad(heard, (0, samples - len(heard)))


def _colours(first: np.ndarray, own: np.ndarray) -> list[int]:
    """A colour for each output: that of the most similar output of the first folder, further ones where none is left.

    Args:
        first: outputs of the first folder, ``(outputs, samples)``.
        own: outputs to colour, of the same recording.
    """
    from scipy.optimize import linear_sum_assignment

    norms = [np.linalg.norm(each, axis=1, keepdims=True) + 1e-12 for each in (first, own)]
    likeness = np.abs((first / norms[0]) @ (own / norms[1]).T)
    colours = dict(zip(*(places.tolist() for places in linear_sum_assignment(-likeness)[::-1])))
    spare = iter(range(len(first), len(first) + len(own)))
    return [colours[number] if number in colours else next(spare) for number in range(len(own))]


def _loudest(
    heard: np.ndarray, outputs: np.ndarray, colours: Sequence[int], features: FeatureOptions, group: str
) -> Communities:
    level = level_db(heard, features)
    loudest = np.argmax([level_db(output, features) for output in outputs], axis=0)
    units = np.where(level > level.max() - features.silence_db, np.array(colours)[loudest], -1)
    names = {colour: f"output {number}" for number, colour in enumerate(colours, 1)}
    return Communities("loudest output in each unit", units, names, features, group)


def _evidence(group: str, content: Mapping[str, Any]) -> CountEvidence:
    """Of the only window, or of the one that is least certain."""
    windows = _windows(content)
    least = min(windows, key=lambda window: max(_numbers(window.get("probabilities")), default=2.0), default={})
    entries = least.get("evidence")
    qualities = [
        tuple(_numbers([entry.get(key) for key in ("quality", "null_mean", "null_spread")]))
        for entry in (entries[:_MOST_NUMBERS] if isinstance(entries, list) else []) if isinstance(entry, dict)
    ]
    words = [str(least.get("words", ""))] if least else []
    if len(windows) > 1:
        words.insert(0, f"the least certain of {len(windows)} windows:")
    return CountEvidence(
        group, content["num_spk"], content.get("count") == "given",
        probabilities=_numbers(least.get("probabilities")),
        qualities=qualities if all(len(each) == 3 for each in qualities) else [], words=" ".join(words),
    )
