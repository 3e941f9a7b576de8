"""Contrasep: speech separation by contrastive learning and deep modularity clustering.

    from contrasep_lib import separate

    result = separate("meeting.wav")      # result.outputs, .rate, .count, .probabilities
    result.save("separated")
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contrasep_lib.separate.api import separate as separate

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # imported when it is asked for: what it takes to separate is heavy
    if name == "separate":
        import importlib

        return importlib.import_module("contrasep_lib.separate")
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
