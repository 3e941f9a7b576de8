"""The iterator of an epoch, as ESPnet's trainer asks for it (``iterator_type: task``)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import torch
from espnet2.iterators.abs_iter_factory import AbsIterFactory

from contrasep_lib.errors import ContrasepError
from contrasep_lib.train.data import Key, _Pool, collate

PREFETCH = 4


class _Plan:
    """Batches of the epoch that is set, for a loader whose processes outlive epochs."""

    def __init__(self, factory: EpochIterator) -> None:
        self.factory, self.epoch = factory, 0

    def __iter__(self) -> Iterator[list[Key]]:
        return iter(self.factory.plan(self.epoch))

    def __len__(self) -> int:
        return self.factory.batches


class EpochIterator(AbsIterFactory):
    """Batches of each epoch, the same for any number of processes that prepare them.

    Nothing is dropped: batches of an epoch differ by one item at most, instead of a last one that
    is incomplete. Of several training processes each takes its share of every batch, so the union
    over processes is what one process would take.

    Args:
        dataset: see `contrasep_lib.train.data`.
        batch_size: items in a batch over all training processes, at most.
        batches: batches in an epoch; None: as many as one pass over the utterances needs.
        train: batches change with the epoch; else they are those of round 0 (at most one pass).
        accumulate: the number of batches of a pass is rounded up to a multiple of this.
        num_workers: processes that prepare data.
        rank: number of this training process.
        world: number of training processes.
        pin_memory: page-locked batches, for copying to a GPU.

    Attributes:
        batches: in an epoch.
        expected: as many as there would be for one training process.

    Raises:
        ContrasepError: fewer items in a batch than training processes, or in all than a step takes.
    """

    def __init__(
        self,
        dataset: _Pool,
        batch_size: int,
        batches: int | None = None,
        train: bool = True,
        accumulate: int = 1,
        num_workers: int = 0,
        rank: int = 0,
        world: int = 1,
        pin_memory: bool = False,
    ) -> None:
        self.dataset, self.train, self.rank, self.world, self.batch_size = dataset, train, rank, world, batch_size
        whole = len(dataset)
        if batches is None or (not train and batches * batch_size >= whole):
            self.items = whole
            self.batches = math.ceil(math.ceil(whole / batch_size) / accumulate) * accumulate
            # a small set has no item left over for a batch that only fills up an accumulation, which is all or none
            self.expected, self.batches = (
                max(1, min(self.batches, whole // shared // accumulate * accumulate)) for shared in (1, world)
            )
            if self.batches < accumulate:
                raise ContrasepError(
                    f"{whole} items are too few for steps of {accumulate} batches (accumulate) in {world} training "
                    "processes; lower accumulate or the number of processes, or use more data"
                )
        else:
            self.items, self.batches = batches * batch_size, batches
            self.expected = batches
        if self.items // self.batches < world:
            raise ContrasepError(
                f"batches of {self.items // self.batches} items cannot be shared by {world} training "
                "processes; use a larger batch_size, more data, or fewer GPUs"
            )
        self._plan = _Plan(self)
        self._loader = torch.utils.data.DataLoader(
            dataset,
            batch_sampler=self._plan,
            collate_fn=collate,
            num_workers=num_workers,
            pin_memory=pin_memory,
            prefetch_factor=PREFETCH if num_workers else None,
            persistent_workers=num_workers > 0,
            # its own, so that loading never moves the generator that dropout draws from
            generator=torch.Generator(),
        )

    def plan(self, epoch: int) -> list[list[Key]]:
        """Keys of this process's share of each batch of an epoch."""
        keys = self.dataset.keys(epoch if self.train else 0, self.items)
        bounds = [len(keys) * number // self.batches for number in range(self.batches + 1)]
        return [keys[start:end][self.rank :: self.world] for start, end in itertools.pairwise(bounds)]

    def in_words(self, name: str) -> list[str]:
        """What a log says of batches that several training processes share; nothing for one.

        Args:
            name: of the set.
        """
        if self.world == 1:
            return []
        most, least = -(-self.items // self.batches), self.items // self.batches
        shares = sorted({least // self.world, -(-most // self.world)})
        each = " to ".join(map(str, shares))
        lines = [f"{name}: batches of {most} items, {each} for each of {self.world} training processes"]
        if self.batches < self.expected:
            lines.append(
                f"{name}: {self.batches} batches in place of {self.expected}, for each process has an item of each; "
                f"they are larger than batch_size says, {self.batch_size}"
            )
        return lines

    def first_items(self) -> Iterator[dict[str, Any]]:
        """The items of the first epoch one by one, not batched."""
        return (self.dataset[key] for key in self.dataset.keys(int(self.train), self.items))

    def build_iter(self, epoch: int, shuffle: bool | None = None) -> torch.utils.data.DataLoader:
        """Batches ``(ids, batch)`` of an epoch, see `contrasep_lib.train.data.collate`.

        Args:
            epoch: from 1.
            shuffle: part of ESPnet's interface; the order is a matter of (seed, epoch) alone.
        """
        self._plan.epoch = epoch
        return self._loader
