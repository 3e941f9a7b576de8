"""A corpus that a file of one's own lists: what to write is where each recording lies and who speaks.

    from pathlib import Path

    from contrasep_lib.corpus.recordings import Recording

    def recordings(corpus: Path):
        for path in sorted(corpus.glob("*/*.wav")):
            yield Recording(path, speaker=path.parent.name)

``contrasep prepare-corpus FILE.py --corpus DIR`` calls it with the folder, makes ids, reads every file whole, and
splits the speakers into training and test. All that is wrong is listed at once, before anything is mixed. Rates,
codings and numbers of channels may differ from file to file: what libsndfile does not read whole as mono is decoded
once.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import re
import sys
import traceback
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from contrasep_lib.corpus.base import Corpus, Request
from contrasep_lib.corpus.commonvoice_table import words
from contrasep_lib.corpus.hearing import NAMED, Heard, counted, hear_clip, raise_all
from contrasep_lib.corpus.listing import least_errors, split_listed, summary
from contrasep_lib.corpus.single import Utterance, claim_folder, write_single_set
from contrasep_lib.errors import ContrasepError, one_line
from contrasep_lib.io.ids import is_id, shown
from contrasep_lib.io.parallel import in_processes

FUNCTION, ERRORS = "recordings", "errors.txt"
# Common Voice has all but the first two
GENDERS = {
    "m": "m", "f": "f", "male": "m", "female": "f", "male_masculine": "m", "female_feminine": "f", "": None,
    "other": None, "unknown": None, "transgender": None, "non-binary": None, "do_not_wish_to_say": None,
}


@dataclasses.dataclass(frozen=True)
class Recording:
    """One recording of one speaker.

    Attributes:
        path: audio file of any format, rate and number of channels (their mean is taken).
        speaker: who speaks, as the corpus names them.
        text: transcript, or the text file that holds it (one that is not there is no transcript); None without one.
        gender: ``m``, ``f`` or Common Voice's words (``male``, ``female``, ``other``, ..) in any case; None if unknown.
        language: code of the language; None if unknown.
        set: ``tr``, ``cv``, ``tt``, ``dev`` or ``tt_..`` of a corpus that comes with a split, for all recordings;
            None: drawn by the options of ``corpus.recordings``.
        name: tells the speaker's recordings apart; None takes the file's name without its suffix.
    """

    path: str | os.PathLike[str]
    speaker: str
    text: str | Path | None = None
    gender: str | None = None
    language: str | None = None
    set: str | None = None
    name: str | None = None


@dataclasses.dataclass(frozen=True)
class Listed:
    """A recording with its ids.

    Attributes:
        recording: as it was listed.
        speaker: its id.
        utt_id: of the recording.
        gender: ``m``, ``f`` or None.
    """

    recording: Recording
    speaker: str
    utt_id: str
    gender: str | None


def plain(text: str) -> str:
    """A name as a part of ids: signs other than letters, digits and ``._=`` become ``_``.

    No ``-`` is left, which separates the parts, so that ids keep the order of their speakers.

    Example:
        >>> plain("p225 (mic-1)")
        'p225__mic_1_'
    """
    marks = ("Mn", "Mc")
    return "".join(c if c.isalnum() or c in "._=" or unicodedata.category(c) in marks else "_" for c in text)


def prefix_of(file: str | os.PathLike[str]) -> str:
    """What ids of a corpus begin with: of ``CORPUS_2mix/local/NAME.py`` the corpus, of another file its name."""
    path = Path(file).resolve()
    name = re.sub(r"_[^_]*mix[^_]*$", "", path.parents[1].name) if path.parent.name == "local" else path.stem
    return plain(name)


def load_function(file: str | os.PathLike[str]) -> Callable[[Path], Iterable[Any]]:
    """The function ``recordings`` of a file, which is run for it.

    Raises:
        ContrasepError: no such file, no such function, or whatever the file runs into, with its line.
    """
    if not os.path.isfile(file):
        raise ContrasepError(f"{file}: no such file; write the function {FUNCTION}(corpus) there")
    spec = importlib.util.spec_from_file_location(f"corpus_{plain(Path(file).stem)}", file)
    if spec is None or spec.loader is None:
        raise ContrasepError(f"{file}: expected a file of Python")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise _of_file(file, error) from None
    function = getattr(module, FUNCTION, None)
    if not callable(function):
        raise ContrasepError(f"{file}: no function {FUNCTION}(corpus) in it, which yields a Recording of each file")
    return function


def _of_file(file: str | os.PathLike[str], error: BaseException, corpus: Path | None = None) -> ContrasepError:
    """What somebody's file ran into, with the last of its own lines and what may help."""
    if isinstance(error, SyntaxError):
        return ContrasepError(f"{file}:{error.lineno}: {error.msg}")
    place = os.path.abspath(file)
    own = [
        (frame, line) for frame, line in traceback.walk_tb(error.__traceback__)
        if os.path.abspath(frame.f_code.co_filename) == place
    ]
    where = f"{file}:{own[-1][1]}" if own else f"{file}"
    help_ = _help(error, own[-1][0].f_locals if own else {}, corpus)
    return ContrasepError(f"{where}: {type(error).__name__}: {one_line(str(error))}{help_}")


