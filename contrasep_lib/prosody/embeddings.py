"""Embeddings of frames by a trained model, at the times of the features."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.parallel import progress
from contrasep_lib.io.scp import read_table
from contrasep_lib.prosody.extraction import Frames, read_samples
from contrasep_lib.prosody.frames import HOP, RATE

if TYPE_CHECKING:
    from contrasep_lib.nodes.options import FeatureOptions

# what is embedded: the first seconds of some utterances of each speaker, of so many at most
SECONDS, EACH, MOST = 4.0, 3, 300


def chosen_utterances(frames: Frames, rng: np.random.Generator) -> np.ndarray:
    """Numbers of the utterances that are embedded: up to `EACH` of each speaker, `MOST` in all, whole speakers."""
    kept: list[int] = []
    for speaker in rng.permutation(len(frames.speakers)):
        if len(kept) >= MOST:
            break
        kept += np.flatnonzero(frames.speaker == speaker)[:EACH].tolist()
    return np.sort(np.array(kept[:MOST]))


def embed(
    folder: str | os.PathLike, model_file: str | os.PathLike, frames: Frames, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings of the frames of some utterances.

    Of a model over time-frequency units a frame has the mean of its units that are not silent, by their weights. A
    feature's frame takes the model's nearest one.

    Args:
        folder: data directory that ``frames`` are of.
        model_file: ``model.pth``.
        frames: of all utterances.
        rng: draws the speakers.

    Returns:
        ``(n, dim)`` float64, and the numbers of these frames among ``frames``, ``(n,)``.

    Raises:
        ContrasepError: no such model.
    """
    import torch

    from contrasep_lib.models.checkpoint import load_model

    torch.set_num_threads(1)
    model, table = load_model(model_file), Path(folder) / "wav.scp"
    entries = read_table(table)
    starts = np.searchsorted(frames.utterance, np.arange(len(frames.utterances) + 1))
    found, places = [], []
    with progress(chosen_utterances(frames, rng).tolist(), "embedding utterances") as shown:
        for number in shown:
            name = frames.utterances[number]
            samples = read_samples(table, name, entries[name])[: round(SECONDS * RATE)]
            z, known = _of_frames(model, samples)
            mine = np.arange(min(starts[number + 1] - starts[number], len(samples) // HOP + 1))
            nearest = nearest_frames(mine * HOP, model.features, len(z))
            mine, nearest = mine[known[nearest]], nearest[known[nearest]]
            found.append(z[nearest])
            places.append(starts[number] + mine)
    if not found:
        raise ContrasepError(f"{folder}: no utterances to embed")
    return np.concatenate(found), np.concatenate(places)


def nearest_frames(samples: np.ndarray, features: FeatureOptions, count: int) -> np.ndarray:
    """The model's frames whose centres are nearest to these samples, ``(n,)`` of ``(n,)``.

    ``win - hop`` zeros stand before a signal (`contrasep_lib.nodes.stft.pad`), so the centre of frame ``t`` is the
    sample ``t hop + hop - win / 2``.

    Args:
        samples: places, from 0 on.
        features: framing of the model.
        count: its frames.
    """
    places = (samples - features.hop + features.win / 2) / features.hop
    return np.rint(places).astype(int).clip(0, count - 1)


def _of_frames(model: Any, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Embedding of each frame of a model, ``(frames, dim)``, and whether it has a node that is not silent."""
    import torch

    with torch.inference_mode():
        nodes, analysis = model.analyse(torch.from_numpy(samples.astype(np.float32))[None])
    count = analysis.spectrum.shape[1]
    weight = (nodes.weight * nodes.valid)[0].view(count, -1, 1)
    z = nodes.z[0].float().view(count, weight.shape[1], -1)
    total = weight.sum(1)
    mean = (z * weight).sum(1) / torch.where(total > 0, total, 1.0)
    return mean.double().numpy(), (total[:, 0] > 0).numpy()
