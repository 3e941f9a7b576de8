"""Noise and rooms of the mixtures of a list."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from contrasep_lib.errors import ContrasepError
from contrasep_lib.mix.lists import Mixture
from contrasep_lib.mix.noise.draw import draw_noise
from contrasep_lib.mix.noise.folder import noise_files
from contrasep_lib.mix.options import MixOptions
from contrasep_lib.mix.rooms import draw_room

# last word of the seed
NOISE, ROOM = 1, 2


def surround(
    mixtures: Sequence[Mixture], options: MixOptions, utt2spk: Mapping[str, str], name: str, seed: Sequence[int]
) -> list[Mixture]:
    """Draw noise and a room for each mixture that has none.

    Each is drawn from the seed and the number of the mixture, so the talkers are those of the set without them, and
    noise does not change rooms.

    Args:
        mixtures: of a set.
        options: section ``mix``.
        utt2spk: utterance id -> speaker, for babble.
        name: of the set, by which recordings of noise are chosen.
        seed: entropy of the set's list.

    Raises:
        ContrasepError: no recordings, too few speakers for babble.
    """
    noise, room = options.noise, options.room
    if not noise.kinds and room.rt60 is None:
        return list(mixtures)
    files = noise_files(noise.folder, name) if noise.folder is not None else []
    by_speaker: dict[str, list[str]] = {}
    for utterance in sorted(utt2spk):
        by_speaker.setdefault(utt2spk[utterance], []).append(utterance)
    made = []
    for number, mixture in enumerate(mixtures):
        if noise.kinds and mixture.noise is None:
            talkers = {utt2spk[utterance] for utterance in mixture.utterances if utterance in utt2spk}
            rng = np.random.default_rng([*seed, number, NOISE])
            try:
                mixture = dataclasses.replace(mixture, noise=draw_noise(noise, files, by_speaker, talkers, rng))
            except ContrasepError as error:
                raise ContrasepError(f"set {name}: mix.{error}") from None
        if room.rt60 is not None and mixture.room is None:
            rng = np.random.default_rng([*seed, number, ROOM])
            mixture = dataclasses.replace(mixture, room=draw_room(room, len(mixture.sources), rng))
        made.append(mixture)
    return made
