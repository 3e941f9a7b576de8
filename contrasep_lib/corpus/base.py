"""What all corpora share: a corpus turns itself into single-speaker data directories."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

from contrasep_lib.errors import ContrasepError


@dataclasses.dataclass(frozen=True)
class Request:
    """What stage 0 asks of a corpus.

    Attributes:
        out: sources folder; receives ``tr``, ``cv``, ``tt`` and further sets, and audio where it has to be made.
        corpus: local copy, or None for a download.
        download_dir: for downloads.
        jobs: processes at once.
        extra_train: whether utterances beyond the usual training set are taken too.
        mix_lists: folder of the lists of mixtures, of a corpus that brings its own.
        num_spk: speakers of a mixture, which choose among such lists.
    """

    out: str
    corpus: str | None = None
    download_dir: str = "downloads"
    jobs: int = 1
    extra_train: bool = False
    mix_lists: str | None = None
    num_spk: int | None = None


class Corpus(abc.ABC):
    """A corpus. One that is new writes one method.

        @choice("corpus", "mine", target="Mine")
        @dataclasses.dataclass(frozen=True)
        class MineOptions(Bounded):
            "Read speech of my own."
            valid_fraction: Annotated[float, Range(0, 1, "()")] = 0.1

        class Mine(Corpus):
            takes = needs = frozenset({"corpus"})

            def prepare(self, request):
                ...  # Utterance(..) of each recording, write_single_set(folder, utterances) for tr, cv, tt
                return {"tr": 100, "cv": 10, "tt": 20}

    Attributes:
        takes: names of the attributes of `Request` that mean something to it beside ``out`` and ``jobs``.
        needs: those among them that it cannot do without.
        options: its options.
        mix: section ``mix``.
    """

    takes: ClassVar[frozenset[str]] = frozenset()
    needs: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, options: Any, mix: Any = None) -> None:
        self.options, self.mix = options, mix

    @classmethod
    def from_options(cls, options: Any, mix: Any = None) -> Corpus:
        """A corpus of these options."""
        return cls(options, mix)

    @abc.abstractmethod
    def prepare(self, request: Request) -> Mapping[str, int]:
        """Write single-speaker data directories; see `contrasep_lib.corpus.single.write_single_set`.

        A rerun keeps audio that is whole.

        Returns:
            set -> number of utterances.

        Raises:
            ContrasepError: corpus missing or damaged, failed download.
        """

    def check(self, request: Request) -> None:
        """Raise ContrasepError for a request that the corpus has no use for, or that lacks what it needs."""
        for field in dataclasses.fields(Request):
            given, option = getattr(request, field.name) != field.default, f"--{field.name.replace('_', '-')}"
            if given and field.name not in {"out", "jobs", "download_dir", *self.takes}:
                raise ContrasepError(f"{option}: the corpus '{self.options.name}' has no use for it; leave it out")
            if not given and field.name in self.needs:
                raise ContrasepError(f"{option}: the corpus '{self.options.name}' cannot do without it")
