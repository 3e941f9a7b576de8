"""Corpora that a file lists, and finished mixtures: the tree of the good input is one."""

import shutil
from pathlib import Path

import numpy as np
import soundfile

from contrasep_lib.corpus.mixtures import check_entry, find_talkers
from contrasep_lib.corpus.recordings import Recording, name_all
from tests.bad_input.corpora import raised
from tests.bad_input.kinds import RATE, kind, put

LISTED, FINISHED = "Listed corpora", "Finished mixtures"


def listed(text):
    put("list.py", text)
    put("corpus/a/b.wav", "x")
    return "prepare-corpus", "list.py", "--config", "c.yaml", "--corpus", "corpus", "--out", "sources/new"


@kind(LISTED, "a file without the function", "list.py", "no function recordings(corpus) in it")
def no_function(folder):
    return listed("x = 1\n")


@kind(LISTED, "a file with an error", "list.py:2", "ZeroDivisionError")
def error_inside(folder):
    return listed("def recordings(corpus):\n    return 1 / 0\n")


@kind(LISTED, "a pattern that fits nothing", "list.py", "yields nothing for corpus, which holds a/; wrong pattern?")
def nothing(folder):
    return listed("def recordings(corpus):\n    return []\n")


@kind(LISTED, "something else than a recording", "list.py", "expected recordings() to yield Recording(path, speaker)")
def no_recording(folder):
    return listed("def recordings(corpus):\n    return ['a.wav']\n")


@kind(LISTED, "two recordings of a name", "b/1.wav", "has the id of a/1.wav, x-ann-1; tell them apart by")
def same_name(folder):
    for name in ("a/1.wav", "b/1.wav"):
        put(name, "x")
    return lambda: raised(name_all([Recording("a/1.wav", "ann"), Recording("b/1.wav", "ann")], "x")[1])


@kind(LISTED, "two speakers of one id", "b.wav", "speaker 'a?b' has the id of 'a!b', x-a_b; rename one")
def same_speaker(folder):
    for name in ("a.wav", "b.wav"):
        put(name, "x")
    return lambda: raised(name_all([Recording("a.wav", "a!b"), Recording("b.wav", "a?b")], "x")[1])


@kind(LISTED, "a recipe of another name", "egs/vctk", "expected a name CORPUS_Kmix")
def recipe_name(folder):
    return "new-recipe", "egs/vctk"


@kind(LISTED, "a recipe outside of a checkout", "egs/vctk_2mix", "make it in egs/ of a checkout of the toolkit")
def recipe_elsewhere(folder):
    return "new-recipe", "egs/vctk_2mix"


def finished(*words):
    return "import-mixtures", "--corpus", "tree", "--out", "new", "--set", "mix.sets={tt: 3}", *words


@kind(FINISHED, "no sources in the folder", "audio", "no folder s1 of sources")
def no_sources(folder):
    return "import-mixtures", "--corpus", "audio", "--out", "new"


@kind(FINISHED, "several folders of mixtures", "tree/tt", "several folders of mixtures (mix, mix_both); name one by")
def several(folder):
    shutil.copytree("tree/tt/mix", "tree/tt/mix_both")
    return finished()


@kind(FINISHED, "another number of talkers", "tree/tt", "expected sources of 3 talkers in mix, got s1, s2")
def talkers(folder):
    return finished("--num-spk", "3")


@kind(FINISHED, "a folder of noise that is not there", "tree/tt", "no folder hum of noise")
def no_noise(folder):
    return finished("--set", "corpus.mixtures.noise=hum")


@kind(FINISHED, "a list of another header", "metadata/mixture_tt_mix.csv", "no column 'mixture_ID'")
def listing(folder):
    put("tree/metadata/mixture_tt_mix.csv", "a,b\n")
    return finished()


def checked(**spoilt):
    """Check a mixture of two sources and noise after spoiling some of its tracks."""
    made = {name: np.full(800, value, np.int16) for name, value in (("s1", 100), ("s2", 50), ("noise", 3))}
    made["mix"] = sum(made.values())
    for name, samples in (made | spoilt).items():
        Path(name).mkdir()
        soundfile.write(f"{name}/a.wav", samples, RATE)
    paths = [f"{name}/a.wav" for name in ("mix", "s1", "s2", "noise")]
    return lambda: raised(check_entry("a", paths, RATE, True, 800).errors)


@kind(FINISHED, "a source of another length", "a: source 2", "has 700 samples, the mixture 800")
def length(folder):
    return checked(s2=np.full(700, 50, np.int16))


@kind(FINISHED, "noise of another length", "a: noise", "has 700 samples, the mixture 800")
def length_of_noise(folder):
    return checked(noise=np.full(700, 3, np.int16))


@kind(FINISHED, "sources that do not add up", "a: the sources and the noise", "do not add up to the mixture (off by 20")
def addition(folder):
    return checked(s1=np.full(800, 120, np.int16))


@kind(FINISHED, "names that are not of the naming", "m0", "does not name 2 speakers, as names of 'wsj0mix' do")
def naming(folder):
    return lambda: find_talkers(["m0"], 2, "wsj0mix", None)


@kind(FINISHED, "a table of speakers that lacks a mixture", "who", "'m1': expected a line with 2 speakers, got 0")
def speakers(folder):
    put("who", "m0 ann ben\n")
    return lambda: find_talkers(["m0", "m1"], 2, "auto", "who")