def _help(error: BaseException, values: Mapping[str, Any], corpus: Path | None) -> str:
    """What may help against an error of somebody's file, with the values that its line saw."""
    if isinstance(error, KeyError) and error.args:
        rows = [each for each in values.values() if isinstance(each, Mapping) and each and error.args[0] not in each]
        if rows:
            return f"; there are {', '.join(shown(str(key)) for key in [*rows[-1]][: 2 * NAMED])}"
    if isinstance(error, OSError) and corpus is not None and corpus.is_dir():
        return f"; {corpus} holds {_content(corpus)}"
    if isinstance(error, TypeError) and "Recording.__init__" in str(error):
        return f"; Recording takes {', '.join(field.name for field in dataclasses.fields(Recording))}"
    if isinstance(error, TypeError) and "not iterable" in str(error) and not values:
        return f"; {FUNCTION}() has to yield each Recording, not to return one"
    return ""


def _content(corpus: Path) -> str:
    """What a folder holds, in words."""
    holds = sorted(f"{path.name}{'/' * path.is_dir()}" for path in corpus.iterdir())
    return ", ".join([*holds[: 2 * NAMED], *([".."] if len(holds) > 2 * NAMED else [])]) or "nothing"


def list_recordings(file: str | os.PathLike[str], corpus: str | os.PathLike[str]) -> list[Recording]:
    """All that a file's function yields for a folder.

    Raises:
        ContrasepError: see `load_function`; also for something else than a `Recording`, or nothing at all.
    """
    function, found = load_function(file), []
    try:
        for entry in function(Path(corpus)) or ():
            if not isinstance(entry, Recording):
                raise ContrasepError(
                    f"{file}: expected {FUNCTION}() to yield Recording(path, speaker), got {shown(repr(entry))}"
                )
            found.append(entry)
    except ContrasepError:
        raise
    except (Exception, SystemExit) as error:
        raise _of_file(file, error, Path(corpus)) from None
    if not found:
        there = _content(Path(corpus))
        raise ContrasepError(f"{file}: {FUNCTION}() yields nothing for {corpus}, which holds {there}; wrong pattern?")
    if len(found) > 1 and not any(os.path.isfile(each.path) for each in found):
        raise ContrasepError(
            f"{file}: none of the {len(found)} audio files is there, e.g. {os.fspath(found[0].path)}; "
            f"{corpus} holds {_content(Path(corpus))}"
        )
    return found


