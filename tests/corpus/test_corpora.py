"""Corpora as a family: chosen by name, asked for what they can give."""

import pytest

from contrasep_lib.config import as_key, as_tree, create, load_config, names, options_class
from contrasep_lib.corpus.base import Corpus, Request
from contrasep_lib.errors import ContrasepError


@pytest.mark.parametrize("name", names("corpus"))
def test_options_that_mean_nothing_to_a_corpus_are_refused(name, tmp_path):
    corpus = create(options_class("corpus", name)())
    given = {"corpus": "somewhere", "extra_train": True, "mix_lists": "lists", "num_spk": 2}
    for key, value in given.items():
        request = Request(str(tmp_path), **{key: value})
        if key in corpus.takes:
            corpus.check(request)
        else:
            with pytest.raises(
                ContrasepError, match=f"--{key.replace('_', '-')}: the corpus '{name}' has no use for it"
            ):
                corpus.check(request)


def test_what_a_corpus_cannot_do_without(tmp_path):
    class Mine(Corpus):
        takes = needs = frozenset({"corpus"})

        def prepare(self, request):
            return {}

    corpus = Mine(options_class("corpus", "espeak")())
    corpus.check(Request(str(tmp_path), corpus="here"))
    with pytest.raises(ContrasepError, match="--corpus: the corpus 'espeak' cannot do without it"):
        corpus.check(Request(str(tmp_path)))


def test_the_section_names_corpora(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("corpus: {espeak: {train_voices: 3}}\n")
    section = load_config(path, ["corpus.espeak.seed=4", "corpus.librispeech.valid_fraction=0.2"])["corpus"]
    assert (section.of("espeak").train_voices, section.of("espeak").seed) == (3, 4)
    assert section.of("audiomnist") == options_class("corpus", "audiomnist")()
    assert as_tree(section)["librispeech"]["valid_fraction"] == 0.2
    assert set(as_key(section)) == {"espeak", "librispeech"}
    with pytest.raises(ContrasepError, match="unknown corpus 'espaek'; did you mean 'espeak'"):
        section.of("espaek")


@pytest.mark.parametrize("text, says", [
    ("corpus: {espaek: {}}", "corpus: unknown corpus 'espaek'; did you mean 'espeak'"),
    ("corpus: {espeak: {voices: 3}}", "corpus.espeak: unknown key 'voices'"),
    ("corpus: {espeak: 3}", "corpus.espeak: unknown key 'weight'"),
    ("corpus: 3", "corpus: expected a mapping"),
])
def test_errors_of_the_section(tmp_path, text, says):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ContrasepError, match=says):
        load_config(path)


def test_an_unknown_corpus_is_one_line(contrasep, tmp_path):
    (tmp_path / "c.yaml").write_text("")
    done = contrasep("prepare-corpus", "mine", "--config", "c.yaml", "--out", "o")
    assert done.returncode == 1 and "unknown corpus 'mine'; known: audiomnist" in done.stderr
