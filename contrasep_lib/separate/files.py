"""Separation of a user's own recordings: names, errors, audio and evidence.

Of a recording ``NAME.wav`` the folder gets ``NAME_spk1.wav``, ``NAME_spk2.wav``, .. (mono PCM16 at the
model's rate) and, last, ``NAME.json``. What JSON has no number for (the conductance of one speaker) is
null there. Nothing in it depends on time or machine.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import re
import tempfile
import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from contrasep_lib.counting.counters.base import number_words
from contrasep_lib.errors import ContrasepError, is_out_of_memory
from contrasep_lib.io.atomic import write_text
from contrasep_lib.io.audio import Recording, read_recording, to_int16
from contrasep_lib.separate.excerpt import Excerpt
from contrasep_lib.separate.long import LongSeparation, Part
from contrasep_lib.separate.shipped import NamedSeparator

SUFFIXES = {".aif", ".aiff", ".au", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".sph", ".wav"}
# decimals of what is measured
DECIMALS = 6


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        out: folder of the outputs; made.
        num_spk: speakers of each recording, or None to estimate them.
        channel: which to take, from 1; None takes the mean of all.
        window: seconds; longer recordings are separated by windows of this length.
        overwrite: whether earlier outputs are replaced.
    """

    out: str
    num_spk: int | None = None
    channel: int | None = None
    window: float = 30
    overwrite: bool = False


def files_in(paths: Sequence[str]) -> list[Path]:
    """The recordings named: files as they are, of a folder all that look like audio, sorted.

    Raises:
        ContrasepError: a folder without audio.
    """
    files = []
    for path in map(Path, paths):
        inside = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        if not inside:
            raise ContrasepError(f"{path}: no audio in this folder; name files, or another folder")
        files += inside
    return files


def seconds_in(files: Sequence[Path]) -> float:
    """Seconds by the headers; files that cannot be read count as none."""
    import soundfile

    total = 0.0
    for file in files:
        with contextlib.suppress(soundfile.LibsndfileError, RuntimeError, UnicodeError):
            total += soundfile.info(str(file)).duration
    return total


def separate_files(
    separator: NamedSeparator,
    files: Sequence[Path],
    request: Request,
    report: Callable[[str, bool], object],
    advance: Callable[[float], object] = lambda seconds: None,
) -> int:
    """Separate recordings, each by itself; an error in one does not stop the others.

    Args:
        separator: trained model.
        files: recordings.
        request: what is asked for.
        report: takes a line for each recording, and whether it is an error.
        advance: takes seconds of audio as they are processed.

    Returns:
        how many could not be separated.
    """
    taken: dict[str, Path] = {}
    inputs = {file.resolve() for file in files}
    failed = 0
    for file in files:
        try:
            shown = str(file).encode("utf-8", "backslashreplace").decode()
            if shown != str(file):
                raise ContrasepError(f"{shown}: its name is not UTF-8; rename it")
            if file.stem in taken:
                raise ContrasepError(
                    f"{file}: its outputs would have the names of {taken[file.stem]}'s; separate it into another --out"
                )
            taken[file.stem] = file
            written, note = _separate_file(separator, file, request, inputs, advance)
            report(f"{file}: {number_words(len(written))}{note}: {' '.join(map(str, written))}", False)
        except ContrasepError as error:
            report(str(error), True)
            failed += 1
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            report(f"{file}: out of memory with windows of {request.window:g} s; use a smaller --window", True)
            failed += 1
    return failed


