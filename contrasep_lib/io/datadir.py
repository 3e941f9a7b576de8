"""Kaldi-style data directories: making and checking them.

Of mixtures: ``wav.scp spk1.scp .. spkN.scp utt2spk utt2spks spk2utt utt2dur`` and, with transcripts,
``text_spk1 .. text_spkN``, with noise ``noise.scp``, a source that is no talker; an utterance id is
``SPK1_SPK2_NAME`` and its speaker ``SPK1_SPK2``, so that the speaker is a prefix of the id, as Kaldi wants; of many
talkers both are shortened by a hash. ``utt2spks`` has the speakers apart, ``SPK1 SPK2``, in the order of the sources,
as their ids may hold ``_`` too. Of single speakers: ``wav.scp utt2spk spk2utt utt2dur`` and, where known, ``text`` and
``spk2gender``.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.dumpset import NOISE, UTT2SPKS, source_tables
from contrasep_lib.io.ids import mixture_id, mixture_speaker, shown
from contrasep_lib.io.scp import invert_utt2spk, read_table, write_table

COPIED = ("wav.scp", "utt2spk", UTT2SPKS, "spk2utt", "utt2dur", "text", "spk2gender", "utt2lang")


def audio_length(path: str | os.PathLike) -> tuple[int, int]:
    """Samples and rate (Hz) by a file's header.

    Raises:
        ContrasepError: missing or unreadable file.
    """
    import soundfile

    try:
        info = soundfile.info(str(path))
    except (soundfile.LibsndfileError, RuntimeError):
        raise ContrasepError(f"{path}: missing or cannot be read as audio; run stage 0 again") from None
    return info.frames, info.samplerate


def format_seconds(samples: int, rate: int) -> str:
    """Duration as ``utt2dur`` has it."""
    return f"{samples / rate:.6g}"


def is_duration(text: str) -> bool:
    """Whether a text is a positive, finite number."""
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


def read_durations(path: str | os.PathLike) -> dict[str, float]:
    """Read ``utt2dur``: utterance id -> seconds.

    Raises:
        ContrasepError: see `contrasep_lib.io.scp.read_table`; also for a duration that is no positive number.
    """
    table = read_table(path)
    bad = next((utt for utt, text in table.items() if not is_duration(text)), None)
    if bad is not None:
        raise ContrasepError(f"{path}: '{bad}': expected a positive number of seconds, got '{shown(table[bad])}'")
    return {utt: float(text) for utt, text in table.items()}


def write_mixture_dir(
    folder: str | os.PathLike,
    files: Mapping[str, Sequence[Path]],
    speakers: Mapping[str, Sequence[str]],
    texts: Mapping[str, Sequence[str]] | None = None,
    noise: Mapping[str, str | os.PathLike[str]] | None = None,
    lengths: Mapping[str, tuple[int, int]] | None = None,
) -> None:
    """Make a data directory of mixtures.

    Args:
        folder: made if needed; files of another count of speakers are removed.
        files: mixture name -> audio files, the mixture's own first, then one per source.
        speakers: mixture name -> speaker of each source.
        texts: mixture name -> transcript of each source.
        noise: mixture name -> audio file of what the mixture has beside its sources.
        lengths: mixture name -> samples and rate (Hz); None reads them from the files.

    Raises:
        ContrasepError: an audio file is missing or unreadable.
    """
    folder = Path(folder)
    num_spk = len(next(iter(speakers.values())))
    ids = {name: mixture_id(speakers[name], name) for name in files}
    utt2spk = {ids[name]: mixture_speaker(speakers[name]) for name in files}
    for stale in (*folder.glob("spk*.scp"), *folder.glob("text_spk*"), *folder.glob(NOISE)):
        stale.unlink()
    write_table(folder / "wav.scp", {ids[name]: str(paths[0]) for name, paths in files.items()})
    for number in range(num_spk):
        scp = {ids[name]: str(paths[number + 1]) for name, paths in files.items()}
        write_table(folder / f"spk{number + 1}.scp", scp)
        if texts:
            write_table(folder / f"text_spk{number + 1}", {ids[name]: texts[name][number] for name in files})
    if noise:
        write_table(folder / NOISE, {ids[name]: str(path) for name, path in noise.items()})
    write_table(folder / "utt2spk", utt2spk)
    write_table(folder / UTT2SPKS, {ids[name]: " ".join(speakers[name]) for name in files})
    write_table(folder / "spk2utt", invert_utt2spk(utt2spk))
    lengths = lengths or {name: audio_length(paths[0]) for name, paths in files.items()}
    write_table(folder / "utt2dur", {ids[name]: format_seconds(*lengths[name]) for name in files})


def copy_data_dir(source: str | os.PathLike, folder: str | os.PathLike) -> None:
    """Copy the tables of a data directory, of single speakers or of mixtures; those of another count are removed.

    Raises:
        ContrasepError: ``source`` has no ``wav.scp``.
    """
    read_table(Path(source) / "wav.scp")
    Path(folder).mkdir(parents=True, exist_ok=True)
    tables = [path.name for path in (*source_tables(source), *sorted(Path(source).glob("text_spk*")))]
    for stale in (*source_tables(folder), *Path(folder).glob("text_spk*")):
        if stale.name not in tables:
            stale.unlink()
    for name in (*COPIED, *tables):
        if (Path(source) / name).is_file():
            shutil.copyfile(Path(source) / name, Path(folder) / name)
