"""How much an output sounds like an enrolled voice, by a speaker encoder or the separating model's own embeddings.

An encoder hears sample and output alone, and the score is the cosine of what it says of them, in its voice space.
The embeddings of a model for separation say who is who within one recording alone. So the sample is embedded in one
pass with what it is compared with: before a part of the recording, and before the same part of an output. A score is
the mean of two cosines: of the sample's centroid with that of the units of the recording that the output dominates, and
with that of the output. Measured by ``tools/bench/enrolment.py``.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.ids import is_id, shown
from contrasep_lib.io.recording import read_recording
from contrasep_lib.separate.voices import space_of

if typing.TYPE_CHECKING:
    from contrasep_lib.models.separation import SeparationModel
    from contrasep_lib.separate.shipped import NamedSeparator
    from contrasep_lib.speakers.base import SpeakerEncoder

# of the model `best`, where misses and false alarms are equally frequent; see docs/howto/enrol_voices.md
THRESHOLD = 0.83
# with a speaker encoder, as `THRESHOLD`
THRESHOLDS = {"resemblyzer": 0.4}
# seconds: of a sample and of an output at most, of a sample at least, between them
LONGEST, LEAST, GAP = 8.0, 1.0, 0.25
BLOCK = 0.25
# blocks of this level under the loudest, dB, hold no speech
_SILENCE_DB = 30.0
# root mean square of both parts of a pass, about that of training
_LEVEL = 0.07
# frames beside a border see both of its sides
_MARGIN = 8
_TAKEN = re.compile(r"spk[0-9]+|rest", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Voice:
    """A speaker to look for.

    Attributes:
        name: an id.
        sample: speech of this speaker alone, ``(samples,)`` float32 at the model's rate.
        file: where it is from.
    """

    name: str
    sample: np.ndarray
    file: Path | None = None


def read_voices(words: Sequence[str], rate: int) -> list[Voice]:
    """Read samples.

    Args:
        words: ``NAME=FILE`` each.
        rate: of the model, Hz.

    Raises:
        ContrasepError: another form, a name that is no id or stands twice, a sample that cannot be read or has less
            than a second of speech.
    """
    voices: list[Voice] = []
    for word in words:
        name, equals, file = word.partition("=")
        if not equals or not file or not is_id(name) or _TAKEN.fullmatch(name):
            raise ContrasepError(f"--enroll {shown(word)}: expected NAME=FILE with a name such as 'alice', not spk1")
        if name.casefold() in {voice.name.casefold() for voice in voices}:
            raise ContrasepError(f"--enroll {shown(word)}: '{name}' stands twice; give each voice a name of its own")
        samples = read_recording(file, rate).samples
        energies = block_energies(samples, rate)
        speech = BLOCK * int((energies > energies.max(initial=0) * 10 ** (-_SILENCE_DB / 10)).sum())
        if speech < LEAST or not energies.any():
            raise ContrasepError(f"{file}: {speech:g} s of speech; a sample takes {LEAST:g} s at least, better 5 s")
        start = loudest(energies, LONGEST)
        voices.append(Voice(name, samples[round(start * rate) : round((start + LONGEST) * rate)], Path(file)))
    return voices


def samples_kept(voices: Iterable[Voice]) -> dict[Path, str]:
    """The samples' files, which outputs never replace, see `contrasep_lib.separate.earlier.require_replaceable`."""
    return {voice.file.resolve(): f"the sample of '{voice.name}'" for voice in voices if voice.file is not None}


def block_energies(samples: np.ndarray, rate: int) -> np.ndarray:
    """Energy of blocks of a quarter of a second, ``(blocks,)``; the last one may be shorter."""
    size = round(BLOCK * rate)
    padded = np.pad(samples.astype(np.float64), (0, -len(samples) % size))
    return np.square(padded).reshape(-1, size).sum(axis=1)


def loudest(energies: np.ndarray, seconds: float) -> float:
    """Where the most is heard within so many seconds: the begin, s. Amplitudes count, so that no peak decides."""
    blocks = max(1, round(seconds / BLOCK))
    heard = np.concatenate([[0.0], np.cumsum(np.sqrt(energies))])
    if len(energies) <= blocks:
        return 0.0
    return BLOCK * int((heard[blocks:] - heard[:-blocks]).argmax())


def threshold_of(separator: NamedSeparator) -> float:
    """The threshold that a separator's scores have where none is given; that of `best` where it was not measured."""
    speakers = separator.separator.speakers
    return THRESHOLD if speakers is None else THRESHOLDS.get(speakers.name, THRESHOLD)


def scores_of(
    separator: NamedSeparator, sample: np.ndarray, outputs: np.ndarray, which: Sequence[int] | None = None
) -> np.ndarray:
    """How much outputs sound like a sample: by the separator's speaker encoder or, where it has none, by `score`."""
    speakers = separator.separator.speakers
    if speakers is not None:
        return encoded_score(speakers, separator.rate, sample, outputs, which)
    return score(separator.separator.model, separator.rate, sample, outputs, which)


