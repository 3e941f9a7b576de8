"""Tables of data directories."""

from pathlib import Path

from contrasep_lib.io.dumpset import DumpSet
from tests.bad_input.kinds import edit, first, kind, put

DATA = "data/tt"
VALIDATE = ("validate-data", "--no-audio", DATA)
MIXTURES = ("validate-data", "--no-audio", "data/tt_2mix")
DUMP = ("dump", "--config", "c.yaml", "--data", DATA, "--out", "dump/new")
FAMILY = "Data directories"


@kind(FAMILY, "no such folder", "nowhere", "run stage 1 first")
def no_folder(folder):
    return "validate-data", "nowhere"


@kind(FAMILY, "a table is not there", "data/tt/utt2dur", "no such file")
def no_table(folder):
    Path(f"{DATA}/utt2dur").unlink()
    return VALIDATE


@kind(FAMILY, "an empty table", "data/tt/wav.scp", "empty")
def empty_table(folder):
    put(f"{DATA}/wav.scp", "")
    return DUMP


@kind(FAMILY, "not UTF-8", "data/tt/text", "not UTF-8")
def latin_1(folder):
    put(f"{DATA}/text", "a-1 CAFÉ\n".encode("latin-1"))
    return VALIDATE


@kind(FAMILY, "a byte order mark", "data/tt/text", "BOM")
def byte_order_mark(folder):
    edit(f"{DATA}/text", lambda lines: ["\ufeff", *lines])
    return VALIDATE


@kind(FAMILY, "lines that end with CR LF", "data/tt/utt2spk:1", "CR LF")
def carriage_returns(folder):
    edit(f"{DATA}/utt2spk", lambda lines: [line.replace("\n", "\r\n") for line in lines])
    return VALIDATE


@kind(FAMILY, "a tab in place of the space", "data/tt/wav.scp:3", "tab")
def tabs(folder):
    edit(f"{DATA}/wav.scp", lambda lines: [*lines[:2], *(line.replace(" ", "\t") for line in lines[2:])])
    return VALIDATE


@kind(FAMILY, "the last line is cut", "data/tt/text", "no newline")
def no_newline(folder):
    edit(f"{DATA}/text", lambda lines: [*lines[:-1], lines[-1].rstrip("\n")])
    return VALIDATE


@kind(FAMILY, "an empty line", "data/tt/text:2", "empty line")
def empty_line(folder):
    edit(f"{DATA}/text", lambda lines: [lines[0], "\n", *lines[1:]])
    return VALIDATE


@kind(FAMILY, "a key without a value", "data/tt/text:1", "no value")
def no_value(folder):
    first(f"{DATA}/text", "a-1 WORDS", "a-1")
    return VALIDATE


@kind(FAMILY, "a key twice", "data/tt/text:2", "'a-1' stands twice")
def key_twice(folder):
    edit(f"{DATA}/text", lambda lines: [lines[0], *lines])
    return VALIDATE


@kind(FAMILY, "not sorted", "data/tt/text:2", "LC_ALL=C sort")
def not_sorted(folder):
    edit(f"{DATA}/text", lambda lines: [lines[1], lines[0], *lines[2:]])
    return VALIDATE


@kind(FAMILY, "an id that leads out of the folder", "data/tt/wav.scp:1", "'../../ESCAPED'")
def id_leads_out(folder):
    edit(f"{DATA}/wav.scp", lambda lines: ["../../ESCAPED audio/a-1.wav\n"])
    return DUMP


@kind(FAMILY, "an id with a no-break space", "sources/tt/wav.scp:1", "a\\xa01")
def no_break_space(folder):
    first("sources/tt/wav.scp", "a-1", "a\u00a01")
    return "mix", "--config", "c.yaml", "--list", "lists/tt.txt", "--sources", "sources/tt", "--out", "tree/new"


@kind(FAMILY, "an id too long for the name of a file", "data/tt/wav.scp:1", "(241 characters)")
def long_id(folder):
    edit(f"{DATA}/wav.scp", lambda lines: [f"{'a' * 241} audio/a-1.wav\n"])
    return DUMP


@kind(FAMILY, "a key of wav.scp is missing", "data/tt/text", "key 'b-1' missing")
def key_missing(folder):
    edit(f"{DATA}/text", lambda lines: [line for line in lines if not line.startswith("b-1")])
    return VALIDATE


@kind(FAMILY, "a key that wav.scp does not have", "data/tt/text", "key 'z-1' is not in wav.scp")
def key_too_many(folder):
    edit(f"{DATA}/text", lambda lines: [*lines, "z-1 WORDS\n"])
    return VALIDATE


@kind(FAMILY, "a speaker that does not begin the id", "data/tt/utt2spk", "no prefix of utterance 'd-2'")
def no_prefix(folder):
    first(f"{DATA}/utt2spk", "d-2 d", "d-2 e")
    first(f"{DATA}/spk2utt", "d d-1 d-2\n", "d d-1\ne d-2\n")
    edit(f"{DATA}/spk2gender", lambda lines: [*lines, "e f\n"])
    return VALIDATE


