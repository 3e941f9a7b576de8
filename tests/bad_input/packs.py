"""Packs of speech."""

import json
import zipfile

import numpy as np

from contrasep_lib.corpus.packing import encode, pack, read_spoken
from contrasep_lib.corpus.unpacking import unpack
from tests.bad_input.kinds import edit, kind, noise, put

FAMILY = "Packs"
PACK = "p.zip"
SAMPLES = 2400
ROW = {"set": "tr", "utt": "a-1", "speaker": "a", "gender": "f", "samples": SAMPLES}
HEAD = {"format": "contrasep pack", "version": 1, "rate": 8000, "kbits": 16}


def coded(samples=SAMPLES):
    return encode(noise(np.random.default_rng(2), samples))


def unpacked():
    return unpack(PACK, "unpacked")


def packed(index, entries=None, how=zipfile.ZIP_STORED):
    """Unpack a pack of this index, text or values."""
    with zipfile.ZipFile(PACK, "w", how) as file:
        file.writestr("index.json", index if isinstance(index, (str, bytes)) else json.dumps(index))
        for name, content in ({"tr/a-1.ogg": coded()} if entries is None else entries).items():
            file.writestr(name, content)
    return unpacked


def row(**changed):
    return packed({**HEAD, "utterances": [{**ROW, **changed}]})


@kind(FAMILY, "no such file", PACK, "no such file")
def missing(folder):
    return unpacked


@kind(FAMILY, "another file", PACK, "no pack, or a damaged one")
def foreign(folder):
    put(PACK, "no pack")
    return unpacked


@kind(
    FAMILY, "compressed entries, which may expand to any size", PACK,
    "expected stored entries, got 'index.json' compressed",
)
def compressed(folder):
    return packed(b" " * 2**24 + b"{}", how=zipfile.ZIP_DEFLATED)


@kind(FAMILY, "another version", PACK, "not a pack of version 1")
def version(folder):
    return packed({**HEAD, "version": 9, "utterances": [ROW]})


@kind(FAMILY, "another rate", PACK, "index: rate: expected 8000, got 0")
def rate(folder):
    return packed({**HEAD, "rate": 0, "utterances": [ROW]})


@kind(FAMILY, "a rate of bits that is none", PACK, "index: kbits: expected from 6 to 256, got NaN")
def kbits(folder):
    return packed({**HEAD, "kbits": float("nan"), "utterances": [ROW]})


@kind(FAMILY, "no utterances", PACK, "index: utterances: expected a list with entries, got null")
def no_utterances(folder):
    return packed(HEAD)


@kind(FAMILY, "an utterance without its keys", PACK, 'index: utterance 1: expected the keys set, utt, speaker')
def no_keys(folder):
    return packed({**HEAD, "utterances": [{"set": "tr"}]})


@kind(FAMILY, "a set that leads out of the folder", PACK, "expected an id of letters")
def leads_out(folder):
    return row(set="../../ESCAPED")


@kind(FAMILY, "an unknown gender", PACK, 'index: utterance 1: gender: expected m, f or null, got "m\\nx y"')
def gender(folder):
    return row(gender="m\nx y")


@kind(FAMILY, "samples that are no number", PACK, "index: utterance 1: samples: expected a positive whole number")
def samples(folder):
    return row(samples="many")


@kind(FAMILY, "an utterance twice", PACK, "index: 'a-1' of 'tr' stands twice")
def twice(folder):
    return packed({**HEAD, "utterances": [ROW, ROW]})


@kind(FAMILY, "hours of audio in a few bytes", PACK, "1250000 s of audio in")
def hours(folder):
    return row(samples=10**10)


@kind(FAMILY, "an utterance that is not in it", PACK, "'a-1': in the index and not in the pack")
def no_entry(folder):
    return packed({**HEAD, "utterances": [ROW]}, {"tr/b-1.ogg": coded()})


@kind(FAMILY, "an utterance that is no audio", PACK, "'a-1': damaged")
def no_audio(folder):
    return packed({**HEAD, "utterances": [ROW]}, {"tr/a-1.ogg": b"OggS" + b"x" * 500})


@kind(FAMILY, "more audio than the index says", PACK, "'a-1': expected 2400 samples by the index, got more than 2400")
def longer(folder):
    return packed({**HEAD, "utterances": [ROW]}, {"tr/a-1.ogg": coded(24000)})


@kind(FAMILY, "a set of mixtures to pack", "dump/tt_2mix", "a set of mixtures; name one of single speakers")
def mixtures(folder):
    return lambda: read_spoken("dump/tt_2mix", "tt")


@kind(FAMILY, "a size in which nothing fits", "--size 3000", "no utterance of 'tt' fits")
def small(folder):
    return lambda: pack({"tt": read_spoken("dump/tt", "tt")}, PACK, 3000)


@kind(
    FAMILY, "a duration that is no number (packing)", "dump/tt/utt2dur",
    "'a-1': expected a positive number of seconds, got 'nan'",
)
def duration(folder):
    edit("dump/tt/utt2dur", lambda lines: ["a-1 nan\n", *lines[1:]])
    return lambda: read_spoken("dump/tt", "tt")
