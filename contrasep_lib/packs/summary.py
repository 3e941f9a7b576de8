"""What there is to know of a trained model at a glance: `contrasep models`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from contrasep_lib.packs.card import Card, read_card
from contrasep_lib.packs.layout import CARD, MODEL, named
from contrasep_lib.separate.shipped import CONFIG, folder_of


@dataclasses.dataclass(frozen=True)
class Summary:
    """A model at a glance.

    Attributes:
        name: of the package's model, or of the folder.
        speakers: that it counts, in words.
        rate: Hz; None without a configuration.
        parameters: weights.
        size: bytes of all its files.
        licence, trained_on: by its card; empty where that is silent.
        headline: of its card.
    """

    name: str
    speakers: str
    rate: int | None
    parameters: int
    size: int
    licence: str
    trained_on: str
    headline: str

    @classmethod
    def of(cls, model: str) -> Summary:
        """Read a model's card, configuration and weights.

        Args:
            model: a name or a folder, see `contrasep_lib.separate.shipped.folder_of`.

        Raises:
            ContrasepError: no such model, or a damaged one.
        """
        from contrasep_lib.config import load_config
        from contrasep_lib.models.checkpoint import read_model

        with named(f"--model {model}", model):
            folder = folder_of(model)
        config = load_config(folder / CONFIG) if (folder / CONFIG).is_file() else None
        weights = read_model(folder / MODEL)["state"]
        card = read_card(folder / CARD) if (folder / CARD).is_file() else Card("")
        most = f"up to {config['modularity'].k_max}" if config else ""
        parts = (path for path in [folder / CARD, folder / CONFIG, folder / MODEL, *folder.glob("modularity/*.*")])
        return cls(
            folder.resolve().name, card.speakers or most, config["mix"].rate if config else None,
            sum(tensor.numel() for tensor in weights.values()), sum(_size(path) for path in parts),
            card.licence, card.trained_on, card.headline,
        )

    def cells(self) -> tuple[str, ...]:
        """As a row of a table, see `HEADER`."""
        rate = f"{self.rate / 1000:g} kHz" if self.rate else "-"
        size = f"{self.size / 1e6:.1f} MB"
        # the rest is for readers of the card
        licence, trained_on = self.licence.partition(",")[0], self.trained_on.partition(";")[0]
        row = (self.name, self.speakers, rate, f"{self.parameters:,}", size, licence, trained_on)
        return tuple(cell or "-" for cell in row)


HEADER = ("model", "speakers", "rate", "parameters", "size", "licence", "trained on")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
