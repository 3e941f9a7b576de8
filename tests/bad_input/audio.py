"""Audio files, by validation, mixing, dumping and separation."""

import os
from pathlib import Path

import numpy as np
import soundfile

from contrasep_lib.io.decode import decode_audio
from contrasep_lib.io.scp import read_table
from contrasep_lib.io.sphere import read_sphere, write_sphere
from tests.bad_input.kinds import RATE, edit, first, kind, noise, put

FAMILY = "Audio"
FILE = "audio/a-1.wav"
VALIDATE = ("validate-data", "data/tt")
SPHERE = "a.sph"


def write(samples, rate=RATE, path=FILE, subtype="PCM_16"):
    """Write another file in place of a good one."""
    soundfile.write(path, samples, rate, subtype=subtype)
    return VALIDATE


def drawn(samples=2400):
    return noise(np.random.default_rng(1), samples)


@kind(FAMILY, "no such file", FILE, "no such audio file")
def missing(folder):
    Path(FILE).unlink()
    return VALIDATE


@kind(FAMILY, "no regular file", "/dev/zero", "no regular file")
def device(folder):
    first("data/tt/wav.scp", FILE, "/dev/zero")
    return VALIDATE


@kind(FAMILY, "text in place of audio", FILE, "cannot be read as audio")
def text(folder):
    put(FILE, "no audio\n" * 100)
    return VALIDATE


@kind(FAMILY, "a header without samples", FILE, "no samples in it")
def no_samples(folder):
    return write(np.zeros(0))


@kind(FAMILY, "two channels", FILE, "expected mono, got 2 channels")
def stereo(folder):
    return write(drawn(4800).reshape(-1, 2))


@kind(FAMILY, "truncated", FILE, "truncated")
def truncated(folder):
    put(FILE, Path(FILE).read_bytes()[:-1000])
    return VALIDATE


@kind(FAMILY, "not a number among the samples", FILE, "NaN or infinite samples")
def not_a_number(folder):
    samples = drawn()
    samples[7] = np.nan
    return write(samples, subtype="FLOAT")


@kind(FAMILY, "floats beyond full scale", FILE, "expected samples in [-1, 1], got 3.2")
def beyond_full_scale(folder):
    return write(drawn() / np.abs(drawn()).max() * 3.2, subtype="FLOAT")


@kind(FAMILY, "a rate of 1 Hz", FILE, "got 1 Hz")
def one_hertz(folder):
    return write(drawn(), rate=1)


@kind(FAMILY, "silence in place of speech", FILE, "all zero; leave it out")
def silence(folder):
    return write(np.zeros(2400))


@kind(FAMILY, "another duration than utt2dur says", "a-1: 0.5 s long", "utt2dur says 0.3")
def other_duration(folder):
    return write(drawn(4000))


def source():
    """File of the first source of the first mixture."""
    return next(iter(read_table("data/tt_2mix/spk1.scp").values()))


@kind(FAMILY, "a source of another length than its mixture", "source 1 has 2399 samples", "the mixture 2400")
def other_length(folder):
    samples, rate = soundfile.read(source(), dtype="int16")
    soundfile.write(source(), samples[:-1], rate)
    return "validate-data", "data/tt_2mix"


@kind(FAMILY, "sources that do not add up", "the sources do not add up to the mixture", "steps of 16 bits")
def other_sum(folder):
    samples, rate = soundfile.read(source(), dtype="int16")
    soundfile.write(source(), samples // 2, rate)
    return "validate-data", "data/tt_2mix"


@kind(FAMILY, "a source of another rate than its mixture", "s1/", "expected 8000 Hz, got 16000 Hz")
def other_rate(folder):
    samples, _ = soundfile.read(source(), dtype="int16")
    soundfile.write(source(), samples, 16000)
    return "validate-data", "data/tt_2mix"


@kind(FAMILY, "mixtures of several rates", "data/tt_2mix", "several sampling rates (8000 Hz, 16000 Hz)")
def several_rates(folder):
    names = ("wav.scp", "spk1.scp", "spk2.scp")
    key = next(iter(read_table("data/tt_2mix/wav.scp")))
    for name in names:
        path = read_table(f"data/tt_2mix/{name}")[key]
        soundfile.write(path, soundfile.read(path, dtype="int16")[0], 16000)
    edit("data/tt_2mix/utt2dur", lambda lines: [f"{key} 0.15\n", *lines[1:]])
    return "validate-data", "data/tt_2mix"


@kind(FAMILY, "a mixture to dump that is silent", "tree/tt/mix", "all zero; leave")
def silent_mixture(folder):
    key, path = next(iter(read_table("data/tt_2mix/wav.scp").items()))
    soundfile.write(path, np.zeros(2400), RATE)
    return "dump", "--config", "c.yaml", "--data", "data/tt_2mix", "--out", "dump/new"


@kind(FAMILY, "a silent source to mix", "audio/", "all-zero source")
def silent_source(folder):
    for path in Path("audio").iterdir():
        soundfile.write(path, np.zeros(2400), RATE)
    return "mix", "--config", "c.yaml", "--list", "lists/tt.txt", "--sources", "sources/tt", "--out", "tree/new"


@kind(FAMILY, "a source that is silent where the others speak", "source", "all zero within")
def silent_overlap(folder):
    samples = drawn()
    for path in Path("audio").iterdir():
        soundfile.write(path, np.concatenate([np.zeros(2400), samples]) if path.name < "c" else samples, RATE)
    put("lists/new.txt", "a-1 0 c-1 0\n")
    return "mix", "--config", "c.yaml", "--list", "lists/new.txt", "--sources", "sources/tt", "--out", "tree/new"


@kind(FAMILY, "a playlist in place of a recording (PyAV)", "list.mp3", "cannot be decoded")
def playlist(folder):
    put("list.mp3", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n")
    return lambda: decode_audio("list.mp3")


@kind(FAMILY, "an empty recording (PyAV)", "a.mp3", "empty file")
def empty_recording(folder):
    put("a.mp3", "")
    return lambda: decode_audio("a.mp3")


def sphere(old="", new="", cut=None):
    """Read a SPHERE file in whose header one text stands for another."""
    write_sphere(SPHERE, (drawn() * 2**15).astype(np.int16), 16000)
    if old:
        first(SPHERE, old, new)
    os.truncate(SPHERE, cut or os.path.getsize(SPHERE))
    return lambda: read_sphere(SPHERE)


@kind(FAMILY, "SPHERE: another file", SPHERE, "does not begin with NIST_1A")
def sphere_foreign(folder):
    return sphere("NIST_1A", "RIFF_1A")


@kind(FAMILY, "SPHERE: the header is cut", SPHERE, "truncated within its header")
def sphere_header(folder):
    return sphere(cut=100)


@kind(FAMILY, "SPHERE: a count that is no number", SPHERE, "damaged header")
def sphere_count(folder):
    return sphere("sample_count -i 2400", "sample_count -i many")


@kind(FAMILY, "SPHERE: a rate of 1 Hz", SPHERE, "expected a rate from 1000 to 768000 Hz, got 1 Hz")
def sphere_rate(folder):
    return sphere("sample_rate -i 16000", "sample_rate -i 1")


@kind(FAMILY, "SPHERE: samples of another size", SPHERE, "expected 16-bit pcm or shorten, got 8-bit samples")
def sphere_bits(folder):
    return sphere("sample_n_bytes -i 2", "sample_n_bytes -i 1")


@kind(FAMILY, "SPHERE: more samples announced than there are", SPHERE, "of the 999999999 samples")
def sphere_samples(folder):
    return sphere("sample_count -i 2400", "sample_count -i 999999999")
