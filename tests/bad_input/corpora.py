"""Copies of corpora."""

import json
from pathlib import Path

from contrasep_lib.corpus.audiomnist import check_layout
from contrasep_lib.corpus.commonvoice_table import list_languages, read_clips
from contrasep_lib.corpus.options import AudiomnistOptions
from contrasep_lib.corpus.wsj0_lists import read_lists
from contrasep_lib.corpus.wsj0_tree import file_key
from contrasep_lib.errors import ContrasepError
from tests.bad_input.kinds import kind, put

FAMILY = "Corpora"
TABLE = "cv/xx/validated.tsv"
HEADER = "client_id\tpath\tsentence\n"


def prepare(name, *words):
    put("corpus/README", "empty\n")
    return "prepare-corpus", name, "--config", "c.yaml", "--corpus", "corpus", "--out", "sources/new", *words


def clips(content):
    """Read a table of Common Voice."""
    put(TABLE, content)
    return lambda: read_clips("cv/xx")


def raised(errors):
    """The errors that a reader lists, as one."""
    if errors:
        raise ContrasepError("; ".join(errors))


@kind(FAMILY, "Common Voice: no languages", "corpus", "no LANG/validated.tsv in it")
def no_languages(folder):
    Path("corpus").mkdir()
    return lambda: list_languages("corpus")


@kind(FAMILY, "Common Voice: another header", f"{TABLE}:1", "no column 'client_id'")
def header(folder):
    return clips("a\tb\n")


@kind(FAMILY, "Common Voice: another number of fields", f"{TABLE}:2", "expected 3 fields between tabs, got 2")
def fields(folder):
    return clips(f"{HEADER}a\tb.mp3\n")


@kind(FAMILY, "Common Voice: a clip that leads out of the folder", f"{TABLE}:2", "is not the name of a file in clips/")
def leads_out(folder):
    return clips(f"{HEADER}a\t../../ESCAPED.mp3\tWords\n")


@kind(FAMILY, "Common Voice: a clip twice", f"{TABLE}:3", "clip 'b.mp3' stands in line 2 too")
def clip_twice(folder):
    return clips(f"{HEADER}a\tb.mp3\tWords\na\tb.mp3\tWords\n")


@kind(FAMILY, "Common Voice: a clip without a speaker", f"{TABLE}:2", "no client_id")
def no_speaker(folder):
    return clips(f"{HEADER} \tb.mp3\tWords\n")


@kind(FAMILY, "LibriSpeech: another folder", "corpus", "in it; ")
def no_librispeech(folder):
    return prepare("librispeech")


@kind(FAMILY, "WSJ0-mix: a source that leads out of the corpus", "'wsj0/../ESCAPED.wav'", "no file of WSJ0")
def wsj0_source(folder):
    return lambda: file_key("wsj0/../ESCAPED.wav")


@kind(FAMILY, "AudioMNIST: another folder", "corpus", "no AudioMNIST in it")
def no_audiomnist(folder):
    return prepare("audiomnist")


def meta(content):
    """Check an AudioMNIST of no speakers by this meta file."""
    put("data/audioMNIST_meta.txt", content)
    Path("data/tt").rename("tt")
    Path("data/tt_2mix").rename("tt_2mix")
    return lambda: raised(check_layout(Path("data"), AudiomnistOptions())[1][:1])


@kind(FAMILY, "AudioMNIST: a meta file that is not JSON", "data/audioMNIST_meta.txt", "not JSON")
def meta_no_json(folder):
    return meta("{")


@kind(FAMILY, "AudioMNIST: a meta file of no mapping", "data/audioMNIST_meta.txt", "no speakers in it")
def meta_list(folder):
    return meta("[]")


@kind(FAMILY, "AudioMNIST: a speaker of unknown gender", "data/audioMNIST_meta.txt", "expected 'male' or 'female'")
def meta_gender(folder):
    return meta(json.dumps({"01": {"gender": [1]}}))


@kind(
    FAMILY, "WSJ0-mix: a list that is not there", "lists/mix_2_spk_tr.txt",
    "no such list; --mix-lists names the folder",
)
def no_list(folder):
    return lambda: raised(read_lists("lists", 2)[1][:1])


@kind(FAMILY, "an option that the corpus has no use for", "--mix-lists", "the corpus 'audiomnist' has no use for it")
def useless_option(folder):
    return prepare("audiomnist", "--mix-lists", "lists")


@kind(FAMILY, "a corpus that is not known", "corpus", "unknown corpus 'timit'")
def unknown_corpus(folder):
    return prepare("timit")
