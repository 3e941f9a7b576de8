"""Text units by sentencepiece."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

from contrasep_lib.errors import ContrasepError

BLANK = 0


class Tokens:
    """Text to unit numbers and back; number 0 is CTC's blank.

    Args:
        model: a serialised sentencepiece model.

    Raises:
        ContrasepError: no sentencepiece model.
        ImportError: without sentencepiece.
    """

    def __init__(self, model: bytes) -> None:
        import sentencepiece

        self.model = bytes(model)
        self._processor = sentencepiece.SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(self.model)
        except RuntimeError:
            raise ContrasepError("not a sentencepiece model; train the recogniser again") from None

    @classmethod
    def train(cls, texts: Iterable[str], units: int) -> Tokens:
        """A unigram model (Kudo, "Subword regularization", ACL 2018) of these texts.

        Args:
            texts: normalised transcripts.
            units: of the model; fewer where the texts do not have as many.

        Raises:
            ContrasepError: no text, or fewer units than letters.
        """
        import sentencepiece

        texts = list(texts)
        if not any(text.strip() for text in texts):
            raise ContrasepError("no transcripts to learn text units from; train on sets that have a file 'text'")
        made = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.Train(
                sentence_iterator=iter(texts), model_writer=made, vocab_size=units, model_type="unigram",
                hard_vocab_limit=False, character_coverage=1.0, bos_id=-1, eos_id=-1, unk_id=0, num_threads=1,
                normalization_rule_name="identity", minloglevel=2, max_sentence_length=65536,
            )
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise ContrasepError(f"asr.units: {units} do not fit the transcripts ({reason}); set another") from None
        return cls(made.getvalue())

    def __len__(self) -> int:
        """Units, with the blank; sentencepiece's unknown unit has the blank's number and is never learned."""
        return int(self._processor.GetPieceSize())

    def encode(self, text: str) -> list[int]:
        """Unit numbers of a normalised text; what it has no unit for is left out."""
        return [number for number in self._processor.EncodeAsIds(text) if number != BLANK]

    def pieces(self, text: str) -> list[str]:
        """The units of a text themselves, for error rates."""
        return list(self._processor.EncodeAsPieces(text))

    def decode(self, numbers: Sequence[int]) -> str:
        """The text of unit numbers, words separated by one space."""
        return " ".join(self._processor.DecodeIds([number for number in numbers if number != BLANK]).split())
