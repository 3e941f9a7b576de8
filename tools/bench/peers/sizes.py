"""Parameters and arithmetic of models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from peers.options import PeerOptions
from peers.systems import build_peer, parameters

RATE, SECONDS = 8000, 2


def compute(run: Callable[[torch.Tensor], Any]) -> float:
    """Millions of multiply-accumulates of products and convolutions for a second of audio at 8 kHz.

    Transforms, normalisations and clustering are not counted.

    Args:
        run: takes a mixture ``(1, samples)``.
    """
    mixture = 0.1 * torch.randn(1, RATE * SECONDS, generator=torch.Generator().manual_seed(0))
    # recurrent layers of oneDNN are one operation of unknown cost; without it they are products
    with torch.no_grad(), torch.backends.mkldnn.flags(enabled=False), FlopCounterMode(display=False) as counter:
        run(mixture)
    return counter.get_total_flops() / 2 / SECONDS / 1e6


def row(options: PeerOptions) -> str:
    """A line of a Markdown table: system, size, parameters, arithmetic of a training step's forward pass."""
    model = build_peer(options).eval()
    batch = torch.full((1,), RATE * SECONDS)

    def forward(mixture: torch.Tensor) -> None:
        noise = torch.randn(1, options.num_spk, mixture.shape[1], generator=torch.Generator().manual_seed(1))
        model(mixture, batch, noise)

    return f"| {options.description.title} | {options.size} | {parameters(model):,} | {compute(forward):.0f} |"
