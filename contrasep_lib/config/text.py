"""YAML as configurations and settings have it: mappings with each key once, ``1e-3`` a number."""

from __future__ import annotations

import re
from typing import IO, Any

import yaml


class _Loader(yaml.SafeLoader):
    """Plain values; a key that stands twice is an error, not its last value."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value if not key.tag.endswith(":merge")]
        for place, key in enumerate(keys):
            if key in keys[:place]:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


# YAML 1.2 has numbers without a point, which PyYAML reads as words
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?\d+[eE][-+]?\d+$"), list("-+0123456789"))


def parse(text: str | IO[str]) -> Any:
    """Plain values of a YAML document.

    Example:
        >>> parse("{learning_rate: 1e-3, num_spk: [2, 3]}")
        {'learning_rate': 0.001, 'num_spk': [2, 3]}

    Raises:
        ValueError: it is not valid YAML; one line.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except UnicodeDecodeError:
        raise
    except RecursionError:
        raise ValueError("nested too deeply") from None
    # values that look like a date or a number and are none make its readers trip over anything
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, KeyError, OverflowError) as error:
        raise ValueError(" ".join(str(error).split())) from None
