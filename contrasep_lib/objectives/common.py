"""What the objectives share: precision, checks, masked means."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

# stands for minus infinity in logits: exp() of it is zero, yet differences stay finite, so a
# row without any key gives no NaN, neither in the value nor in the gradient
NOTHING = -1e30
MIN_TEMPERATURE, MAX_TEMPERATURE = 1e-3, 100.0


def accurate(function: Callable[..., Any]) -> Callable[..., Any]:
    """Run an objective in float32 or better: half precision is widened, autocast is off inside."""

    @functools.wraps(function)
    def wrapped(first: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        with torch.autocast(device_type=first.device.type, enabled=False):
            named = {name: _wide(value) for name, value in kwargs.items()}
            return function(_wide(first), *map(_wide, args), **named)

    return wrapped


def _wide(value: Any) -> Any:
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        return value.to(torch.promote_types(value.dtype, torch.float32))
    return value


def check_temperature(temperature: float) -> None:
    """Raise ValueError unless ``temperature`` lies in [0.001, 100]."""
    if not MIN_TEMPERATURE <= temperature <= MAX_TEMPERATURE:
        raise ValueError(
            f"temperature: expected between {MIN_TEMPERATURE:g} and {MAX_TEMPERATURE:g}, got {temperature:g}"
        )


def check_nodes(name: str, value: torch.Tensor, lead: torch.Size) -> None:
    """Raise ValueError unless ``value`` is ``(batch, nodes)`` as the embeddings are."""
    if value.shape != lead:
        got = tuple(value.shape)
        raise ValueError(f"{name}: expected shape {tuple(lead)}, as the embeddings have, got {got}")


def check_embeddings(name: str, z: torch.Tensor) -> None:
    """Raise ValueError unless ``z`` is floating point ``(batch, nodes, dim)``."""
    if z.dim() != 3 or not z.is_floating_point():
        raise ValueError(f"{name}: expected floating point (batch, nodes, dim), got {z.dtype} {tuple(z.shape)}")


def everywhere(z: torch.Tensor) -> torch.Tensor:
    """An all-True mask ``(batch, nodes)`` for ``(batch, nodes, dim)``."""
    return torch.ones(z.shape[:2], dtype=torch.bool, device=z.device)


def masked_mean(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Mean over utterances of the weighted mean over nodes; 0 where no utterance has any weight.

    Args:
        values: ``(batch, nodes)``, finite everywhere.
        weight: ``(batch, nodes)``, at least 0.
    """
    total = weight.sum(1)
    counted = total > 0
    means = (values * weight).sum(1) / torch.where(counted, total, 1.0)
    return (means * counted).sum() / counted.sum().clamp_min(1)
