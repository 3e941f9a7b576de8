"""Separation from Python, in one call.

    from contrasep_lib import separate

    result = separate("meeting.m4a")
    result.save("separated")
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from contrasep_lib.config.bounds import Speakers
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.recording import ArraySource, FileSource, Source, read_recording
from contrasep_lib.io.rttm import Turn
from contrasep_lib.separate import arguments
from contrasep_lib.separate.cautions import Caution, cautions_of
from contrasep_lib.separate.earlier import outputs_of, require_replaceable
from contrasep_lib.separate.files import (
    Request,
    evidence_of,
    require_at_most,
    separated,
    write_separation,
)
from contrasep_lib.separate.outputs import FORMATS, Format, Levels
from contrasep_lib.separate.shipped import DEFAULT, NamedSeparator, load_separator


@dataclasses.dataclass(frozen=True)
class Separated:
    """What `separate` returns.

    Attributes:
        outputs: one talker a row, ``(count, samples)`` float32, at the recording's level.
        rest: what no output holds, ``(samples,)`` float32; with the outputs it adds up to the recording without its
            mean.
        rate: of both, Hz.
        count: talkers.
        probabilities: of 1, 2, .. talkers; empty where the count was given, or by a model that knows none.
        warnings: what to know before the outputs are believed, each with a ``kind`` and ``words``.
        turns: who is heard when: ``start`` and ``stop``, seconds, and ``speaker``, ``spk1`` for the first output.
        name: of the recording, after which `save` names files.
        details: what NAME.json holds: the evidence for the count, the windows.
        file: that was separated, which `save` never replaces; None for samples.
    """

    outputs: np.ndarray
    rest: np.ndarray
    rate: int
    count: int
    probabilities: tuple[float, ...]
    warnings: tuple[Caution, ...]
    turns: tuple[Turn, ...]
    name: str
    details: dict[str, Any]
    file: Path | None = None

    def save(
        self, folder: str | os.PathLike, *, form: Format = "wav", normalize: bool = False, rest: bool = False,
        overwrite: bool = False, name: str | None = None,
    ) -> list[Path]:
        """Write the files that ``contrasep separate`` writes.

        Args:
            folder: made where it is not there.
            form: ``wav`` or ``flac`` of 16 bits, or ``float``, WAV of 32-bit floats.
            normalize: bring each output to a peak of 0.9.
            rest: write the rest too.
            overwrite: replace earlier outputs.
            name: of the files in place of the recording's.

        Returns:
            The audio files, talkers first.

        Raises:
            ContrasepError: there are outputs of that name; they would replace the recording; a name that leads out of
                the folder, or another argument that is not as above.
        """
        out, name = arguments.path("folder", folder), arguments.stem(self.name if name is None else name)
        form = arguments.one_of("form", FORMATS, form)
        normalize, rest, overwrite = (
            arguments.flag(each, value)
            for each, value in (("normalize", normalize), ("rest", rest), ("overwrite", overwrite))
        )
        earlier = outputs_of(out, name)
        kept = {} if self.file is None else {self.file: "the recording"}
        require_replaceable(earlier, kept, overwrite, option="overwrite=True", other="another folder")
        blocks = np.concatenate([self.outputs, self.rest[None]])
        request = Request(out, form=form, normalize=normalize, rest=rest)
        levels = Levels.of([blocks])
        return write_separation(out, name, [blocks], levels, self.details, self.turns, request, earlier)


def separate(
    recording: str | os.PathLike | np.ndarray,
    rate: int | None = None,
    *,
    num_spk: int | None = None,
    model: str | os.PathLike | NamedSeparator = DEFAULT,
    channel: int | None = None,
    window: float = 30,
    original_rate: bool = False,
    threads: int = 1,
    device: str = "cpu",
    speakers: str | None = None,
) -> Separated:
    """Separate a recording into its talkers.

    Args:
        recording: a file of any format, or samples ``(samples,)`` or ``(samples, channels)``.
        rate: of samples, Hz; a file knows its own.
        num_spk: how many talkers there are; None lets the model count them.
        model: name of a model of the package, folder of an experiment, or what
            `contrasep_lib.separate.shipped.load_separator` returned. Models stay loaded between calls.
        channel: which channel to take, from 1; None takes the mean of all.
        window: seconds, at least one; a longer recording is separated by windows of this length.
        original_rate: outputs have the recording's rate in place of the model's.
        threads: of the processor.
        device: ``cpu``, or ``cuda:0``; like ``speakers``, of a model that is given by its name or folder.
        speakers: name of a speaker encoder, by which talkers of long recordings are told apart.

    Returns:
        Outputs, count and evidence; the same for the same samples, model and options.

    Raises:
        ContrasepError: a file that cannot be read, silence, more talkers than the model separates, an argument out of
            its bounds, which are those of the command: one line that names the file or argument and the fix.

    Example:
        >>> import numpy as np
        >>> noise = 0.1 * np.random.default_rng(0).standard_normal(8000)
        >>> result = separate(noise, 8000, num_spk=2, model="small")
        >>> result.outputs.shape, result.rate, result.count
        ((2, 8000), 8000, 2)
        >>> bool(abs(result.outputs.sum(0) + result.rest - (noise - noise.mean())).max() < 1e-6)
        True
    """
    num_spk = arguments.number_or_none("num_spk", Speakers, num_spk)
    channel = arguments.number_or_none("channel", arguments.Channel, channel)
    window = arguments.number("window", arguments.Window, window)
    threads = arguments.number("threads", arguments.Threads, threads)
    original_rate = arguments.flag("original_rate", original_rate)
    source, file = _source(recording, rate)
    with _threads(threads):
        separator = model if isinstance(model, NamedSeparator) else _separator(model, device, speakers)
        require_at_most(separator, num_spk, source.label)
        read = read_recording(source, separator.rate, channel)
        with separated(separator, read, num_spk, window) as done:
            audio = np.concatenate(list(done.blocks(original_rate)), axis=1)
            cautions = cautions_of(done, num_spk)
            turns = tuple(done.done.turns())
            details = evidence_of(separator, done, num_spk, cautions, Levels.of([audio]).shares)
    details["rate"] = read.rate if original_rate else separator.rate
    details["file"] = Path(source.label).name
    return Separated(
        audio[:-1], audio[-1], details["rate"], done.num_spk, tuple(details["probabilities"]), tuple(cautions), turns,
        "recording" if file is None else file.stem, details, None if file is None else file.resolve(),
    )


def _source(recording: Any, rate: Any) -> tuple[Source, Path | None]:
    """What is read, and its file if it has one."""
    if isinstance(recording, (str, os.PathLike)):
        file = arguments.path("recording", recording)
        if rate is not None:
            raise ContrasepError(f"{file}: rate={rate}: a file knows its own rate; leave it out")
        return FileSource(recording), file
    if rate is None:
        raise ContrasepError("samples: their rate is needed, as in separate(samples, 16000)")
    samples = arguments.samples(recording)
    return ArraySource(samples, arguments.number("rate", arguments.SamplesRate, rate)), None


def _separator(model: Any, device: Any, speakers: Any) -> NamedSeparator:
    """A model by its name or folder."""
    from contrasep_lib.models.checkpoint import require_device

    folder = arguments.path("model", model, "a name, a folder or what load_separator returned")
    # a path is a folder, even one with the name of a model of the package
    name = model if isinstance(model, str) else os.path.join(os.curdir, folder)
    require_device(device)
    return _loaded(name, device, arguments.text_or_none("speakers", speakers))


@functools.lru_cache(maxsize=2)
def _loaded(model: str, device: str, speakers: str | None) -> NamedSeparator:
    return load_separator(model, device, overrides=[f"separate.speakers={speakers}"] if speakers else ())


@contextlib.contextmanager
def _threads(number: int) -> Iterator[None]:
    """So many threads of torch, within."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
