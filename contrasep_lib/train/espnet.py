"""What training takes from ESPnet, imported in a quarter of the time.

ESPnet compiles run-time type checks into its functions as it is imported, and its trainer draws
attention weights with code that imports all of its text-to-speech. Training here uses neither, so
both are left out while these names are imported. Import ESPnet's task and trainer from here.
"""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Iterator
from typing import Any

import typeguard

from contrasep_lib.train.schedule import WarmupConstantLR

_ATTENTION = "espnet2.main_funcs.calculate_all_attentions"


def _unchecked(target: Any = None, **options: Any) -> Any:
    """``typeguard.typechecked`` as under ``python -O``: a function stays what it is."""
    return _unchecked if target is None else target


@contextlib.contextmanager
def _lightly() -> Iterator[None]:
    stand_in = types.ModuleType(_ATTENTION)
    stand_in.calculate_all_attentions = None  # called for num_att_plot > 0 alone
    typechecked, attention = typeguard.typechecked, sys.modules.get(_ATTENTION)
    typeguard.typechecked, sys.modules[_ATTENTION] = _unchecked, attention or stand_in
    try:
        yield
    finally:
        typeguard.typechecked = typechecked
        if attention is None:
            # whoever wants the real one may import it
            del sys.modules[_ATTENTION]


with _lightly():
    from espnet2.tasks.abs_task import AbsTask, IteratorOptions, optim_classes, scheduler_classes
    from espnet2.torch_utils.device_funcs import force_gatherable
    from espnet2.train import trainer
    from espnet2.train.trainer import Trainer, TrainerOptions
    from espnet2.utils.build_dataclass import build_dataclass
    from espnet2.utils.nested_dict_action import NestedDictAction

# ESPnet looks schedules up by name in its own table
scheduler_classes.setdefault("warmupconstant", WarmupConstantLR)

__all__ = [
    "AbsTask", "IteratorOptions", "NestedDictAction", "Trainer", "TrainerOptions",
    "build_dataclass", "force_gatherable", "optim_classes", "scheduler_classes", "trainer",
]
