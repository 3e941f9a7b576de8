"""Extended short-time objective intelligibility."""

from __future__ import annotations

import dataclasses

from contrasep_lib.config.choices import choice
from contrasep_lib.score.metrics.stoi import Stoi


@choice("metric", "estoi", target="Estoi")
@dataclasses.dataclass(frozen=True)
class EstoiOptions:
    """Extended STOI and its improvement over the mixture, by pystoi (pip install 'contrasep[stoi]')."""


class Estoi(Stoi):
    """ESTOI of Jensen and Taal, IEEE/ACM TASLP 24(11), 2016, for maskers that fluctuate, as other talkers do.

    As `Stoi` otherwise.
    """

    name, title, extended = "estoi", "ESTOI", True
