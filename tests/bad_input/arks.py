"""Dumps: their tables and arks."""

import io
import os
import pickle
import struct
from pathlib import Path

import kaldiio
import numpy as np
import soundfile

from contrasep_lib.io.dumpset import DumpSet
from contrasep_lib.io.scp import read_table
from tests.bad_input.kinds import edit, first, kind, put

FAMILY = "Dumps and arks"
SET = "dump/tt_2mix"
SEPARATE = ("separate-set", "--config", "c.yaml", "--dump", SET, "--out", "out")
ARK = f"{SET}/x.ark"


class Attack:
    """Unpickled, it makes a file."""

    def __reduce__(self):
        return os.system, ("touch ESCAPED",)


def entry(value, table="wav.scp"):
    """Another entry of the first key of a table."""
    edit(f"{SET}/{table}", lambda lines: [f"{lines[0].split()[0]} {value}\n", *lines[1:]])
    return SEPARATE


def content(data):
    """Another content of the first mixture."""
    put(ARK, b"k " + data)
    return entry(f"{ARK}:2")


def saved(value, **how):
    """Another value of the first mixture, as kaldiio writes it."""
    kaldiio.save_ark(ARK, {"k": value}, **how)
    return entry(f"{ARK}:2")


@kind(FAMILY, "a command in wav.scp", f"{SET}/wav.scp", "commands in tables are never run")
def command(folder):
    return entry("touch ESCAPED; cat /dev/null |")


@kind(FAMILY, "a range behind an entry", f"{SET}/wav.scp", "ranges are not read")
def part_of_matrix(folder):
    return entry(f"{SET}/wav.1.ark:5[0:9]")


@kind(FAMILY, "a pickled object", ARK, "PKL: a pickled object, which could run anything")
def pickled(folder):
    return content(b"PKL" + pickle.dumps(Attack()))


@kind(FAMILY, "an array of NumPy", ARK, "NPY: an array of NumPy")
def numpy_array(folder):
    return content(b"NPY\x01\x00")


@kind(FAMILY, "a matrix as text", ARK, "a matrix as text")
def matrix_as_text(folder):
    return content(b" [\n 1 2 ]\n")


@kind(FAMILY, "an unknown kind of matrix", ARK, "expected one of FM, FV")
def unknown_matrix(folder):
    return content(b"\0BXM \4")


@kind(FAMILY, "what is neither audio nor a matrix", ARK, "expected wav, flac or a matrix of Kaldi")
def nonsense(folder):
    return content(b"nonsense")


@kind(FAMILY, "a header that announces more than the file holds", ARK, "more bytes, the file has")
def large_header(folder):
    return content(b"\0BFM \4" + struct.pack("<i", 2**31 - 1) + b"\4" + struct.pack("<i", 2**31 - 1))


@kind(FAMILY, "a matrix in place of audio", ARK, "no mono audio")
def matrix(folder):
    return saved(np.ones((3, 4), np.float32))


@kind(FAMILY, "audio of another coding", ARK, "expected a wav of PCM with 8 or 16 bits, got format 1 with 24 bits")
def other_coding(folder):
    file = io.BytesIO()
    soundfile.write(file, np.full(2400, 0.1), 8000, format="WAV", subtype="PCM_24")
    return content(file.getvalue())


@kind(FAMILY, "audio without samples", ARK, "is empty")
def no_samples(folder):
    return saved((8000, np.zeros(0, np.int16)))


@kind(FAMILY, "not a number in an ark", ARK, "NaN or infinite samples")
def not_a_number(folder):
    how = {"subtype": "FLOAT", "format": "WAV"}
    return saved((8000, np.full(2400, np.nan)), write_function="soundfile", write_kwargs=how)


@kind(FAMILY, "a rate of 1 Hz in an ark", ARK, "got 1 Hz")
def one_hertz(folder):
    return saved((1, np.ones(2400, np.int16)))


@kind(FAMILY, "an ark that is not there", "none.ark", "not there; run the stage that makes it again")
def no_ark(folder):
    return entry("none.ark:5")


