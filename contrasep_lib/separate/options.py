"""Options of the section ``separate``."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

from contrasep_lib.config import LATER, Bounded, Range, choice_of
from contrasep_lib.errors import ContrasepError
from contrasep_lib.oracles.base import oracle_options


@dataclasses.dataclass(frozen=True)
class SeparateOptions(Bounded):
    """How stage 5 separates.

    Attributes:
        separator: ``model`` (what stages 3 and 4 trained), ``oracle_<name>`` (see ``contrasep list oracles``), or
            ``mixture`` (every output is the mixture itself).
        count: whether the model is ``given`` the number of speakers, or it is ``estimated``.
        mask: the model's masks: ``hard`` (each node to one output), ``soft`` (each node to all outputs, by how much
            of its embedding lies along their centroids; for deep clustering) or ``posterior`` (by the softmax of
            its cosines with their centroids; for contrastive losses).
        temperature: of ``posterior``, that of the loss.
        shifts: framings of the model, each shifted by a further part of a hop. Communities are those of the nodes of
            all framings, outputs the mean over them. Time grows with their number.
        speakers: the speaker encoder that tells talkers of long recordings apart, beside the model's own embeddings,
            and finds enrolled voices; ``null``: the model's own embeddings alone.
    """

    separator: str = "oracle_ibm"
    count: Literal["given", "estimated"] = "estimated"
    mask: Literal["hard", "soft", "posterior"] = "hard"
    temperature: Annotated[float, Range(1e-3, 100)] = dataclasses.field(default=0.1, metadata=LATER)
    shifts: Annotated[int, Range(1, 64)] = 1
    speakers: Any = choice_of("speaker_encoder", None, later=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.separator != "model":
            try:
                oracle_options(self.separator)
            except ContrasepError as error:
                raise ValueError(str(error).removeprefix("separate.")) from None