def encoded_score(
    encoder: SpeakerEncoder, rate: int, sample: np.ndarray, outputs: np.ndarray, which: Sequence[int] | None = None
) -> np.ndarray:
    """As `score`, by a speaker encoder: the cosine of sample and output in its voice space, -1 for silence."""
    chosen = [outputs[output] for output in (range(len(outputs)) if which is None else which)]
    heard = [each.any() for each in chosen]
    points = space_of(encoder).points(np.stack([encoder.voice(each, rate) for each in (sample, *chosen)]))
    points /= np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-9)
    return np.where(heard, points[1:] @ points[0], -1.0)


def score(
    model: SeparationModel, rate: int, sample: np.ndarray, outputs: np.ndarray, which: Sequence[int] | None = None
) -> np.ndarray:
    """How much outputs sound like a sample.

    Args:
        model: that separated.
        rate: Hz.
        sample: ``(samples,)``.
        outputs: of a recording, or of a part of it, ``(K, samples)``, at their own levels: they add up to it.
        which: of them, from 0; None for all.

    Returns:
        from -1 to 1 for each of ``which``; -1 for silence.
    """
    chosen = range(len(outputs)) if which is None else which
    scores = np.full(len(chosen), -1.0)
    if not outputs.any():
        return scores
    with torch.inference_mode():
        first, units = _embedded(model, rate, sample, outputs.sum(axis=0), outputs)
        for number, output in enumerate(chosen):
            if outputs[output].any():
                alone, of_output = _embedded(model, rate, sample, outputs[output])
                cosines = _cosine(first, units[output]), _cosine(alone, of_output[0])
                scores[number] = sum(cosines) / 2
    return scores


def _embedded(
    model: SeparationModel, rate: int, sample: np.ndarray, other: np.ndarray, outputs: np.ndarray | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Embed a sample and what follows it in one pass.

    Args:
        outputs: of what follows, ``(K, samples)``; None: it is taken as a whole.

    Returns:
        centroid of the sample, ``(dim,)``, and of the units that each output dominates, or of all, ``(K or 1, dim)``.
    """
    device = next(model.parameters()).device
    gap = np.zeros(round(GAP * rate))
    begin = np.concatenate([_gain(sample) * sample, gap])
    gain = _gain(other)
    nodes, _ = model.analyse(_tensor(np.concatenate([begin, gain * other]), device))
    frames, dim = nodes.shape[0], nodes.z.shape[-1]
    weight = (nodes.weight * nodes.valid)[0].reshape(frames, -1)
    z = torch.where(nodes.valid[0, :, None], nodes.z[0], 0).reshape(frames, -1, dim)
    dominated = torch.ones(1, *weight.shape, device=device)
    if outputs is not None:
        silence = np.zeros_like(begin)
        power = torch.stack([
            model.granularity.nodes(_tensor(np.concatenate([silence, gain * each]), device)).power[0]
            for each in outputs
        ])
        loudest_output = power.argmax(dim=0).reshape(frames, -1)
        dominated = (loudest_output == torch.arange(len(outputs), device=device)[:, None, None]).to(weight.dtype)
    border = round((len(sample) + len(gap) / 2) / (len(begin) + len(other)) * frames)
    before, after = slice(0, max(border - _MARGIN, 1)), slice(border + _MARGIN, frames)
    first = torch.einsum("fud,fu->d", z[before], weight[before])
    return first, torch.einsum("fud,kfu->kd", z[after], dominated[:, after] * weight[after])


def _cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(one, other, dim=0))


def _tensor(samples: np.ndarray, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(samples.astype(np.float32))[None].to(device)


def _gain(samples: np.ndarray) -> float:
    power = float(np.square(samples, dtype=np.float64).mean()) if len(samples) else 0.0
    return _LEVEL / float(np.sqrt(power)) if power > 0 else 1.0


def pinned(scores: np.ndarray, threshold: float = THRESHOLD) -> list[int | None]:
    """The output of each voice, each output at most once: where the scores add up to most.

    Args:
        scores: ``(voices, K)``.
        threshold: of a score; below it a voice is not there.

    Returns:
        the output of each voice, from 0; None for one that is not there.

    Example:
        >>> pinned(np.array([[0.9, 0.3], [0.95, 0.4]]), 0.8)
        [None, 0]
    """
    from scipy.optimize import linear_sum_assignment

    found: list[int | None] = [None] * len(scores)
    # a score below the threshold is worth nothing, and must not push another voice off its output
    worth = np.where(scores >= threshold, scores, -1e3)
    for voice, output in zip(*linear_sum_assignment(worth, maximize=True)):
        if scores[voice, output] >= threshold:
            found[voice] = int(output)
    return found
