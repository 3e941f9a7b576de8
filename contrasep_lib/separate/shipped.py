"""Trained models as separators: those that come with the package, and folders of experiments.

A model's folder holds ``finetune/model.pth`` and ``modularity/``, as stage 4 leaves them. Those of the
package, in ``contrasep_lib/pretrained``, have their ``config.yaml`` and a card, ``README.md``, beside
them.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence
from pathlib import Path

from contrasep_lib.errors import ContrasepError

if typing.TYPE_CHECKING:
    from contrasep_lib.separate.model_separator import ModelSeparator

FOLDER = Path(__file__).resolve().parents[1] / "pretrained"
DEFAULT = "best"
MODEL, MODULARITY, CONFIG, CARD = "finetune/model.pth", "modularity", "config.yaml", "README.md"


def names() -> list[str]:
    """Names of the models of the package, the default first."""
    found = (path.parents[1].name for path in FOLDER.glob(f"*/{MODEL}"))
    return sorted(found, key=lambda name: (name != DEFAULT, name))


def headline(name: str) -> str:
    """What a model is, by the first line of its card, ``# NAME: WHAT``."""
    return (FOLDER / name / CARD).read_text(encoding="utf-8").splitlines()[0].partition(": ")[2]


def folder_of(model: str) -> Path:
    """Folder of a model.

    Args:
        model: name of one of the package's, or a folder. A name stands for the package's model even
            where there is a folder of that name; ``./NAME`` is the folder.

    Raises:
        ContrasepError: neither.
    """
    if model in names():
        return FOLDER / model
    folder = Path(model)
    if (folder / MODEL).is_file():
        return folder
    if folder.is_dir():
        raise ContrasepError(f"--model {model}: no {MODEL} in it; name the folder of a trained experiment")
    if folder.is_file():
        raise ContrasepError(f"--model {model}: a file; make a folder of a packed model by contrasep unpack")
    raise ContrasepError(f"--model {model}: no such folder, nor a model of the package ({', '.join(names())})")


@dataclasses.dataclass(frozen=True)
class NamedSeparator:
    """A trained model, ready to separate.

    Attributes:
        name: of the model or its folder.
        separator: separates mixtures.
        rate: that it works at, Hz.
    """

    name: str
    separator: ModelSeparator
    rate: int


def load_separator(
    model: str, device: str = "cpu", config: str | Sequence[str] | None = None, overrides: Sequence[str] = ()
) -> NamedSeparator:
    """Load a model with all that separation takes.

    Args:
        model: name or folder, see `folder_of`.
        device: where it computes.
        config: configuration (one file or several), for a folder without ``config.yaml``.
        overrides: ``section.key=value`` settings that replace values of the configuration.

    Raises:
        ContrasepError: no such model, a file that is missing or damaged, no configuration, no such device.
    """
    from contrasep_lib.config import create, load_config
    from contrasep_lib.models.checkpoint import load_model
    from contrasep_lib.separate.clustering_state import ClusteringState
    from contrasep_lib.separate.model_separator import ModelSeparator
    from contrasep_lib.separate.voices import VOICES, VoiceSpace, checksum

    folder = folder_of(model)
    if not config and not (folder / CONFIG).is_file():
        raise ContrasepError(f"--model {model}: no {CONFIG} in it; name its configuration by --config")
    options = load_config(config or folder / CONFIG, overrides)
    trained = load_model(folder / MODEL, device, options["features"], options["model"])
    clustering = ClusteringState.load(folder / MODULARITY, options["modularity"], trained.counter)
    voices = VoiceSpace.load(folder / MODULARITY / VOICES, checksum(folder / MODEL))
    chosen = options["separate"].speakers
    separator = ModelSeparator(
        trained, clustering, options["modularity"], options["separate"], voices, create(chosen) if chosen else None
    )
    return NamedSeparator(folder.resolve().name, separator, options["mix"].rate)