def name_all(found: Sequence[Recording], prefix: str) -> tuple[list[Listed], list[str]]:
    """Ids of all recordings, and what is wrong with the list, one line each."""
    listed: list[Listed] = []
    errors: list[str] = []
    taken: dict[str, Recording] = {}
    spoken: dict[str, str] = {}
    paths: set[str] = set()
    for recording in found:
        path, speaker = os.fspath(recording.path), str(recording.speaker)
        name = Path(path).stem if recording.name is None else str(recording.name)
        gender = str(recording.gender or "").strip().lower()
        if not speaker.strip() or not name.strip():
            errors.append(f"{path}: expected a speaker and a name, got '{shown(speaker)}' and '{shown(name)}'")
            continue
        spk_id = f"{prefix}-{plain(speaker)}"
        utt_id = f"{spk_id}-{plain(name)}"
        problem = None
        if path in paths:
            problem = "listed twice"
        elif not os.path.isfile(path):
            problem = "no such audio file"
        elif gender not in GENDERS:
            problem = f"expected gender m or f, got '{shown(gender)}'"
        elif not is_id(utt_id):
            problem = f"its id '{shown(utt_id)}' is too long for the name of a file; shorten it by Recording(name=..)"
        elif spoken.setdefault(spk_id, speaker) != speaker:
            problem = f"speaker '{shown(speaker)}' has the id of '{shown(spoken[spk_id])}', {spk_id}; rename one"
        elif utt_id in taken:
            other = os.fspath(taken[utt_id].path)
            problem = f"has the id of {other}, {utt_id}; tell them apart by Recording(name=..)"
        paths.add(path)
        if problem:
            errors.append(f"{path}: {problem}")
            continue
        taken[utt_id] = recording
        listed.append(Listed(recording, spk_id, utt_id, GENDERS[gender]))
    return listed, errors


def transcript(text: str | Path | None) -> str | None:
    """A transcript in upper case, letters and digits of any script; of a path what the file holds.

    Raises:
        ContrasepError: a file that is no UTF-8 text.
    """
    if isinstance(text, Path):
        try:
            text = text.read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise ContrasepError(f"{text}: cannot be read as UTF-8 text ({error})") from None
    return words(text) or None if text else None


def read_recording_of(path: str, decoded: str, rate: int, text: str | Path | None) -> tuple[Heard, str | None]:
    """What `hear_clip` makes of a recording, and its transcript."""
    heard = hear_clip(path, decoded, rate)
    try:
        return heard, transcript(text)
    except ContrasepError as error:
        return dataclasses.replace(heard, error=heard.error or str(error)), None


class Recordings(Corpus):
    """A corpus that a file lists; see `list_recordings`.

    Attributes:
        file: of the function ``recordings``; None where none was named.
    """

    takes = frozenset({"corpus"})
    file: str | None = None

    @classmethod
    def of_file(cls, file: str, options: Any, mix: Any = None) -> Recordings:
        """The corpus that a file lists."""
        made = cls(options, mix)
        made.file = file
        return made

    def prepare(self, request: Request) -> Mapping[str, int]:
        """Write the sets, ``wav`` for what had to be decoded, and ``errors.txt`` where something is wrong."""
        if request.corpus is None:
            raise ContrasepError("--corpus: name the folder that holds the recordings; nothing is downloaded")
        if self.file is None:
            raise ContrasepError("recordings: expected a file that lists them: contrasep prepare-corpus FILE.py")
        out, options = Path(request.out), self.options
        prefix = options.prefix or prefix_of(self.file)
        listed, errors = name_all(list_recordings(self.file, request.corpus), prefix)
        errors += least_errors(self.file, listed)
        # what the list alone shows comes before minutes of reading
        raise_all(out / ERRORS, errors)
        claim_folder(out, {"corpus": prefix, "rate": options.rate})
        work = [
            (os.fspath(one.recording.path), str(out / "wav" / one.speaker / f"{one.utt_id}.wav"), options.rate,
             one.recording.text)
            for one in listed
        ]
        results = in_processes(read_recording_of, work, request.jobs, f"reading {request.corpus}")
        faulty = [heard.error for heard, _ in results if heard.error]
        if faulty and options.leave_out:
            print(f"{request.corpus}: {counted(faulty, 'recordings cannot be used and are left out')}", file=sys.stderr)
        elif faulty:
            raise_all(out / ERRORS, faulty, "--set corpus.recordings.leave_out=true leaves such recordings out")
        made = {
            one: _utterance(one, heard, text) for one, (heard, text) in zip(listed, results) if not heard.error
        }
        sets = split_listed(self.file, list(made), options)
        for name, members in sets.items():
            write_single_set(out / name, [made[one] for one in members])
        print(*summary({name: [made[one] for one in members] for name, members in sets.items()}), sep="\n")
        return {name: len(members) for name, members in sets.items()}


def _utterance(one: Listed, heard: Heard, text: str | None) -> Utterance:
    language = one.recording.language
    return Utterance(one.utt_id, one.speaker, heard.path, text, one.gender, heard.samples, heard.rate, language)