def _separate_file(
    separator: NamedSeparator, file: Path, request: Request, inputs: set[Path], advance: Callable[[float], object]
) -> tuple[list[Path], str]:
    """Separate one recording; the files of its speakers, and what there is to say about them."""
    out, name = Path(request.out), file.stem
    earlier = _outputs_of(out, name)
    if earlier and not request.overwrite:
        raise ContrasepError(f"{file}: {earlier[0]} is already there; use --overwrite, or another --out")
    for path in earlier:
        if path.resolve() in inputs:
            raise ContrasepError(f"{file}: {path} is a recording to separate, and is not replaced; use another --out")
    k_max = separator.separator.modularity.k_max
    if request.num_spk and request.num_spk > k_max:
        raise ContrasepError(
            f"{file}: --num-spk {request.num_spk}: the model '{separator.name}' separates at most {k_max} speakers"
        )
    recording = read_recording(file, separator.rate, request.channel)
    try:
        done = LongSeparation(
            separator.separator, name, recording.samples, separator.rate, request.num_spk, request.window, advance
        )
    except ContrasepError as error:
        # the key, which stands in quotes before the message, is in the path
        words = str(error).partition("': ")[2] or str(error)
        raise ContrasepError(f"{file}: {words}") from None
    # outputs that PCM16 cannot hold are all scaled by one gain
    gain = 1.0 if done.peak < 1 else 0.999 / done.peak
    out.mkdir(parents=True, exist_ok=True)
    with done, tempfile.TemporaryDirectory(prefix=f".{name}.", dir=out) as folder:
        names = [f"{name}_spk{number}.wav" for number in range(1, done.num_spk + 1)]
        energy = _write_audio(done, [Path(folder) / each for each in names], separator.rate, gain)
        written = [out / each for each in names]
        for path in earlier:
            path.unlink()
        for path in written:
            (Path(folder) / path.name).replace(path)
    shares = (energy / energy.sum()).tolist() if energy.any() else energy.tolist()
    content = _evidence(separator, file, request, recording, done, gain, names, shares)
    write_text(out / f"{name}.json", json.dumps(_plain(content), indent=1, ensure_ascii=False) + "\n")
    return written, _note(done)


def _note(done: LongSeparation) -> str:
    """Says where another solver took the place of the configured one."""
    windows = [part.separation for part in done.parts if part.separation and part.separation.fallback]
    if not windows:
        return ""
    where = f" in {len(windows)} of {len(done.parts)} windows" if len(done.parts) > 1 else ""
    return f" ({windows[0].fallback} in place of {windows[0].solver}, which found too few communities{where})"


def _outputs_of(out: Path, name: str) -> list[Path]:
    """Outputs of a recording of this name that are there."""
    pattern = re.compile(re.escape(name) + r"(_spk[0-9]+\.wav|\.json)")
    return sorted(path for path in out.iterdir() if pattern.fullmatch(path.name)) if out.is_dir() else []


def _write_audio(done: LongSeparation, paths: Sequence[Path], rate: int, gain: float) -> np.ndarray:
    """Write the outputs block by block; the energy of each."""
    energy = np.zeros(len(paths))
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(wave.open(str(path), "wb")) for path in paths]
        for file in files:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
        for block in done.blocks():
            energy += np.square(block, dtype=np.float64).sum(axis=1)
            for file, samples in zip(files, block):
                file.writeframes(to_int16(samples * np.float32(gain)).astype("<i2", copy=False).tobytes())
    return energy


def _evidence(
    separator: NamedSeparator, file: Path, request: Request, recording: Recording, done: LongSeparation,
    gain: float, names: Sequence[str], shares: Sequence[float],
) -> dict[str, Any]:
    """What NAME.json holds."""
    return {
        "file": file.name,
        "file_rate": recording.rate,
        "file_channels": recording.channels,
        "channel": request.channel or "mean",
        "seconds": recording.seconds,
        "model": separator.name,
        "rate": separator.rate,
        "gain": gain,
        "num_spk": done.num_spk,
        "count": "given" if request.num_spk else "estimated",
        "outputs": list(names),
        "energy_shares": list(shares),
        "windows": [_window(part, done.excerpt, separator.rate) for part in done.parts],
    }


def _window(part: Part, excerpt: Excerpt, rate: int) -> dict[str, Any]:
    found = part.separation
    # an excerpt may begin within the first hop
    start = excerpt.place(part.start) if part.start else 0
    content: dict[str, Any] = {
        "start": start / rate, "stop": (excerpt.place(part.stop - 1) + 1) / rate,
        "speakers": [speaker + 1 for speaker in part.speakers],
    }
    if found is None:
        return {**content, "words": "silence"}
    return {
        **content,
        "count": "given" if found.num_spk_given else "estimated",
        "modularity": found.modularity,
        "normalised_modularity": found.normalised_modularity,
        "conductance": found.conductance,
        "sizes": list(found.sizes),
        "solver": found.solver,
        "fallback": found.fallback,
        "words": " ".join(found.words.split()),
        "probabilities": list(found.probabilities),
        "evidence": [dataclasses.asdict(entry) for entry in found.evidence],
    }


def _plain(value: Any) -> Any:
    """As JSON has it: rounded, and null for what is no number."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return round(value, DECIMALS) if math.isfinite(value) else None
    return value
