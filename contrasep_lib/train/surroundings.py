"""Noise and rooms around talkers that are mixed on the fly (options: ``finetune.noise``, ``finetune.room``).

Everything is drawn from the generator of the item; without noise and rooms nothing is drawn. Rooms come from a bank
of impulse responses that is made once, beside the dumps, and named by all that it depends on.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from contrasep_lib.config.schema import as_tree
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import atomic_path, write_text
from contrasep_lib.mix.noise.draw import draw_noise
from contrasep_lib.mix.noise.folder import noise_files
from contrasep_lib.mix.noise.render import noise_gain, render_noise
from contrasep_lib.mix.rooms import draw_room, responses, reverberate, split_response
from contrasep_lib.train.surroundings_options import TrainNoiseOptions, TrainRoomOptions

FORMAT = 1


class Surroundings:
    """Adds noise and rooms to the talkers of an item.

    Args:
        noise, room: the phase's options.
        rate: of the dumps, Hz.
        most: talkers of the largest mixture.
        folder: that the bank of rooms is kept in.
        by_speaker: speaker -> names of utterances, for babble.
        utterance: gives the samples of one, of active level 1.

    Raises:
        ContrasepError: no recordings of noise, too few speakers for babble.
    """

    def __init__(
        self, noise: TrainNoiseOptions, room: TrainRoomOptions, rate: int, most: int, folder: Path,
        by_speaker: Mapping[str, Sequence[str]], utterance: Callable[[str], np.ndarray],
    ) -> None:
        self.noise, self.room, self.rate = noise, room, rate
        self.by_speaker, self.utterance = by_speaker, utterance
        self.files = noise_files(noise.folder, "tr") if noise.folder is not None else []
        if "babble" in noise.kinds and len(by_speaker) - most < noise.babble_talkers:
            raise ContrasepError(
                f"noise.babble_talkers: expected at most {max(0, len(by_speaker) - most)}, the number of speakers "
                f"that are not in a mixture, got {noise.babble_talkers}"
            )
        self.bank = None if room.rt60 is None else room_bank(room, rate, most, folder)

    def reverberate(self, placed: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray | None]:
        """Talkers ``(num_spk, samples)`` in a room of the bank: references of the energy that each had, and the rest.

        Returns:
            both ``(num_spk, samples)``; the talkers themselves and None where no room is drawn.
        """
        if self.bank is None or rng.random() >= self.room.probability:
            return placed, None
        room = self.bank[int(rng.integers(len(self.bank)))]
        chosen = room[rng.choice(len(room), len(placed), replace=False)].astype(np.float64)
        kept = split_response(chosen, self.rate, self.room.reference)
        references = np.stack([reverberate(talker, response) for talker, response in zip(placed, kept)])
        rests = np.stack([reverberate(talker, response) for talker, response in zip(placed, chosen - kept)])
        energy = np.square(references).sum(1)
        scale = np.sqrt(np.square(placed).sum(1) / np.where(energy > 0, energy, 1))[:, None]
        return references * scale, rests * scale

    def noise_maker(
        self, placed: np.ndarray, gains: Sequence[float], talkers: Collection[str], rng: np.random.Generator
    ) -> Callable[[int], np.ndarray] | None:
        """What gives the noise for `contrasep_lib.mix.mixer.mix_signals`; None where no noise is drawn.

        Args:
            placed: talkers ``(num_spk, samples)`` of active level 1.
            gains: dB.
            talkers: their speakers.
        """
        if not self.noise.kinds or rng.random() >= self.noise.probability:
            return None
        drawn = draw_noise(self.noise, self.files, self.by_speaker, talkers, rng)
        gain = noise_gain(gains, float(drawn.snr))

        def make(samples: int) -> np.ndarray:
            return gain * render_noise(drawn, samples, self.rate, self.noise.folder, list(placed), self.utterance)[0]

        return make


def room_bank(room: TrainRoomOptions, rate: int, talkers: int, folder: Path) -> np.ndarray:
    """Impulse responses ``(rooms, talkers, taps)`` float32, made once and kept in a folder.

    A bank is named by a hash of all that it depends on; its marker, written last, holds that and the bank's own hash.
    A damaged bank is made again.
    """
    of = {
        "format": FORMAT, "rate": rate, "talkers": talkers,
        **{key: value for key, value in as_tree(room).items() if key not in ("probability", "reference")},
    }
    text = json.dumps(of, sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    file, marker = folder / f"{name}.npy", folder / f"{name}.json"
    try:
        if json.loads(marker.read_text(encoding="utf-8"))["sha256"] == _digest(file):
            return np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, KeyError):
        pass
    assert room.rt60 is not None
    bank = np.zeros((room.bank, talkers, math.ceil(room.rt60[1] * rate)), np.float32)
    for number, held in enumerate(bank):
        made = responses(draw_room(room, talkers, np.random.default_rng([room.seed, number])), rate)
        held[:, : made.shape[1]] = made
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(file) as temporary, open(temporary, "wb") as opened:
        np.save(opened, bank)
    write_text(marker, json.dumps({**of, "sha256": _digest(file)}, sort_keys=True) + "\n")
    return np.load(file, mmap_mode="r", allow_pickle=False)


def _digest(file: str | os.PathLike) -> str:
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()
