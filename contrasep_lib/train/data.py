"""What a phase learns from: items that depend on nothing but (seed, round, number).

A dataset is indexed by a pair ``(round, number)``; everything random in the item is drawn from
``(seed, round, number)``, so neither the number of processes that prepare data nor the order of
access changes an item. Validation uses round 0, training the rounds from 1.

An item is a dict of ``utt_id`` (str, names the utterances it was made of), ``mixture``
``(samples,)`` float32, ``sources`` ``(num_spk, samples)`` float32 and ``speaker`` ``(num_spk,)``
int64.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.audio import INT16_SCALE, resample_audio
from contrasep_lib.io.dumpset import DumpSet
from contrasep_lib.mix.level import active_level, rms_level
from contrasep_lib.mix.lists import draw_gains
from contrasep_lib.mix.mixer import mix_signals
from contrasep_lib.mix.options import MixOptions
from contrasep_lib.train import augment
from contrasep_lib.train.balance import Balance, corpora_in_order
from contrasep_lib.train.options import AugmentOptions, TrainOptions
from contrasep_lib.train.surroundings import Surroundings
from contrasep_lib.train.talkers import Pool, pick_language, pool_of, split_by_language

Key = tuple[int, int]

# third word of the seed of an order, apart from all numbers of items
ORDER = 2**32 - 1
# fourth word of the seed of what several items share
SPEAKERS = 1


class _Pool:
    """Utterances of several dumped sets under consecutive numbers.

    Args:
        sets: dump directories' readers.
        options: the phase's options.
        mix: the section ``mix``; its rate is that of the dump.
        corpora: corpus of each set, for ``options.balance``.

    Raises:
        ContrasepError: a set of the wrong kind or rate, or without ``utt2spk``; corpora other than
            those of the balance.
    """

    wants_sources = False

    def __init__(
        self, sets: Sequence[DumpSet], options: TrainOptions, mix: MixOptions, corpora: Sequence[str | None] = ()
    ) -> None:
        self.options, self.mix = options, mix
        for dump in sets:
            if bool(dump.spk) != self.wants_sources:
                kind, expected = sorted(("mixtures", "single speakers"), reverse=not dump.spk)
                raise ContrasepError(
                    f"{dump.folder}: expected a set of {expected} for data '{options.data}', got one of {kind}"
                )
            dump.require_rate(mix.rate)
        self.utterances = [(dump, key) for dump in sets for key in dump.keys]
        self.talkers = [dump.utt2spk[key] for dump, key in self.utterances]
        self.balance: Balance | None = None
        if options.balance is not None:
            names = corpora_in_order(options.balance, corpora or [None] * len(sets), [dump.folder for dump in sets])
            self.balance = Balance([options.balance[name] for name in names], [options.seed, ORDER])
            of = np.repeat([names.index(name) for name in corpora], [len(dump.keys) for dump in sets])
            # numbers of the utterances of each corpus
            self.groups = [np.flatnonzero(of == index) for index in range(len(names))]
        seconds = options.segment_seconds
        self.segment = None if seconds is None else max(1, round(seconds * mix.rate))

    def __len__(self) -> int:
        """Utterances, of which one pass consists."""
        return len(self.utterances)

    @property
    def most(self) -> int:
        """Talkers of the largest mixture."""
        drawn = self.options.num_spk if self.options.data == "dynamic" and not self.wants_sources else None
        return max(drawn or [dump.num_spk for dump in dict(self.utterances)])

    def keys(self, epoch: int, count: int) -> list[Key]:
        """Keys of the ``count`` items of an epoch.

        Training epochs (from 1) are consecutive parts of endless passes, each in an order of its
        own, so that none is left out whatever ``count`` is. Epoch 0 holds the first ``count``
        items in the order of the sets.
        """
        if epoch == 0:
            return [(0, number) for number in range(count)]
        keys: list[Key] = []
        position = (epoch - 1) * count
        while len(keys) < count:
            number, start = divmod(position + len(keys), len(self))
            order = self._rng(number + 1, ORDER).permutation(len(self))
            part = order[start : start + count - len(keys)]
            keys += [(number + 1, int(index)) for index in part]
        return keys

    def _rng(self, *words: int) -> np.random.Generator:
        return np.random.default_rng([self.options.seed, *words])


class FixedMixtures(_Pool):
    """Mixtures as they were dumped, of any numbers of speakers; a random part of long ones.

    Noise and what rooms add are what the mixtures have beside their sources, as ``noise.scp`` of their sets says.

    Raises:
        ContrasepError: also for a set without ``noise.scp`` where noise or rooms are asked for.
    """

    wants_sources = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        asked = [name for name, used in (("noise", self.options.noise.kinds), ("room", self.options.room.rt60)) if used]
        clean = [dump for dump in dict(self.utterances) if dump.noises is None]
        if self.options.data == "fixed" and asked and clean:
            raise ContrasepError(
                f"{clean[0].folder}: expected noise.scp for {asked[0]} with data 'fixed', got none; make mixtures that "
                f"have it by mix.{asked[0]} (stages 0 to 2), or leave it out"
            )
        self.names = [self._names(dump, key) for dump, key in self.utterances]
        known = sorted({name for names in self.names for name in names})
        self.labels = {name: label for label, name in enumerate(known)}

    @staticmethod
    def _names(dump: DumpSet, key: str) -> Sequence[str]:
        names = dump.speakers[key]
        if len(names) == dump.num_spk:
            return names
        # without utt2spks, speakers may hold the sign that joins them: each then counts as its own
        return [f"{key}#{number}" for number in range(1, dump.num_spk + 1)]

    def __getitem__(self, key: Key) -> dict[str, Any]:
        dump, utterance = self.utterances[key[1]]
        mixture, sources = dump.mixture(utterance), dump.sources(utterance)
        if sources.shape[1] != len(mixture):
            raise ContrasepError(
                f"{dump.folder}: sources of '{utterance}' have {sources.shape[1]} samples, the mixture "
                f"{len(mixture)}; run stage 2 again"
            )
        if self.segment is not None:
            start = augment.pick_start(sources, self.segment, self._rng(*key))
            mixture, sources = (track[..., start : start + self.segment] for track in (mixture, sources))
        labels = [self.labels[name] for name in self.names[key[1]]]
        return {
            "utt_id": utterance, "mixture": np.ascontiguousarray(mixture),
            "sources": np.ascontiguousarray(sources), "speaker": np.array(labels, np.int64),
        }


class _Voices(_Pool):
    """Parts of single speakers' utterances, scaled to active level 1."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.speakers = sorted(set(self.talkers))
        if self.balance is not None:
            self._refuse_clashes()
        self.labels = {name: label for label, name in enumerate(self.speakers)}
        # shared between processes: each level is measured once, by whoever needs it first
        self.levels = torch.full((len(self.utterances),), math.nan, dtype=torch.float64).share_memory_()
        numbers: dict[str, list[str]] = {}
        for number, talker in enumerate(self.talkers):
            numbers.setdefault(talker, []).append(str(number))
        self.surroundings = Surroundings(
            self.options.noise, self.options.room, self.mix.rate, self.most,
            self.utterances[0][0].folder.parent / "rooms", numbers, self._whole,
        )

    def _whole(self, name: str) -> np.ndarray:
        """An utterance by its number, ``(samples,)`` of active level 1."""
        dump, key = self.utterances[int(name)]
        samples = dump.mixture(key).astype(np.float64)
        return samples / math.sqrt(self.level(int(name), samples))

    def _refuse_clashes(self) -> None:
        """A speaker of two corpora would be one class, as different as the voices may be."""
        corpus_of: dict[str, int] = {}
        for corpus, group in enumerate(self.groups):
            for number in group:
                if corpus_of.setdefault(self.talkers[number], corpus) != corpus:
                    raise ContrasepError(
                        f"{self.utterances[number][0].folder}: speaker '{self.talkers[number]}' stands in another "
                        "corpus too; let the ids of one begin with its name"
                    )

    def level(self, number: int, samples: np.ndarray) -> float:
        """Active level (mean square) of an utterance, measured over all of it."""
        known = self.levels[number].item()
        if math.isnan(known):
            measure = rms_level if self.mix.active_level == "rms" else active_level
            known, _ = measure(samples, self.mix.rate, self.mix.level_filter)
            self.levels[number] = known
        return known

    def part(self, number: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
        """A random part of an utterance at a random speed.

        Returns:
            ``(samples,)`` float64 of active level 1, at most a segment, not all zero; and the
            label of the speaker at this speed.
        """
        dump, key = self.utterances[number]
        samples = dump.mixture(key)
        level = self.level(number, samples)
        choice = int(rng.integers(len(self.options.speed)))
        faster = round(100 * self.options.speed[choice])
        if self.segment is not None:
            length = math.ceil(self.segment * faster / 100)
            start = augment.pick_start(samples[None], length, rng)
            samples = samples[start : start + length]
        samples = resample_audio(samples.astype(np.float64), faster, 100)[: self.segment]
        label = self.labels[self.talkers[number]] * len(self.options.speed) + choice
        return samples / math.sqrt(level), label

    def join(self, numbers: Sequence[int], name: str, rng: np.random.Generator) -> dict[str, Any]:
        """Mix a part of each of the utterances: an item.

        The item is as long as its longest part, or its shortest; shorter ones begin anywhere within it. Silence and
        pauses are put into the parts, so the mixture is the sum of its sources but for noise and codecs.
        """
        parts, labels = zip(*[self.part(number, rng) for number in numbers])
        options = self.options.augment
        samples = augment.draw_length([len(part) for part in parts], options, rng)
        first, last = augment.draw_window(samples, options, rng)
        placed = np.zeros((len(parts), samples))
        for row, part in zip(placed, parts):
            if len(part) > last - first:
                start = augment.pick_start(part[None], last - first, rng)
                part = augment.fade_ends(part[start : start + last - first], self.mix.rate)
            part = augment.add_pauses(part, math.ceil(augment.KEPT * samples), options, self.mix.rate, rng)
            start = first + int(rng.integers(last - first - len(part) + 1))
            row[start : start + len(part)] = part
        gains = draw_gains(len(parts), self.mix.max_gain_db, rng)
        placed, rests = self.surroundings.reverberate(placed, rng)
        make_noise = self.surroundings.noise_maker(placed, gains, {self.talkers[number] for number in numbers}, rng)
        mixed = mix_signals(placed, gains, "max", rests, make_noise)
        mixture = mixed.mixture.astype(np.float32) / np.float32(INT16_SCALE)
        mixture = augment.add_noise(mixture, options, self.mix.rate, rng)
        return {
            "utt_id": name + "+".join(self.utterances[number][1] for number in numbers),
            "mixture": augment.encode(mixture, options, self.mix.rate, rng),
            "sources": mixed.sources.astype(np.float32) / np.float32(INT16_SCALE),
            "speaker": np.array(labels, np.int64),
        }


class SingleSpeakers(_Voices):
    """One talker per item; a pass takes each utterance once.

    With a balance an epoch has of each corpus its share, and each corpus passes of its own.
    """

    def keys(self, epoch: int, count: int) -> list[Key]:
        """Keys of the ``count`` items of an epoch, see `_Pool.keys`."""
        if self.balance is None:
            return super().keys(epoch, count)
        if epoch == 0:
            corpora, numbers = self.balance.interleave([len(group) for group in self.groups])
            return [(0, int(self.groups[c][n])) for c, n in zip(corpora[:count], numbers[:count])]
        corpora, numbers = self.balance.draw((epoch - 1) * count, count)
        rounds, chosen = np.empty(count, np.int64), np.empty(count, np.int64)
        for corpus, group in enumerate(self.groups):
            mine = np.flatnonzero(corpora == corpus)
            passes, places = np.divmod(numbers[mine], len(group))
            for number in np.unique(passes):
                order = self._rng(int(number) + 1, ORDER - 1 - corpus).permutation(group)
                rounds[mine[passes == number]] = number + 1
                chosen[mine[passes == number]] = order[places[passes == number]]
        return list(zip(rounds.tolist(), chosen.tolist()))

    def __getitem__(self, key: Key) -> dict[str, Any]:
        return self.join([key[1]], "", self._rng(*key))


class DynamicMixtures(_Voices):
    """Mixtures drawn on the fly: different speakers, each as likely as any other.

    With a balance all talkers of a mixture come from one corpus, drawn by its share: across corpora
    the microphone would tell talkers apart.

    Raises:
        ContrasepError: also for fewer speakers than talkers in a mixture.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        if self.options.num_spk is None:
            raise ContrasepError("num_spk: expected numbers of speakers, e.g. [1, 2, 3], got null; run.sh fills it")
        self.counts = self.options.num_spk
        groups = [range(len(self))] if self.balance is None else self.groups
        self.pools = [pool_of(group, self.talkers) for group in groups]
        self.languages: list[list[Pool]] = []
        if self.options.same_language:
            self.languages = [split_by_language(group, self.talkers, self.utterances) for group in groups]
        for corpus, group in enumerate(groups):
            most, whose = len(self.pools[corpus]), "the speakers of"
            if self.languages:
                most, whose = max(map(len, self.languages[corpus])), "the speakers of one language in"
            if max(self.counts) > most:
                folders = ", ".join(dict.fromkeys(str(self.utterances[number][0].folder) for number in group))
                raise ContrasepError(
                    f"num_spk: expected at most {most} talkers in a mixture, {whose} {folders}, got {max(self.counts)}"
                )

    def keys(self, epoch: int, count: int) -> list[Key]:
        """Keys of the ``count`` items of an epoch; every epoch draws anew."""
        return [(epoch, number) for number in range(count)]

    def __getitem__(self, key: Key) -> dict[str, Any]:
        rng, repeats = self._rng(*key), self.options.repeats
        # of the first of those with the same speakers; its own where there is none
        shared = rng if repeats == 1 else self._rng(key[0], key[1] // repeats, SPEAKERS)
        num_spk = self.counts[int(shared.integers(len(self.counts)))]
        corpus = 0 if self.balance is None else int(shared.choice(len(self.pools), p=self.balance.shares))
        pool = self.pools[corpus]
        if self.languages and shared.random() < self.options.same_language:
            pool = pick_language(self.languages[corpus], num_spk, shared)
        speakers = list(pool)
        held = [pool[speakers[index]] for index in shared.choice(len(pool), num_spk, replace=False)]
        if repeats == 1:
            numbers = [own[int(rng.integers(len(own)))] for own in held]
        else:
            numbers = [int(shared.permutation(own)[key[1] % repeats % len(own)]) for own in held]
        return self.join(numbers, f"{key[0]}.{key[1]}:", rng)


DATASETS: dict[str, type[_Pool]] = {
    "dynamic": DynamicMixtures, "fixed": FixedMixtures, "single": SingleSpeakers,
}


def train_dataset(
    folders: Sequence[str | os.PathLike], options: TrainOptions, mix: MixOptions, corpora: Sequence[str | None] = ()
) -> _Pool:
    """The training data of a phase.

    Args:
        folders: dump directories, pooled.
        corpora: corpus of each, for ``options.balance``.

    Raises:
        ContrasepError: sets of the wrong kind or rate, missing or malformed tables.
    """
    return DATASETS[options.data]([DumpSet(folder) for folder in folders], options, mix, corpora)


def valid_dataset(
    folders: Sequence[str | os.PathLike], options: TrainOptions, mix: MixOptions, corpora: Sequence[str | None] = ()
) -> _Pool:
    """The validation data of a phase: the same in every epoch, at normal speed, without augmentation.

    Sets of mixtures are taken as they are also where training mixes on the fly. Languages do not matter.
    """
    sets = [DumpSet(folder) for folder in folders]
    kind = "fixed" if options.data == "dynamic" and all(dump.spk for dump in sets) else options.data
    balance = None if kind == "fixed" else options.balance
    plain = dataclasses.replace(options, speed=(1.0,), balance=balance, augment=AugmentOptions(), same_language=0.0)
    return DATASETS[kind](sets, plain, mix, corpora)


def collate(items: Sequence[dict[str, Any]]) -> tuple[list[str], dict[str, torch.Tensor]]:
    """Make a batch of items, padded with zeros to the longest and to the most talkers.

    Returns:
        ids, and ``mixture (batch, samples)`` float32, ``mixture_lengths (batch,)`` int64,
        ``sources (batch, max_spk, samples)`` float32, ``num_spk (batch,)`` int64 and ``speaker
        (batch, max_spk)`` int64, which is -1 for absent talkers.
    """
    lengths = [len(item["mixture"]) for item in items]
    counts = [len(item["sources"]) for item in items]
    mixture = torch.zeros(len(items), max(lengths))
    sources = torch.zeros(len(items), max(counts), max(lengths))
    speaker = torch.full((len(items), max(counts)), -1, dtype=torch.int64)
    for row, (item, length, count) in enumerate(zip(items, lengths, counts)):
        mixture[row, :length] = torch.from_numpy(item["mixture"])
        sources[row, :count, :length] = torch.from_numpy(item["sources"])
        speaker[row, :count] = torch.from_numpy(item["speaker"])
    return [item["utt_id"] for item in items], {
        "mixture": mixture, "mixture_lengths": torch.tensor(lengths),
        "sources": sources, "num_spk": torch.tensor(counts), "speaker": speaker,
    }
