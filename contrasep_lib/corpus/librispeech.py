"""Mini LibriSpeech (OpenSLR SLR31, CC BY 4.0): download or local copy, and the split by speaker.

``tt`` has all utterances of the test speakers in train-clean-5, ``dev`` those of the development
speakers of the split file, ``tr`` and ``cv`` those of the other speakers; ``tt_dev`` has
dev-clean-2 where it is there, whose speakers are its own. With ``extra_train`` the utterances that
train-clean-100 holds are added to ``tr`` (to ``dev``, of development speakers), except those of
test speakers and those that train-clean-5 has too (it is a part of train-clean-100, so they
may be in ``cv``). 8 and 16 kHz, FLAC and wav are read; the mixer resamples.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from contrasep_lib.corpus.base import Corpus, Request
from contrasep_lib.corpus.download import download, unpack_part
from contrasep_lib.corpus.options import LibrispeechOptions
from contrasep_lib.corpus.single import Utterance, normalise_text, write_single_set
from contrasep_lib.corpus.splits import find_split, read_split, speakers_of
from contrasep_lib.errors import ContrasepError

TRAIN, DEV, EXTRA = "train-clean-5", "dev-clean-2", "train-clean-100"
# resource number of OpenSLR and the MD5 sums of the publisher's md5sum.txt
ARCHIVES = {
    TRAIN: (31, "5df7d4e78065366204ca6845bb08f490"),
    DEV: (31, "6d7ab67ac6a1d2c993d050e16d61080d"),
    EXTRA: (12, "2a93770f6d5c6c964bc36631d331a522"),
}
SERVERS = ("https://www.openslr.org/resources", "https://openslr.trmal.net/resources")
TOP = "LibriSpeech"
ERRORS_NAMED = 20


def fetch(folder: str | os.PathLike, extra_train: bool = False, servers: Sequence[str] = SERVERS) -> Path:
    """Download and unpack Mini LibriSpeech; parts that are there already are kept.

    Args:
        folder: receives ``LibriSpeech/``; archives are removed once unpacked.
        extra_train: fetch train-clean-100 too (6.3 GB).
        servers: addresses of OpenSLR's ``resources``.

    Returns:
        ``folder/LibriSpeech``, as `prepare` takes it.

    Raises:
        ContrasepError: see `download` and `unpack_part`.
    """
    folder = Path(folder)
    for part in (TRAIN, DEV, EXTRA) if extra_train else (TRAIN, DEV):
        if (folder / TOP / part).is_dir():
            continue
        resource, md5 = ARCHIVES[part]
        name = f"{part}.tar.gz"
        archive = download([f"{server}/{resource}/{name}" for server in servers], folder / name, md5)
        unpack_part(archive, folder, part)
        archive.unlink()
    return folder / TOP


def prepare(
    corpus: str | os.PathLike,
    folder: str | os.PathLike,
    options: LibrispeechOptions,
    extra_train: bool = False,
    jobs: int = 1,
) -> dict[str, int]:
    """Write the single-speaker sets ``tr``, ``cv``, ``tt``; where they have speakers, ``dev`` and ``tt_dev``.

    Args:
        corpus: folder that holds ``train-clean-5/`` and, optionally, ``dev-clean-2/``,
            ``train-clean-100/`` and ``SPEAKERS.TXT`` (genders).
        folder: sources folder; paths in ``wav.scp`` begin with ``corpus`` as given.
        options: the split.
        extra_train: add train-clean-100 to ``tr`` and ``dev``.
        jobs: threads that read headers.

    Returns:
        set -> number of utterances.

    Raises:
        ContrasepError: corpus or part missing, unreadable or empty files (all named), no or a
            faulty split file, unknown test speakers, no speaker left to train on.
    """
    corpus = Path(corpus)
    if not (corpus / TRAIN).is_dir():
        nested = corpus / TOP
        fix = f"give {nested}" if (nested / TRAIN).is_dir() else f"give the folder that holds {TRAIN}"
        raise ContrasepError(f"{corpus}: no {TRAIN} in it; {fix}, or leave --corpus out to download it")
    genders = read_genders(corpus / "SPEAKERS.TXT")
    parts = {TRAIN: read_part(corpus / TRAIN, genders, jobs)}
    if (corpus / DEV).is_dir():
        parts[DEV] = read_part(corpus / DEV, genders, jobs)
    if extra_train:
        if not (corpus / EXTRA).is_dir():
            raise ContrasepError(
                f"{corpus}: no {EXTRA} in it, which --extra-train wants; add it or leave that out"
            )
        parts[EXTRA] = read_part(corpus / EXTRA, genders, jobs)

    test, dev = _held_out(options, {utterance.speaker for utterance in parts[TRAIN]}, corpus / TRAIN)
    sets = _split(parts, test, dev, options.valid_fraction)
    if DEV in parts:
        training = {utterance.speaker for utterance in sets["tr"]}
        shared = sorted({utterance.speaker for utterance in parts[DEV]} & training)
        if shared:
            raise ContrasepError(
                f"{corpus / DEV}: speakers {', '.join(shared)} are in training too; fix the copy"
            )
        sets["tt_dev"] = parts[DEV]
    for name in ("dev", "tt_dev"):
        if not sets.get(name):
            # one of an earlier run would be taken for this corpus's
            sets.pop(name, None)
            shutil.rmtree(Path(folder) / name, ignore_errors=True)
    for name, utterances in sets.items():
        write_single_set(Path(folder) / name, utterances)
        untold = sum(utterance.text is None for utterance in utterances)
        if untold:
            print(f"{folder}/{name}: no file 'text', {untold} utterances have no transcript", file=sys.stderr)
    return {name: len(utterances) for name, utterances in sets.items()}


def _held_out(options: LibrispeechOptions, speakers: set[str], where: Path) -> tuple[set[str], set[str]]:
    """Test and development speakers, checked against the speakers of train-clean-5."""
    held = read_split(find_split(options.split)) if options.split is not None else []
    if options.test_speakers is not None:
        test, source = set(options.test_speakers), "corpus.librispeech.test_speakers"
    else:
        test, source = set(speakers_of(held, "test")), f"corpus.librispeech.split ({options.split})"
    dev = set(speakers_of(held, "dev")) - test
    unknown = sorted(test - speakers)
    if unknown:
        raise ContrasepError(f"{source}: {', '.join(unknown)} not in {where}")
    if not speakers - test - dev:
        raise ContrasepError(f"{source}: no speaker of {where} is left to train on")
    return test, dev


def _split(
    parts: dict[str, list[Utterance]], test: set[str], dev: set[str], valid_fraction: float
) -> dict[str, list[Utterance]]:
    """The sets ``tr``, ``cv``, ``tt`` and ``dev`` of train-clean-5 and, if read, train-clean-100."""
    sets: dict[str, list[Utterance]] = {"tr": [], "cv": [], "tt": [], "dev": []}
    by_speaker: dict[str, list[Utterance]] = {}
    for utterance in parts[TRAIN]:
        by_speaker.setdefault(utterance.speaker, []).append(utterance)
    for speaker, own in sorted(by_speaker.items()):
        if speaker in test or speaker in dev:
            sets["tt" if speaker in test else "dev"] += own
            continue
        valid = spread_choice(len(own), valid_fraction)
        sets["cv"] += [own[index] for index in valid]
        sets["tr"] += [utterance for index, utterance in enumerate(own) if index not in valid]
    known = {utterance.utt_id for utterance in parts[TRAIN]}
    for utterance in parts.get(EXTRA, ()):
        if utterance.speaker not in test and utterance.utt_id not in known:
            sets["dev" if utterance.speaker in dev else "tr"].append(utterance)
    return sets


def spread_choice(count: int, fraction: float) -> list[int]:
    """Indices of about ``fraction * count`` items, evenly spread; at least one, never all.

    Over utterances in order of their ids the choice takes of each chapter in proportion.
    """
    chosen = min(max(1, round(fraction * count)), count - 1)
    return [(2 * i + 1) * count // (2 * chosen) for i in range(chosen)]


def read_part(folder: Path, genders: dict[str, str], jobs: int = 1) -> list[Utterance]:
    """All utterances below ``folder/SPEAKER/CHAPTER/``, in order of their ids.

    Raises:
        ContrasepError: no audio, misplaced, unreadable or empty files; all are named at once.
    """
    files: list[tuple[str, str, Path]] = []
    texts: dict[str, str] = {}
    errors: list[str] = []
    for path in sorted(folder.glob("*/*/*")):
        if path.name.endswith(".trans.txt"):
            texts.update(_read_transcripts(path))
        elif path.suffix in (".flac", ".wav") and not path.name.startswith("."):
            name = re.fullmatch(r"(\w+)-(\w+)-\w+", path.stem)
            if name and name.groups() == (path.parts[-3], path.parts[-2]):
                files.append((path.stem, path.parts[-3], path))
            else:
                errors.append(f"{path} (name is not that of its folders)")
    if not files and not errors:
        raise ContrasepError(f"{folder}: no audio in it, expected SPEAKER/CHAPTER/*.flac; fetch it again")
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        headers = list(pool.map(_read_header, (path for *_, path in files)))
    utterances = []
    for (utt_id, speaker, path), (samples, rate, error) in zip(files, headers):
        if error:
            errors.append(f"{path} ({error})")
            continue
        gender = genders.get(speaker)
        utterances.append(
            Utterance(utt_id, speaker, os.fspath(path), texts.get(utt_id), gender, samples, rate)
        )
    if errors:
        more = f" and {len(errors) - ERRORS_NAMED} more" if len(errors) > ERRORS_NAMED else ""
        raise ContrasepError(
            f"{len(errors)} bad audio files, fetch them again: {', '.join(errors[:ERRORS_NAMED])}{more}"
        )
    return sorted(utterances, key=lambda utterance: utterance.utt_id)


def _read_header(path: Path) -> tuple[int, int, str]:
    """Samples, rate (Hz) and what is wrong with the file, if anything."""
    import soundfile

    try:
        header = soundfile.info(os.fspath(path))
    except (soundfile.LibsndfileError, RuntimeError):
        return 0, 0, "empty file" if path.stat().st_size == 0 else "unreadable"
    return header.frames, header.samplerate, "" if header.frames > 0 else "no samples"


def _read_transcripts(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = (line.partition(" ") for line in lines if line.strip())
    return {utt_id: normalise_text(text) for utt_id, _, text in pairs if text.strip()}


def read_genders(path: Path) -> dict[str, str]:
    """Speaker id -> ``m`` or ``f`` of LibriSpeech's ``SPEAKERS.TXT``; empty without that file."""
    if not path.is_file():
        return {}
    genders = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        fields = [field.strip() for field in line.split("|")]
        if not line.startswith(";") and len(fields) > 2 and fields[1] in ("M", "F"):
            genders[fields[0]] = fields[1].lower()
    return genders


class Librispeech(Corpus):
    """Mini LibriSpeech; see `fetch` and the function `prepare`."""

    takes = frozenset({"corpus", "extra_train"})

    def prepare(self, request: Request) -> dict[str, int]:
        """Write ``tr``, ``cv``, ``tt``, ``dev`` and, where dev-clean-2 is there, ``tt_dev``."""
        corpus = request.corpus or fetch(request.download_dir, request.extra_train)
        return prepare(corpus, request.out, self.options, request.extra_train, request.jobs)
