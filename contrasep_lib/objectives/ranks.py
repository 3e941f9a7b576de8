"""Several training processes that share a batch: what makes their losses together that of the whole batch.

Each process (rank) has every ``world``-th item of a batch. For their sum to be what one process would learn from the
whole batch,

- items are padded to the longest of the batch, and draw numbers by their places in it (`Share`);
- each mean over a share is weighted by how much it is a mean of (`Share.weights`);
- nodes that are compared with those of other items come from all ranks, with gradient (`gather_pool`).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import torch

from contrasep_lib.nodes.draws import Draws
from contrasep_lib.nodes.labels import LabelledNodes


def distributed() -> bool:
    """Whether more than one process trains."""
    ready = torch.distributed.is_available() and torch.distributed.is_initialized()
    return ready and torch.distributed.get_world_size() > 1


@dataclasses.dataclass(frozen=True)
class Share:
    """The items of a batch that this process has.

    Attributes:
        rank, world: number of this process, and of all.
        items: of each process, ``world`` numbers.
        samples: of the longest item of the batch.
        speakers: the largest number of speakers of an item of the batch.
        seed: from which the whole batch draws.
    """

    rank: int
    world: int
    items: tuple[int, ...]
    samples: int
    speakers: int
    seed: int

    @classmethod
    def of(cls, items: int, samples: int, speakers: int, seed: int, device: torch.device) -> Share:
        """Of what this process has, and the others have; all of them call.

        Args:
            items, samples, speakers: of this process.
            seed: that of the first process counts.
            device: on which processes exchange tensors.
        """
        if not distributed():
            return cls(0, 1, (items,), samples, speakers, seed)
        mine = torch.tensor([items, samples, speakers, seed], device=device)
        all_of_them = [torch.empty_like(mine) for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather(all_of_them, mine)
        each, longest, most, seeds = torch.stack(all_of_them).T.tolist()
        return cls(torch.distributed.get_rank(), len(each), tuple(each), max(longest), max(most), seeds[0])

    def draws(self) -> Draws:
        """Of this process's items."""
        return Draws(self.seed, range(self.rank, self.rank + self.world * self.items[self.rank], self.world))

    def weights(self, counts: Sequence[torch.Tensor]) -> torch.Tensor:
        """Factors of means over this share, by which the mean over ranks is that over the batch; all ranks call.

        The trainer weights each rank's loss by its items. A mean over anything else (sources that are heard, nodes,
        mixtures of several speakers), of which ranks have unequal numbers, has to be weighted by those.

        Args:
            counts: of what each mean is one, a scalar each.

        Returns:
            ``(means,)``; ones where there is one process alone.
        """
        mine = torch.stack([count.detach().double() for count in counts])
        if self.world == 1:
            return torch.ones_like(mine)
        whole = mine.clone()
        torch.distributed.all_reduce(whole)
        of_items = self.items[self.rank] / sum(self.items)
        return mine / torch.where(whole > 0, whole, 1.0) / of_items


@functools.cache
def _group(_: Any) -> Any:
    """Processes that exchange nodes, apart from those that exchange gradients.

    The order of the two may differ between ranks: gradients of parts that a rank does not use are ready before others.
    """
    return torch.distributed.new_group()


class _Gather(torch.autograd.Function):
    """Equal tensors of all ranks, stacked; the gradient flows back to the rank that owns each."""

    @staticmethod
    def forward(ctx: Any, local: torch.Tensor, group: Any) -> torch.Tensor:
        ctx.group = group
        parts = [torch.empty_like(local) for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather(parts, local.contiguous(), group)
        return torch.stack(parts)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        # the sum over ranks of their losses' gradients; data-parallel training divides by
        # the number of ranks when it averages the gradients of the parameters
        grad = grad.contiguous()
        torch.distributed.all_reduce(grad, group=ctx.group)
        return grad[torch.distributed.get_rank()], None


def gather_items(share: Share, *tensors: torch.Tensor) -> list[torch.Tensor]:
    """The items of the whole batch in their order, with gradient where floating point; all ranks call.

    Args:
        share: of this process.
        tensors: ``(items of this process, ...)``, of the same further sizes on all ranks.

    Returns:
        ``(items of the batch, ...)`` of each.
    """
    if share.world == 1:
        return list(tensors)
    group, most = _group(torch.distributed.group.WORLD), max(share.items)
    order = [
        rank * most + row for row in range(most) for rank in range(share.world) if row < share.items[rank]
    ]
    gathered = []
    for tensor in tensors:
        flag = tensor.dtype == torch.bool
        # ranks send equal numbers of rows, and not every backend moves bool
        rows = torch.cat([tensor, tensor.new_zeros(most - len(tensor), *tensor.shape[1:])])
        whole = _Gather.apply(rows.to(torch.uint8) if flag else rows, group)
        gathered.append((whole.bool() if flag else whole).flatten(0, 1)[order])
    return gathered


def gather_pool(share: Share, nodes: LabelledNodes) -> LabelledNodes:
    """Nodes of the whole batch in one pool, with gradient; all ranks call.

    Args:
        share: of this process.
        nodes: in one pool, equally many of each item; their labels have names.
    """
    items = share.items[share.rank]
    own = (nodes.z, nodes.names[nodes.labels], nodes.weight, nodes.valid)
    whole = gather_items(share, *(part.view(items, -1, *part.shape[2:]) for part in own))
    z, names, weight, valid = (part.flatten(0, 1).unsqueeze(0) for part in whole)
    names, labels = names.unique(return_inverse=True)
    return LabelledNodes(z, labels, weight, valid, len(names), names)
