"""Options of the section ``asr``."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from contrasep_lib.config import Bounded, Range
from contrasep_lib.config.bounds import Count, Layers, LearningRate, Minutes, Rate, Seed, Width


@dataclasses.dataclass(frozen=True)
class AsrOptions(Bounded):
    """The recogniser of ``contrasep train-asr``: log-mel spectra, an encoder of ESPnet, CTC over text units.

    Attributes:
        units: text units of the sentencepiece unigram model; fewer where the transcripts do not have as many.
        encoder: ``rnn`` (ESPnet's RNNEncoder, bidirectional LSTMs with projections) or ``conformer``.
        layers: of the encoder.
        width: cells of an LSTM in each direction and outputs of its projection, or channels of the conformer.
        heads: attention heads of the conformer.
        dropout: in the encoder.
        decoding: ``lexicon``, words of the training transcripts alone (`contrasep_lib.asr.lexicon.Lexicon`), or
            ``greedy``, the best unit of each frame, which spells any word.
        mels: bands of the log-mel spectra.
        rate: sampling rate that it hears, Hz; other recordings are resampled.
        hop_ms: hop of the spectra, ms; the encoder halves the frame rate once (``rnn``) or twice (``conformer``).
        batch_seconds: audio of a batch, padding included.
        optim: ``muon`` (`contrasep_lib.train.muon.MuonAdam`) or ``adam``.
        learning_rate: highest, after the warm-up; it falls to 0 along a cosine.
        warmup: share of the training over which it rises.
        precision: of the encoder in training.
        budget_minutes: training ends after so long.
        budget_clock: ``wall``, or ``cpu`` for the process's own time, as on a shared core.
        steps: or after so many steps.
        valid_every: minutes between validations.
        seed: of weights and batches.
    """

    units: Annotated[int, Range(30, 10000)] = 300
    encoder: Literal["rnn", "conformer"] = "conformer"
    layers: Layers = 4
    width: Width = 144
    heads: Annotated[int, Range(1, 256)] = 4
    dropout: Annotated[float, Range(0, 1, "[)")] = 0.1
    decoding: Literal["lexicon", "greedy"] = "lexicon"
    mels: Annotated[int, Range(8, 256)] = 40
    rate: Rate = 8000
    # fast voices of eSpeak NG say up to 19 units a second (95 % of sentences), and CTC needs a frame for each: 32 ms
    hop_ms: Annotated[float, Range(1, 100)] = 8.0
    batch_seconds: Annotated[float, Range(1, 1e5)] = 60.0
    optim: Literal["muon", "adam"] = "muon"
    learning_rate: LearningRate = 0.003
    warmup: Annotated[float, Range(0, 1, "[)")] = 0.1
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    budget_minutes: Minutes = 25.0
    budget_clock: Literal["wall", "cpu"] = "wall"
    steps: Count = 10**6
    valid_every: Minutes = 2.0
    seed: Seed = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.encoder == "conformer" and self.width % self.heads:
            raise ValueError(f"heads: expected a divisor of width, {self.width}, got {self.heads}")
