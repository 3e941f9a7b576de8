"""Scoring the utterances of a set."""

from __future__ import annotations

from collections.abc import Iterable

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.dumpset import DumpSet, SeparatedSet, require_same_keys
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.score.options import ScoreOptions
from contrasep_lib.score.oracles import oracle_improvements
from contrasep_lib.score.tables import Evidence, Row, make_row, read_evidence
from contrasep_lib.score.utterance import score_utterance


class Scorer:
    """Scores utterances of one set, with the sources from its dump.

    Args:
        dump: the mixtures and sources.
        separated: what stage 5 wrote for them.
        options: the section ``score``.
        features: framing of the oracle masks.

    Raises:
        ContrasepError: dump, separated audio and evidence are not about the same utterances.
    """

    def __init__(
        self,
        dump: DumpSet,
        separated: SeparatedSet,
        options: ScoreOptions,
        features: FeatureOptions,
    ) -> None:
        self.dump, self.separated = dump, separated
        self.options, self.features = options, features
        require_same_keys(dump.wav, separated.spk[0], separated.folder / "spk1.scp")
        self.evidence_path = separated.folder / "evidence.tsv"
        self.evidence = read_evidence(self.evidence_path)
        require_same_keys(dump.wav, self.evidence, self.evidence_path)

    def row(self, key: str) -> Row:
        """Score one utterance.

        Raises:
            ContrasepError: audio that cannot be read, lengths or rates that differ, or a number of
                outputs that contradicts the evidence.
        """
        mixture, sources = self.dump.mixture(key), self.dump.sources(key)
        if sources.shape[1] != len(mixture):
            raise ContrasepError(
                f"{self.dump.folder}: sources of '{key}' have {sources.shape[1]} samples, the mixture "
                f"{len(mixture)}; run stage 2 again"
            )
        try:
            outputs = self.separated.outputs(key, self.dump.rate)
        except ValueError:
            raise ContrasepError(
                f"{self.separated.folder}: outputs of '{key}' differ in length; run stage 5 again"
            ) from None
        evidence = self.evidence[key]
        self._check_count(key, len(outputs), evidence)
        try:
            score = score_utterance(
                outputs, sources, mixture, self.options, evidence.num_spk_given, self.dump.rate
            )
        except ValueError as error:
            raise ContrasepError(f"{self.separated.folder}: '{key}': {error}; run stage 5 again") from None
        oracles = oracle_improvements(mixture, sources, self.features, self.options.oracles, self.dump.noise(key))
        return make_row(key, self.dump.speakers[key], score, oracles, evidence)

    def rows(self, keys: Iterable[str]) -> list[Row]:
        """`row` of each key."""
        return [self.row(key) for key in keys]

    def _check_count(self, key: str, outputs: int, evidence: Evidence) -> None:
        if not evidence.num_spk_given and evidence.num_spk_est != outputs:
            raise ContrasepError(
                f"{self.evidence_path}: '{key}': num_spk_est is {evidence.num_spk_est}, but there are "
                f"{outputs} outputs; run stage 5 again"
            )
