"""Lists of mixtures, tables of levels, split files."""

from pathlib import Path

from contrasep_lib.corpus.splits import find_split, read_split
from contrasep_lib.mix.levels import parse_levels, read_levels
from tests.bad_input.kinds import edit, kind, put

LISTS, SPLITS = "Lists and levels", "Splits"
LIST = "lists/tt.txt"
MIX = ("mix", "--config", "c.yaml", "--list", LIST, "--sources", "sources/tt", "--out", "tree/new")
DRAW = ("make-lists", "--config", "c.yaml", "--sources", "sources", "--out", "lists")
HEADER = "speaker\tpart\tgroup\n"


def listed(content):
    """Mix by another list."""
    put(LIST, content)
    return MIX


@kind(LISTS, "no such list", LIST, "no such list; run stage 0 first")
def missing(folder):
    Path(LIST).unlink()
    return MIX


@kind(LISTS, "an empty list", LIST, "empty list")
def empty(folder):
    return listed("")


@kind(LISTS, "not UTF-8", LIST, "not UTF-8 text")
def latin_1(folder):
    return listed("é-1 0 b-1 0\n".encode("latin-1"))


@kind(LISTS, "a line of another number of talkers", LIST, "line 2: expected 4 fields ('source gain' 2 times), got 6")
def other_count(folder):
    return listed("a-1 1 b-1 -1\na-1 1 b-1 -1 c-1 0\n")


@kind(LISTS, "a gain that no PCM holds", LIST, "line 1: expected a gain from -100 to 100 dB, got '1e300'")
def large_gain(folder):
    return listed("a-1 1e300 b-1 -1\n")


@kind(LISTS, "a source that leads out of the folder", LIST, "line 1: expected an id of letters")
def leads_out(folder):
    return listed(".. 1 b-1 -1\n")


@kind(LISTS, "two lines of one name", LIST, "line 2 has the name of line 1")
def twice(folder):
    return listed("a-1 1 b-1 -1\na-1 1 b-1 -1.0\n")


@kind(LISTS, "a source that the set does not have", LIST, "1 sources are not in sources/tt/wav.scp, e.g. z-1")
def unknown_source(folder):
    return listed("a-1 1 z-1 -1\n")


@kind(LISTS, "a source without a speaker", "sources/tt/utt2spk", "key 'a-1' missing, which lists/tt.txt names")
def no_speaker(folder):
    put(LIST, "a-1 1 b-1 -1\n")
    edit("sources/tt/utt2spk", lambda lines: lines[1:])
    return "prepare-data", "--sources", "sources/tt", "--list", LIST, "--mixtures", "tree/tt", "--out", "data/new"


@kind(LISTS, "a set that mix.sets does not have", "--sets", "'../tt' is not in mix.sets")
def unknown_set(folder):
    return (*DRAW, "--num-spk", "2", "--sets", "../tt")


@kind(
    LISTS, "more talkers than speakers", "set tt",
    "expected at least 5 speakers for 5 talkers in a mixture, the set has 4",
)
def few_speakers(folder):
    return (*DRAW, "--num-spk", "5")


@kind(
    LISTS, "a published level that is not positive", "levels.txt",
    "line 1: expected 'utterance level' with a positive level",
)
def level(folder):
    put("levels.txt", "a-1 -0.5\n")
    return lambda: parse_levels("levels.txt")


@kind(LISTS, "an utterance without a level", "sources/tt/utt2level", "no level of 7 utterances, e.g. 'a-2'")
def no_level(folder):
    put("sources/tt/utt2level", "a-1 0.5\n")
    return (*MIX, "--set", "mix.active_level=published")


@kind(LISTS, "a level that is no number", "sources/tt/utt2level", "expected a positive level of 'a-1', got 'loud'")
def level_in_words(folder):
    put("sources/tt/utt2level", "a-1 loud\n")
    return lambda: read_levels("sources/tt/utt2level", ["a-1"])


def split(content):
    """Read another split file."""
    put("split.tsv", content)
    return lambda: read_split("split.tsv")


@kind(SPLITS, "no such file", "split.tsv", "no such split file")
def no_split(folder):
    return lambda: find_split("split.tsv")


@kind(SPLITS, "no header", "split.tsv", "expected the header 'speaker part group'")
def no_header(folder):
    return split("a\ttest\tf\n")


@kind(SPLITS, "another number of fields", "split.tsv:3", "expected 3 fields separated by tabs, got 2")
def fields(folder):
    return split(f"# by hand\n{HEADER}a\ttest\n")


@kind(SPLITS, "an unknown part", "split.tsv:2", "expected part dev or test, got 'train'")
def part(folder):
    return split(f"{HEADER}a\ttrain\tf\n")


@kind(SPLITS, "a speaker that leads out of the folder", "split.tsv:2", "expected letters, digits and ._=+-")
def speaker(folder):
    return split(f"{HEADER}../a\ttest\tf\n")


@kind(SPLITS, "a speaker twice", "split.tsv:3", "speaker 'a' stands twice")
def speaker_twice(folder):
    return split(f"{HEADER}a\ttest\tf\na\tdev\tf\n")


@kind(SPLITS, "not UTF-8", "split.tsv", "cannot be read as a split file")
def split_latin_1(folder):
    return split(f"{HEADER}é\ttest\tf\n".encode("latin-1"))
