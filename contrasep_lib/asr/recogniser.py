"""The recogniser: log-mel spectra, an encoder of ESPnet, CTC."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch

from contrasep_lib.asr.lexicon import Lexicon
from contrasep_lib.asr.options import AsrOptions
from contrasep_lib.asr.tokens import BLANK, Tokens

LEAST_SECONDS = 0.2
# frames that an encoder subsamples to one; and to two, of which the conformer's batch norm has a variance in training
LEAST_FRAMES = {"conformer": (7, 11), "rnn": (1, 1)}
# frames of so many seconds that far under the loudest are silence at the ends, dB; what is left around speech, seconds
FRAME_SECONDS, SILENCE_DB, MARGIN_SECONDS = 0.02, 40.0, 0.1


def framing(options: AsrOptions) -> tuple[int, int]:
    """Hop and window of the spectra, samples."""
    hop = round(options.rate * options.hop_ms / 1000)
    return hop, 1 << (max(2 * hop, round(0.032 * options.rate)) - 1).bit_length()


def least_samples(options: AsrOptions, training: bool = False) -> int:
    """Samples that a recording has to have: of the frames that the encoder subsamples, and of half a window."""
    hop, window = framing(options)
    # a frame at sample 0 and at each hop; the signal is mirrored at its ends by half a window
    return max((LEAST_FRAMES[options.encoder][training] - 1) * hop, window // 2 + 1)


def _encoder(options: AsrOptions) -> torch.nn.Module:
    if options.encoder == "rnn":
        from espnet2.asr.encoder.rnn_encoder import RNNEncoder

        return RNNEncoder(
            options.mels, num_layers=options.layers, hidden_size=options.width, output_size=options.width,
            dropout=options.dropout, subsample=(2,),
        )
    from espnet2.asr.encoder.conformer_encoder import ConformerEncoder

    return ConformerEncoder(
        options.mels, output_size=options.width, attention_heads=options.heads, linear_units=4 * options.width,
        num_blocks=options.layers, dropout_rate=options.dropout, positional_dropout_rate=options.dropout,
        attention_dropout_rate=options.dropout, input_layer="conv2d", rel_pos_type="latest", macaron_style=True,
        cnn_module_kernel=15, use_flash_attn=False,
    )


class Recogniser(torch.nn.Module):
    """Recordings to unit numbers.

    The parts are ESPnet's: DefaultFrontend, UtteranceMVN, SpecAug (Park et al., Interspeech 2019; in training alone),
    RNNEncoder or ConformerEncoder, CTC (Graves et al., ICML 2006).

    Args:
        options: the section ``asr``.
        tokens: text units.
        words: all that it may hear, where ``options.decoding`` is ``lexicon``.
    """

    def __init__(self, options: AsrOptions, tokens: Tokens, words: Iterable[str] = ()) -> None:
        super().__init__()
        from espnet2.asr.ctc import CTC
        from espnet2.asr.frontend.default import DefaultFrontend
        from espnet2.asr.specaug.specaug import SpecAug
        from espnet2.layers.utterance_mvn import UtteranceMVN

        self.options, self.tokens = options, tokens
        self.lexicon = Lexicon(words, tokens) if options.decoding == "lexicon" else None
        hop, window = framing(options)
        self.frontend = DefaultFrontend(
            fs=options.rate, n_fft=window, hop_length=hop, n_mels=options.mels, frontend_conf=None
        )
        self.normalise = UtteranceMVN(norm_means=True, norm_vars=True)
        self.mask = SpecAug(
            apply_time_warp=False, freq_mask_width_range=(0, options.mels // 5), num_freq_mask=2,
            time_mask_width_ratio_range=(0.0, 0.05), num_time_mask=2,
        )
        self.encoder = _encoder(options)
        self.ctc = CTC(len(tokens), self.encoder.output_size(), dropout_rate=0.0)

    def encode(self, audio: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Frames of recordings.

        Args:
            audio: ``(batch, samples)`` float32.
            lengths: samples of each, ``(batch,)``.

        Returns:
            ``(batch, frames, width)`` and the frames of each, ``(batch,)``.
        """
        # ESPnet's recurrent encoder takes recordings from long to short
        order = torch.argsort(lengths, descending=True, stable=True)
        features, frames = self.frontend(audio[order], lengths[order])
        features, frames = self.normalise(features, frames)
        if self.training:
            features, frames = self.mask(features, frames)
        lowered: Any = contextlib.nullcontext()
        if self.training and self.options.precision == "bfloat16":
            lowered = torch.autocast(audio.device.type, torch.bfloat16)
        with lowered:
            encoded, frames, _ = self.encoder(features, frames)
        back = torch.argsort(order)
        return encoded.float()[back], frames[back]

    def loss(
        self, audio: torch.Tensor, lengths: torch.Tensor, units: torch.Tensor, unit_lengths: torch.Tensor
    ) -> torch.Tensor:
        """CTC's loss, the mean over the batch.

        Args:
            audio, lengths: as for `encode`.
            units: ``(batch, most)`` unit numbers, padded with -1.
            unit_lengths: ``(batch,)``.
        """
        encoded, frames = self.encode(audio, lengths)
        return self.ctc(encoded, frames, units, unit_lengths)

    @torch.no_grad()
    def transcribe(self, recordings: Sequence[np.ndarray]) -> list[str]:
        """Transcripts of recordings at the recogniser's rate.

        Recordings shorter than `LEAST_SECONDS` or `least_samples`, or without any sound, are empty transcripts. One at
        a time: ESPnet's subsampling counts frames of padding in, so a transcript would depend on what else is in a
        batch. Silence at the ends is cut off, see `without_ends`.

        Args:
            recordings: ``(samples,)`` each.
        """
        fewest = least_samples(self.options)
        least = max(LEAST_SECONDS * self.options.rate, fewest)
        device = next(self.parameters()).device
        made = []
        for one in recordings:
            text = ""
            if len(one) >= least and np.any(one):
                audio, lengths = padded([without_ends(one, self.options.rate, fewest)])
                encoded, _ = self.encode(audio.to(device), lengths.to(device))
                scores = self.ctc.log_softmax(encoded)[0].cpu().numpy()
                text = self.lexicon.decode(scores) if self.lexicon else self.tokens.decode(collapsed(scores.argmax(-1)))
            made.append(text)
        return made


