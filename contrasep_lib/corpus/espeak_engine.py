"""eSpeak NG by ctypes, through the wheel ``espeakng-loader`` (library and voice data embedded).

eSpeak NG carries state from one utterance to the next (phase of its wave generator, random
numbers of breath and flutter, seeded from the clock), so the same call gives other samples
later on. Here each utterance is spoken by a child process, forked from one in which the
library is loaded but has never spoken, with a seed of its own: its samples depend on the
voice, the text and the seed alone. For the fork to be safe the process must have no threads,
hence no numpy in this module and workers that are started afresh (`speak_all`).
"""

from __future__ import annotations

import ctypes
import dataclasses
import json
import os
import signal
import sys
import wave
from collections.abc import Iterator, Sequence
from typing import Any

from contrasep_lib.errors import ContrasepError
from contrasep_lib.extras import missing_extra
from contrasep_lib.io.atomic import atomic_path
from contrasep_lib.io.parallel import spawning

SYNCHRONOUS = 2
DONT_EXIT = 0x8000
UTF8_TEXT = 1
RATE, VOLUME, PITCH, RANGE = 1, 2, 3, 4
# more makes eSpeak NG's limiter press the louder variants
VOLUME_PERCENT = 40
# lines that a worker takes at once
BATCH = 8


@dataclasses.dataclass(frozen=True)
class Line:
    """One thing to say.

    Attributes:
        path: wav file to write (mono PCM16 at eSpeak NG's rate of 22050 Hz).
        text: the sentence.
        voice: eSpeak NG's name, ``accent+variant``.
        pitch: 0 to 99, 50 is the variant's own.
        pitch_range: 0 to 99, 50 is the variant's own; 0 is monotone.
        words_per_minute: speaking rate.
        seed: of eSpeak NG's random numbers.
    """

    path: str
    text: str
    voice: str
    pitch: int
    pitch_range: int
    words_per_minute: int
    seed: int


class Engine:
    """eSpeak NG, loaded and silent.

    Raises:
        ContrasepError: the wheel is missing or its library does not start.
    """

    def __init__(self) -> None:
        try:
            import espeakng_loader

            self._library = ctypes.CDLL(espeakng_loader.get_library_path())
            data = espeakng_loader.get_data_path().encode()
        except ImportError as error:
            raise ContrasepError(f"eSpeak NG: {missing_extra(error) or error}") from None
        except (OSError, RuntimeError) as error:
            raise ContrasepError(
                f"eSpeak NG cannot be loaded ({error}); install it again: pip install --force-reinstall espeakng-loader"
            ) from None
        kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
        self._chunks: list[bytes] = []
        self._callback = kind(self._collect)
        self.rate = self._library.espeak_Initialize(SYNCHRONOUS, 0, data, DONT_EXIT)
        if self.rate <= 0:
            raise ContrasepError(
                f"eSpeak NG does not start with its data in {data.decode()}; install the wheel again"
            )
        self._library.espeak_SetSynthCallback(self._callback)
        self._library.espeak_Info.restype = ctypes.c_char_p
        self.version: str = self._library.espeak_Info(None).decode()

    def _collect(self, samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            self._chunks.append(ctypes.string_at(samples, 2 * count))
        return 0

    def speak(self, line: Line) -> int:
        """Say one line in a child process, into its file.

        Returns:
            number of samples.

        Raises:
            ContrasepError: unknown voice, nothing but silence, file that cannot be written.
        """
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            # the child must never go on as a second caller, even when a killed caller breaks the pipe
            try:
                os.close(reader)
                os.write(writer, json.dumps(self._attempt(line)).encode())
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            reply = pipe.read()
        os.waitpid(child, 0)
        answer = json.loads(reply or '{"error": "its process was killed"}')
        if "error" in answer:
            raise ContrasepError(f"{line.path}: not spoken by {line.voice} ({answer['error']}); run it again")
        return answer["samples"]

    def _attempt(self, line: Line) -> dict[str, Any]:
        end_with_parent()
        try:
            return {"samples": self._speak_here(line)}
        except Exception as error:
            return {"error": f"{error}" or type(error).__name__}

    def _speak_here(self, line: Line) -> int:
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(line.seed))
        if self._library.espeak_SetVoiceByName(line.voice.encode()) != 0:
            raise ValueError("eSpeak NG does not know this voice")
        parameters = {
            VOLUME: VOLUME_PERCENT,
            RATE: line.words_per_minute,
            PITCH: line.pitch,
            RANGE: line.pitch_range,
        }
        for parameter, value in parameters.items():
            self._library.espeak_SetParameter(parameter, value, 0)
        text = line.text.encode() + b"\0"
        unsigned = ctypes.c_uint
        status = self._library.espeak_Synth(
            text, ctypes.c_size_t(len(text)), unsigned(0), 1, unsigned(0), unsigned(UTF8_TEXT), None, None
        )
        pcm = b"".join(self._chunks)
        if status != 0 or not any(pcm):
            raise ValueError(f"status {status}, {len(pcm) // 2} samples, all of them silent")
        with atomic_path(line.path) as temporary, wave.open(os.fspath(temporary), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(self.rate)
            file.writeframes(pcm)
        return len(pcm) // 2


def wav_length(path: str) -> int | None:
    """Samples of a whole wav file; None when it is missing or damaged."""
    try:
        with wave.open(path, "rb") as file:
            samples = file.getnframes()
            header = file.tell()
        return samples if samples and os.path.getsize(path) >= header + 2 * samples else None
    except (OSError, EOFError, wave.Error):
        return None


_engine: Engine | None = None


def end_with_parent() -> None:
    """Have Linux end this process when its parent is killed; a worker would wait for ever."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def _speak_batch(lines: list[Line]) -> list[int]:
    """Work of one process: each line's number of samples; whole files are kept as they are."""
    global _engine
    if _engine is None:
        _engine = Engine()
    return [wav_length(line.path) or _engine.speak(line) for line in lines]


def speak_all(lines: Sequence[Line], jobs: int) -> Iterator[list[int]]:
    """Say all lines on ``jobs`` processes, keeping files that are whole.

    Yields:
        numbers of samples of the next lines, batch by batch, in the order of ``lines``.

    Raises:
        ContrasepError: see `Engine.speak`, or a killed process; the remaining batches are dropped.
    """
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    if jobs > len(lines):
        print(f"{jobs} jobs for {len(lines)} utterances: {len(lines)} do", file=sys.stderr)
        jobs = len(lines)
    size = min(BATCH, -(-len(lines) // jobs))
    batches = [list(lines[start : start + size]) for start in range(0, len(lines), size)]
    with ProcessPoolExecutor(jobs, mp_context=spawning(), initializer=end_with_parent) as pool:
        try:
            yield from pool.map(_speak_batch, batches)
        except BrokenProcessPool:
            folder = os.path.dirname(lines[0].path)
            raise ContrasepError(
                f"{folder}: a speaking process was killed; run again, what is whole is kept"
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
