"""Configuration of a site, in the format of Kaldi's slurm.conf and queue.conf.

command sbatch --export=ALL         # what submits
option mem=* --mem-per-cpu $0       # --mem 4G becomes --mem-per-cpu 4G
option mem=0                        # and --mem 0 nothing: an exact value goes before *
default gpu=0                       # as if --gpu 0 were given
setting late_seconds=60             # of the waiting program
"""

from __future__ import annotations

import re
import shlex

from .base import UsageError

_PAIR = re.compile(r"([A-Za-z]\w*)=(\S*)\s*(.*)")
# name: default
SETTINGS = {
    # for so long a marker may be on its way after the scheduler says that its job is gone
    "late_seconds": 60.0,
    # the longest time between two questions to the scheduler
    "ask_seconds": 30.0,
    # the most tasks of one array
    "max_array": 1000.0,
}


class Settings:
    """What a file says: the command that submits, flags of options, defaults, settings."""

    def __init__(self, path: str):
        self.path = path
        self.command: list[str] = []
        self.flags: dict[tuple[str, str], list[str]] = {}
        self.defaults: dict[str, str] = {}
        self.values = dict(SETTINGS)

    def knows(self, name: str) -> bool:
        """Whether a line is about this option."""
        return any(name == known for known, _ in self.flags)

    def flags_of(self, options: dict[str, str]) -> list[str]:
        """Words for the submitting command.

        Args:
            options: values by names, with ``_`` for ``-``.

        Raises:
            UsageError: no line is about an option, or about its value.
        """
        found = []
        for name, value in {**self.defaults, **options}.items():
            words = self.flags.get((name, value), self.flags.get((name, "*")))
            if words is None:
                told = f"the value '{value}' of" if self.knows(name) else ""
                raise UsageError(
                    f"{self.path}: no line for {told + ' ' if told else ''}--{name.replace('_', '-')}; "
                    f"add 'option {name}=* FLAGS'"
                )
            found += [word.replace("$0", value) for word in words]
        return found


def read_settings(path: str) -> Settings:
    """Read a configuration.

    Raises:
        UsageError: no such file, or a line of another form.
    """
    settings = Settings(path)
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {getattr(error, 'strerror', None) or 'not UTF-8'}; name a configuration") from None
    for number, line in enumerate(lines, 1):
        try:
            _read_line(settings, line)
        except ValueError as error:
            raise UsageError(f"{path}:{number}: {error}") from None
    if not settings.command:
        raise UsageError(f"{path}: expected a line 'command ..', e.g. 'command sbatch --export=ALL'")
    return settings


def _read_line(settings: Settings, line: str) -> None:
    kind, _, rest = line.split("#", 1)[0].strip().partition(" ")
    rest = rest.strip()
    if not kind:
        return
    if kind == "command":
        settings.command = shlex.split(rest)
        return
    if kind not in ("option", "default", "setting"):
        raise ValueError(f"expected command, option, default or setting, got '{kind}'")
    pair = _PAIR.fullmatch(rest)
    if not pair or (pair[3] and kind != "option"):
        raise ValueError(f"expected '{kind} NAME=VALUE{' FLAGS' if kind == 'option' else ''}', got '{line.strip()}'")
    name, value, flags = pair.groups()
    if kind == "option":
        settings.flags[name, value] = shlex.split(flags)
    elif kind == "default":
        settings.defaults[name] = value
    elif name not in SETTINGS:
        raise ValueError(f"unknown setting '{name}'; known: {', '.join(SETTINGS)}")
    else:
        settings.values[name] = _positive(name, value)


def _positive(name: str, value: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]+)?", value) or not float(value):
        raise ValueError(f"{name}: expected a positive number, got '{value}'")
    return float(value)