def without_ends(audio: np.ndarray, rate: int, least: int = 0) -> np.ndarray:
    """A recording from its first to its last speech, as training has it.

    Features are normalised over the recording, so the silence that pads the shorter source of a mixture (``mix.mode:
    max``) would move those of its speech.

    Args:
        audio: ``(samples,)``, not all zero.
        rate: Hz.
        least: samples.

    Returns:
        At least `LEAST_SECONDS` and ``least`` of it, where it has as many.
    """
    size = max(round(FRAME_SECONDS * rate), 1)
    powers = np.add.reduceat(np.square(audio, dtype=np.float64), np.arange(0, len(audio), size))
    heard = np.flatnonzero(powers > powers.max() * 10 ** (-SILENCE_DB / 10))
    margin = max(round(MARGIN_SECONDS * rate), -(-max(round(LEAST_SECONDS * rate), least) // 2))
    first, last = heard[0] * size - margin, (heard[-1] + 1) * size + margin
    begin = max(min(first, len(audio) - 2 * margin), 0)
    return audio[begin : max(last, begin + 2 * margin)]


def padded(recordings: Sequence[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """Recordings of different length as one batch, ``(batch, samples)`` float32, and the samples of each."""
    lengths = [len(one) for one in recordings]
    audio = torch.zeros(len(recordings), max(lengths))
    for row, one in zip(audio, recordings):
        row[: len(one)] = torch.from_numpy(np.asarray(one, dtype=np.float32))
    return audio, torch.tensor(lengths)


def collapsed(path: np.ndarray) -> list[int]:
    """CTC's map from frames to units: repeats become one, then blanks go.

    Args:
        path: unit of each frame, ``(frames,)``.

    Example:
        >>> collapsed(np.array([0, 3, 3, 0, 3, 5, 5, 0]))
        [3, 3, 5]
    """
    if not len(path):
        return []
    first = np.concatenate([[True], path[1:] != path[:-1]])
    return [int(number) for number in path[first] if number != BLANK]