@kind(
    FAMILY, "speakers in another order than ids (Kaldi's sort -k2)", "data/new/utt2spk",
    "'13_1' of '13' stands before '1_2'",
)
def speakers_unsorted(folder):
    utts, speakers = ("13_1", "1_2", "1_4"), ("13", "1", "1")
    put("data/new/utt2spk", "".join(f"{utt} {speaker}\n" for utt, speaker in zip(utts, speakers)))
    put("data/new/spk2utt", "1 1_2 1_4\n13 13_1\n")
    put("data/new/wav.scp", "".join(f"{utt} audio/a-1.wav\n" for utt in utts))
    put("data/new/utt2dur", "".join(f"{utt} 0.3\n" for utt in utts))
    return "validate-data", "data/new"


@kind(FAMILY, "spk2utt of other speakers' utterances", "data/tt/spk2utt", "not the inverse of utt2spk")
def no_inverse(folder):
    first(f"{DATA}/spk2utt", "d d-1 d-2", "d d-1")
    return VALIDATE


def of_mixture(value):
    """Give the first mixture other speakers in utt2spks."""
    edit("data/tt_2mix/utt2spks", lambda lines: [f"{lines[0].split()[0]} {value}\n", *lines[1:]])
    return MIXTURES


@kind(FAMILY, "more speakers than sources", "data/tt_2mix/utt2spks", "expected 2 speakers, one for each source, got 3")
def speakers_too_many(folder):
    return of_mixture("a b c")


@kind(FAMILY, "other speakers than utt2spk says", "data/tt_2mix/utt2spks", "got 'x y'")
def other_speakers(folder):
    return of_mixture("x y")


@kind(FAMILY, "a speaker that leads out of the folder", "dump/tt_2mix/utt2spks", "got '..'")
def speaker_leads_out(folder):
    edit("dump/tt_2mix/utt2spks", lambda lines: [f"{lines[0].split()[0]} a ..\n", *lines[1:]])
    return lambda: DumpSet("dump/tt_2mix").speakers


@kind(FAMILY, "an infinite duration", "data/tt/utt2dur", "'a-1': expected a positive number of seconds, got 'inf'")
def infinite_duration(folder):
    first(f"{DATA}/utt2dur", "a-1 0.3", "a-1 inf")
    return VALIDATE


@kind(FAMILY, "an unknown gender", "data/tt/spk2gender", "'a': expected m or f, got 'x'")
def unknown_gender(folder):
    first(f"{DATA}/spk2gender", "a f", "a x")
    return VALIDATE


@kind(FAMILY, "parts of files (segments)", "data/tt/segments", "cut them first")
def segments(folder):
    put(f"{DATA}/segments", "a-1 a-1 0.0 0.1\n")
    return VALIDATE


@kind(FAMILY, "a ~ in place of a folder", "data/tt/wav.scp", "'a-1': expected a path, got '~/a-1.wav'")
def tilde(folder):
    first(f"{DATA}/wav.scp", "audio/", "~/")
    return VALIDATE


@kind(FAMILY, "a command (validation)", "data/tt/wav.scp", "commands in tables are never run")
def command_in_validation(folder):
    first(f"{DATA}/wav.scp", "audio/a-1.wav", "touch ESCAPED; cat audio/a-1.wav |")
    return "validate-data", DATA


@kind(FAMILY, "a command (dump)", "data/tt/wav.scp: 'a-1'", "commands in tables are never run")
def command_in_dump(folder):
    first(f"{DATA}/wav.scp", "audio/a-1.wav", "touch ESCAPED; cat audio/a-1.wav |")
    return DUMP


@kind(FAMILY, "a command (mixing)", "sources/tt/wav.scp: 'a-1'", "commands in tables are never run")
def command_in_mixing(folder):
    first("sources/tt/wav.scp", "audio/a-1.wav", "touch ESCAPED; cat audio/a-1.wav |")
    return "mix", "--config", "c.yaml", "--list", "lists/tt.txt", "--sources", "sources/tt", "--out", "tree/new"


@kind(FAMILY, "a command that fails, with --allow-pipes", "cat nowhere |", "the command failed (status 1: cat: nowhere")
def command_fails(folder):
    first(f"{DATA}/wav.scp", "audio/a-1.wav", "cat nowhere |")
    return (*DUMP, "--allow-pipes")


@kind(FAMILY, "a command that writes, with --allow-pipes", "| cat", "expected 'command |'")
def command_writes(folder):
    first(f"{DATA}/wav.scp", "audio/a-1.wav", "| cat")
    return (*DUMP, "--allow-pipes")


@kind(FAMILY, "sources that are not numbered from 1", "data/tt_2mix", "spk3.scp exists but not spk2.scp")
def gap_in_sources(folder):
    Path("data/tt_2mix/spk2.scp").rename("data/tt_2mix/spk3.scp")
    for name in ("utt2spks", "text_spk2"):
        Path("data/tt_2mix", name).unlink()
    return MIXTURES


@kind(FAMILY, "a transcript with another white space", "data/tt/text", "white space other than a space")
def strange_text(folder):
    first(f"{DATA}/text", "a-1 WORDS", "a-1 TWO\u00a0WORDS")
    return VALIDATE


@kind(FAMILY, "a value of utt2dur that is no number (room for mixtures)", "sources/tt/utt2dur", "got 'long'")
def duration_of_mixing(folder):
    edit("sources/tt/utt2dur", lambda lines: [line.replace("0.3", "long") for line in lines])
    return "make-lists", "--config", "c.yaml", "--sources", "sources", "--num-spk", "2", "--out", "lists/new"
