"""From nodes to masks to audio; called as a function, `contrasep_lib.separate.api.separate`."""

from __future__ import annotations

import sys
import types
from typing import Any


class _Function(types.ModuleType):
    """So that ``from contrasep_lib import separate`` is the function, and its modules are found below it."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        from contrasep_lib.separate.api import separate

        return separate(*arguments, **options)


sys.modules[__name__].__class__ = _Function