@kind(FAMILY, "an offset beyond the end", f"{SET}/wav.1.ark", "offset 99999999 lies beyond the end")
def far_offset(folder):
    return entry(f"{SET}/wav.1.ark:99999999")


@kind(FAMILY, "a truncated ark", f"{SET}/wav.2.ark", "truncated, fewer bytes than its header says")
def truncated(folder):
    os.truncate(f"{SET}/wav.2.ark", os.path.getsize(f"{SET}/wav.2.ark") - 1000)
    return SEPARATE


@kind(
    FAMILY, "another length than utt2num_samples says", f"{SET}/wav.scp",
    "expected 2400 samples by utt2num_samples, got 99",
)
def other_length(folder):
    return saved((8000, np.ones(99, np.int16)))


@kind(FAMILY, "a folder in place of an ark", "a.ark", "is no regular file")
def folder_for_ark(folder):
    Path("a.ark").mkdir()
    return entry("./a.ark")


@kind(FAMILY, "utterances of several rates", f"{SET}/wav.scp", "got 16000 Hz")
def several_rates(folder):
    key = list(read_table(f"{SET}/wav.scp"))[1]
    kaldiio.save_ark(ARK, {"k": (16000, np.ones(2400, np.int16))})
    edit(f"{SET}/wav.scp", lambda lines: [lines[0], f"{key} {ARK}:2\n", *lines[2:]])
    return SEPARATE


@kind(FAMILY, "another rate than the configuration's", SET, "8000 Hz, mix.rate is 16000 Hz")
def other_rate(folder):
    return *SEPARATE, "--set", "mix.rate=16000"


@kind(FAMILY, "sources of different lengths", SET, "differ in length")
def other_sources(folder):
    for table in ("utt2num_samples", "utt2checksum"):
        Path(f"{SET}/{table}").unlink()
    kaldiio.save_ark(ARK, {"k": (8000, np.ones(99, np.int16))})
    return entry(f"{ARK}:2", "spk1.scp")


@kind(FAMILY, "a set without tables", f"{SET}/wav.scp", "run stage 2 for this set first")
def no_table(folder):
    Path(f"{SET}/wav.scp").unlink()
    return SEPARATE


@kind(FAMILY, "a source of a mixture that is not there", f"{SET}/spk2.scp", "make the folder again")
def no_source(folder):
    edit(f"{SET}/spk2.scp", lambda lines: lines[1:])
    return SEPARATE


@kind(FAMILY, "a set whose name cannot name its results", "dump/a b", "expected a folder whose name is of letters")
def name_of_set(folder):
    Path(SET).rename("dump/a b")
    return "separate-set", "--config", "c.yaml", "--dump", "dump/a b", "--out", "out"


@kind(FAMILY, "damaged statistics of a shard", "dump/tt/stats.1.ark", "cannot be read")
def statistics(folder):
    os.truncate("dump/tt/stats.1.ark", 30)
    return "dump", "--config", "c.yaml", "--data", "data/tt", "--out", "dump/tt", "--merge"


@kind(FAMILY, "a shard that is not there", "dump/tt", "shard 2 of 4 is missing")
def no_shard(folder):
    Path("dump/tt/utt2num_samples.2").unlink()
    return "dump", "--config", "c.yaml", "--data", "data/tt", "--out", "dump/tt", "--merge"


@kind(FAMILY, "another number of speakers than of sources", f"{SET}/utt2spks", "expected 2 speakers, got 1")
def speakers_of_dump(folder):
    edit(f"{SET}/utt2spks", lambda lines: [f"{lines[0].split()[0]} a\n", *lines[1:]])
    return lambda: DumpSet(SET).speakers


@kind(FAMILY, "a length that is no number", f"{SET}/wav.scp", "expected many samples by utt2num_samples")
def length_in_words(folder):
    first(f"{SET}/utt2num_samples", " 2400\n", " many\n")
    return SEPARATE
