"""What turns recordings into words: the recogniser of this package, pocketsphinx, or a command of the user's."""

from __future__ import annotations

import abc
import os
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from contrasep_lib.asr.recordings import Batch
from contrasep_lib.corpus.single import normalise_text
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.ids import shown

POCKETSPHINX = "pocketsphinx"
# characters of a command's last words that a message shows
SHOWN_ERROR = 200


class Transcriber(abc.ABC):
    """Turns recordings into normalised words.

    Attributes:
        rate: sampling rate that it hears, Hz.
        name: in results.
        batch: recordings that it takes at once.
    """

    rate: int
    name: str
    batch: int = 16

    @abc.abstractmethod
    def transcribe(self, batch: Batch) -> dict[str, str]:
        """Id -> what is heard, upper case without punctuation; empty where nothing is."""

    def pieces(self, text: str) -> list[str]:
        """The units of a text that unit error rates count; characters, where the recogniser has none of its own."""
        return list(text)

    @property
    def unit(self) -> str:
        """What the units are."""
        return "characters"


class OwnTranscriber(Transcriber):
    """The recogniser that ``contrasep train-asr`` trained.

    Args:
        path: ``asr.pth``.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        from contrasep_lib.asr.files import load_recogniser

        self._model = load_recogniser(path)
        self.rate, self.name = self._model.options.rate, f"own recogniser ({Path(path).name})"

    def transcribe(self, batch: Batch) -> dict[str, str]:
        return dict(zip(batch.keys, self._model.transcribe(batch.audio())))

    def pieces(self, text: str) -> list[str]:
        return self._model.tokens.pieces(text)

    @property
    def unit(self) -> str:
        return "sentencepiece units"


class Pocketsphinx(Transcriber):
    """CMU PocketSphinx with the English model of its wheel, at 16 kHz: a weak reference."""

    rate, name = 16000, POCKETSPHINX

    def __init__(self) -> None:
        import pocketsphinx

        self._decoder: Any = pocketsphinx.Decoder(samprate=self.rate, loglevel="FATAL")

    def transcribe(self, batch: Batch) -> dict[str, str]:
        return {key: self._heard(audio) for key, audio in zip(batch.keys, batch.audio())}

    def _heard(self, audio: np.ndarray) -> str:
        from contrasep_lib.io.audio import to_int16

        if not np.any(audio):
            return ""
        self._decoder.start_utt()
        self._decoder.process_raw(to_int16(np.clip(audio, -1, 1)).tobytes(), full_utt=True)
        self._decoder.end_utt()
        found = self._decoder.hyp()
        return normalise_text(found.hypstr) if found is not None else ""


class Command(Transcriber):
    """A recogniser of the user's, run without a shell on files that are written here.

    With ``{wav}`` among its words it is run once for each recording, and what it prints is the transcript. Else it is
    run once for all recordings of a batch: ``{scp}`` stands for a table KEY FILE of mono PCM16 WAV files, ``{text}``
    for the table KEY WORDS that it writes; where neither is among its words, both follow as last arguments. Keys are
    made here. What it writes is read as text and nothing else.

    Args:
        command: words as a POSIX shell separates them; nothing in them is expanded.
        rate: of the files, Hz.

    Raises:
        ContrasepError: no command, or quotes that do not close.
    """

    name = "outside recogniser"
    # a program that loads a model should do so seldom; so many files lie on the disk at once
    batch = 1000

    def __init__(self, command: str, rate: int) -> None:
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise ContrasepError(f"--asr-cmd: {error}; close the quotes") from None
        if not words:
            raise ContrasepError("--asr-cmd: expected a command, got nothing")
        self.each = any("{wav}" in word for word in words)
        if not self.each and not any("{scp}" in word or "{text}" in word for word in words):
            words += ["{scp}", "{text}"]
        self.words, self.rate = words, rate

    def transcribe(self, batch: Batch) -> dict[str, str]:
        from contrasep_lib.io.audio import write_wav
        from contrasep_lib.io.scp import write_table

        with tempfile.TemporaryDirectory(prefix="contrasep_asr_") as folder:
            place = Path(folder)
            # ids may be long, or of signs that a program does not expect
            files = {f"r{number:06d}": key for number, key in enumerate(batch.keys, 1)}
            for short, audio in zip(files, batch.audio()):
                write_wav(place / f"{short}.wav", np.clip(audio, -1, 1), self.rate)
            if self.each:
                heard = {short: self._run(wav=place / f"{short}.wav") for short in files}
            else:
                write_table(place / "wav.scp", {short: str(place / f"{short}.wav") for short in files})
                self._run(scp=place / "wav.scp", text=place / "text")
                heard = self._read(place / "text", files)
        return {key: normalise_text(heard.get(short, "")) for short, key in files.items()}

    def _run(self, **places: Path) -> str:
        words = list(self.words)
        for name, path in places.items():
            words = [word.replace(f"{{{name}}}", str(path)) for word in words]
        try:
            done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        except OSError as error:
            raise ContrasepError(f"--asr-cmd: {words[0]}: {error.strerror}; name an existing program") from None
        if done.returncode:
            printed = (" ".join(part.decode("utf-8", "replace").split()) for part in (done.stderr, done.stdout))
            said = next(filter(None, printed), "it printed nothing")[-SHOWN_ERROR:]
            raise ContrasepError(f"--asr-cmd: {words[0]} ended with status {done.returncode} ({said})")
        return done.stdout.decode("utf-8", "replace")

    def _read(self, path: Path, files: Sequence[str] | dict[str, str]) -> dict[str, str]:
        """The table that a command wrote; a line may be a key alone, where nothing was heard."""
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            raise ContrasepError(
                f"--asr-cmd: {self.words[0]} wrote no table {{text}}; let it write KEY WORDS there"
            ) from None
        heard = {}
        for line in lines:
            key, _, text = line.strip().partition(" ")
            if key and key not in files:
                raise ContrasepError(
                    f"--asr-cmd: {self.words[0]} wrote a line of '{shown(key)}', which was not asked for"
                )
            heard[key] = text
        return heard


def transcriber_of(model: str) -> Transcriber:
    """A recogniser by its name: ``pocketsphinx``, or an ``asr.pth``."""
    return Pocketsphinx() if model == POCKETSPHINX else OwnTranscriber(model)
