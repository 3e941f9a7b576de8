"""The recogniser: units, CTC's map, batches, files, and that it learns."""

import itertools

import numpy as np
import pytest
import soundfile
import torch

from contrasep_lib.asr.data import Spoken, batches, read_spoken
from contrasep_lib.asr.files import load_recogniser, save_recogniser
from contrasep_lib.asr.options import AsrOptions
from contrasep_lib.asr.recogniser import LEAST_SECONDS, Recogniser, collapsed, least_samples, without_ends
from contrasep_lib.asr.tokens import Tokens
from contrasep_lib.asr.train import Training, error_rates, transcribe_all
from contrasep_lib.bin.main import main
from contrasep_lib.config import build
from contrasep_lib.corpus.sentences import SENTENCES
from contrasep_lib.corpus.single import normalise_text
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.scp import write_table

for module in ("sentencepiece", "espnet2", "rapidfuzz"):
    pytest.importorskip(module, reason=f"{module} is not installed")

TEXTS = [normalise_text(sentence) for sentence in SENTENCES]
SMALL = {"units": 40, "layers": 1, "width": 32, "heads": 2, "mels": 20, "precision": "float32", "batch_seconds": 8.0}
TONES = {"ONE": 300, "TWO": 700, "THREE": 1500, "FOUR": 2600}
RATE = 8000


def speak(text):
    """A tone for each word, ``(samples,)``."""
    time = np.arange(RATE // 4) / RATE
    swell = np.hanning(len(time))
    return np.concatenate([0.3 * swell * np.sin(2 * np.pi * TONES[word] * time) for word in text.split()])


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """A dumped single-speaker set of words as tones."""
    folder = tmp_path_factory.mktemp("asr") / "tr_single"
    folder.mkdir()
    rng = np.random.default_rng(0)
    texts = {f"a-{number:02d}": " ".join(rng.choice(list(TONES), rng.integers(3, 6))) for number in range(24)}
    for key, text in texts.items():
        soundfile.write(folder / f"{key}.wav", speak(text), RATE)
    write_table(folder / "wav.scp", {key: str(folder / f"{key}.wav") for key in texts})
    write_table(folder / "utt2spk", dict.fromkeys(texts, "a"))
    write_table(folder / "text", texts)
    write_table(folder / "utt2num_samples", {key: str(len(speak(text))) for key, text in texts.items()})
    return folder


class Cut(Spoken):
    """The beginning of a recording."""

    def audio(self, rate):
        return super().audio(rate)[: round(self.seconds * rate)]


def small(**other):
    return build(AsrOptions, {**SMALL, **other}, "asr")


def test_units_spell_every_text_and_keep_the_blank_free():
    tokens = Tokens.train(TEXTS, 150)
    assert len(tokens) == 150
    for text in TEXTS:
        numbers = tokens.encode(text)
        assert tokens.decode(numbers) == text and 0 not in numbers and max(numbers) < 150
        assert len(numbers) == len(tokens.pieces(text))
    again = Tokens(tokens.model)
    assert [again.encode(text) for text in TEXTS] == [tokens.encode(text) for text in TEXTS]
    assert Tokens.train(TEXTS, 150).model == tokens.model


def test_units_that_do_not_fit_are_one_line():
    with pytest.raises(ContrasepError, match="no transcripts to learn text units from"):
        Tokens.train(["", " "], 100)
    with pytest.raises(ContrasepError, match="not a sentencepiece model"):
        Tokens(b"something else")


@pytest.mark.parametrize("length", [0, 1, 5])
def test_collapsing_is_ctcs_map(length):
    for path in itertools.product((0, 1, 2), repeat=length):
        runs = [unit for unit, _ in itertools.groupby(path)]
        assert collapsed(np.array(path, dtype=int)) == [unit for unit in runs if unit]


@pytest.mark.parametrize("encoder, decoding", [("rnn", "greedy"), ("conformer", "greedy"), ("conformer", "lexicon")])
def test_a_transcript_does_not_depend_on_its_batch_and_survives_a_file(tmp_path, encoder, decoding):
    torch.manual_seed(0)
    words = {word for text in TEXTS for word in text.split()}
    model = Recogniser(small(encoder=encoder, decoding=decoding), Tokens.train(TEXTS, 40), words).eval()
    with torch.no_grad():
        # else words hardly outweigh the blank
        model.ctc.ctc_lo.bias[0] = -2.0
    rng = np.random.default_rng(0)
    recordings = [0.1 * rng.standard_normal(size) for size in (3000, 9000, 500, 6000)]
    recordings += [np.zeros(8000)]
    alone = [model.transcribe([one])[0] for one in recordings]
    assert any(alone) and alone[2] == alone[4] == ""
    assert model.transcribe(recordings) == alone and model.transcribe(recordings[::-1]) == alone[::-1]
    save_recogniser(tmp_path / "asr.pth", model, {"steps": 1})
    again = load_recogniser(tmp_path / "asr.pth")
    assert again.options == model.options and not again.training
    assert again.transcribe(recordings) == model.transcribe(recordings)


def test_silence_at_the_ends_changes_no_transcript():
    torch.manual_seed(0)
    model = Recogniser(small(decoding="greedy"), Tokens.train(TEXTS, 40)).eval()
    with torch.no_grad():
        model.ctc.ctc_lo.bias[0] = -2.0
    speech = 0.1 * np.random.default_rng(0).standard_normal(6400)
    silence = np.zeros(8000)
    padded = [np.concatenate([silence[:size], speech, silence[:size]]) for size in (800, 4000, 8000)]
    heard = model.transcribe(padded)
    assert heard[0] and heard[0] == heard[1] == heard[2]
    assert all(len(without_ends(one, RATE)) == 8000 for one in padded)
    assert np.array_equal(without_ends(speech, RATE), speech)
    # a click in silence is short, and long enough to be heard
    click = np.zeros(8000)
    for place in (0, 4000, 7999):
        click[:] = 0
        click[place] = 0.5
        assert LEAST_SECONDS * RATE <= len(without_ends(click, RATE)) <= 0.3 * RATE


@pytest.mark.parametrize("encoder", ["rnn", "conformer"])
@pytest.mark.parametrize("hop", [2.0, 8.0, 32.0, 40.0])
def test_the_shortest_recordings_are_heard_and_learned_from(encoder, hop):
    options = small(encoder=encoder, hop_ms=hop, decoding="greedy", layers=1, width=8)
    model = Recogniser(options, Tokens.train(TEXTS, 40))
    rng = np.random.default_rng(0)
    least = max(least_samples(options), int(LEAST_SECONDS * RATE))
    click = np.zeros(2 * least)
    click[least] = 0.5
    model.eval()
    sizes = (0, 1, 200, least - 1, least, least + 1)
    heard = model.transcribe([0.1 * rng.standard_normal(size) for size in sizes] + [click])
    assert heard[:4] == ["", "", "", ""] and len(heard) == 7
    # the least that the encoder takes, by itself
    exact = least_samples(options)
    encoded, frames = model.encode(torch.randn(1, exact), torch.tensor([exact]))
    assert encoded.shape[1] == frames[0] >= 1
    model.train()
    exact = least_samples(options, training=True)
    loss = model.loss(torch.randn(1, exact), torch.tensor([exact]), torch.tensor([[1]]), torch.tensor([1]))
    assert torch.isfinite(loss)


def test_the_least_length_is_that_of_the_encoder():
    from espnet.nets.pytorch_backend.transformer.subsampling import TooShortUttError

    options = small(encoder="conformer", hop_ms=40.0, decoding="greedy")
    model, least = Recogniser(options, Tokens.train(TEXTS, 40)).eval(), least_samples(options)
    with pytest.raises(TooShortUttError):
        model.encode(torch.randn(1, least - 1), torch.tensor([least - 1]))


def test_recordings_that_are_too_short_are_left_out_of_training(spoken, tmp_path):
    recordings = read_spoken([spoken])
    cut = [Cut(one.dump, one.key, one.text, 300 / RATE) for one in recordings[:5]]
    options, said = small(steps=2), []
    training = Training([*cut, *recordings], [*cut[:1], *recordings[:2]], options, tmp_path)
    training.run(said.append)
    assert training.training == recordings
    assert said[0] == "5 recordings are shorter than 0.08 s and left out"
    assert transcribe_all(training.model, cut) == [""] * 5
    with pytest.raises(ContrasepError, match="--train-sets: no recording with words of 0.08 s or more"):
        Training(cut, recordings, options, tmp_path)
    said.clear()
    Training(recordings, recordings[:2], options, tmp_path).run(said.append)
    assert not any("left out" in line for line in said)


def test_a_foreign_or_damaged_file_is_one_line(tmp_path):
    path = tmp_path / "asr.pth"
    with pytest.raises(ContrasepError, match="no such checkpoint"):
        load_recogniser(path)
    torch.save({"format": "contrasep model"}, path)
    with pytest.raises(ContrasepError, match=r"not a recogniser; name an asr.pth"):
        load_recogniser(path)
    save_recogniser(path, Recogniser(small(), Tokens.train(TEXTS, 40)), {})
    content = torch.load(path, weights_only=True)
    foreign = torch.zeros(4, dtype=torch.uint8)
    for change in ({"version": 1}, {"words": 3}, {"tokens": foreign}, {"state": {}}, {"asr": {"units": -1}}):
        torch.save({**content, **change}, path)
        with pytest.raises(ContrasepError, match="asr.pth: "):
            load_recogniser(path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ContrasepError, match=r"asr.pth: "):
        load_recogniser(path)


def test_weights_that_are_none_are_one_line(tmp_path):
    path = tmp_path / "asr.pth"
    save_recogniser(path, Recogniser(small(), Tokens.train(TEXTS, 40)), {})
    content = torch.load(path, weights_only=True)
    name, weight = next((name, weight) for name, weight in content["state"].items() if weight.is_floating_point())
    spread = torch.zeros(1).expand(weight.shape)
    tokens = content["tokens"]
    for change, words in (
        ({"state": {**content["state"], name: torch.full_like(weight, torch.nan)}}, "state: .* NaN or infinity"),
        ({"state": {**content["state"], name: weight.clone().index_fill_(0, torch.tensor([0]), torch.inf)}}, "NaN"),
        ({"state": {**content["state"], name: spread}}, "more values than the file holds"),
        ({"state": {**content["state"], name: weight.to_sparse()}}, "without plain values"),
        ({"state": {**content["state"], name: 3}}, "int under"), ({"state": [1]}, "got list"),
        ({"tokens": b"text"}, "tokens: .*bytes under"), ({"tokens": tokens[:1].expand(1 << 40)}, "more values"),
        ({"tokens": tokens.to_sparse()}, "without plain values"),
        ({"tokens": tokens[:0]}, "tokens: not a sentencepiece"),
        ({"tokens": torch.tensor(list(b"garbage"), dtype=torch.uint8)}, "tokens: not a sentencepiece model"),
    ):
        torch.save({**content, **change}, path)
        with pytest.raises(ContrasepError, match=f"asr.pth: .*{words}") as error:
            load_recogniser(path)
        assert "\n" not in str(error.value)
    for missing in ("state", "tokens", "asr", "words"):
        torch.save({key: value for key, value in content.items() if key != missing}, path)
        with pytest.raises(ContrasepError, match="asr.pth: "):
            load_recogniser(path)


def test_batches_hold_every_recording_once_within_their_seconds(spoken):
    recordings = read_spoken([spoken])
    for rng in (None, np.random.default_rng(3)):
        made = list(batches(recordings, 4.0, rng))
        assert sorted(index for batch in made for index in batch) == list(range(len(recordings)))
        assert all(len(batch) * max(recordings[index].seconds for index in batch) <= 4.0 for batch in made)
    orders = [list(batches(recordings, 4.0, np.random.default_rng(seed))) for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    lengths = [one.seconds for one in recordings]
    assert list(batches(recordings, 0.1)) == [[index] for index in np.argsort(lengths, kind="stable")]


def test_it_learns_words_and_writes_its_curve(spoken, tmp_path):
    recordings = read_spoken([spoken])
    options = small(steps=150, budget_minutes=5.0, valid_every=0.002, learning_rate=0.01, hop_ms=10.0)
    training = Training(recordings, recordings, options, tmp_path)
    before = error_rates(training.model, recordings)
    best = training.run(lambda line: None)
    assert training.model.lexicon.words == sorted(TONES)
    assert before[0] > 0.8 and best < 0.2
    lines = [line.split("\t") for line in (tmp_path / "curve.tsv").read_text().splitlines()]
    assert lines[0][:3] == ["minutes", "cpu_minutes", "steps"] and int(lines[-1][2]) == 150
    # at least one line before the last, however fast the machine
    assert len(lines) > 2 and float(lines[-1][4]) < float(lines[1][4])
    model = load_recogniser(tmp_path / "asr.pth")
    assert error_rates(model, recordings)[0] == pytest.approx(best)
    assert main([
        "transcribe", "--model", str(tmp_path / "asr.pth"), "--dump", str(spoken), "--out", str(tmp_path / "text"),
    ]) == 0
    heard = dict(line.split(" ", 1) for line in (tmp_path / "text").read_text().splitlines())
    assert [heard.get(one.key, "") for one in recordings] == transcribe_all(model, recordings)


def test_the_same_seed_gives_the_same_recogniser(spoken, tmp_path):
    recordings = read_spoken([spoken])
    made = []
    for seed in (0, 0, 1):
        training = Training(recordings, recordings[:2], small(steps=2, seed=seed), tmp_path)
        training.run(lambda line: None)
        made.append(training.model.state_dict())
    same = [all(torch.equal(made[0][name], other[name]) for name in other) for other in made[1:]]
    assert same == [True, False]


def test_sets_without_transcripts_and_mixtures_are_refused(spoken, tmp_path, capsys):
    other = tmp_path / "other"
    other.mkdir()
    for name in ("wav.scp", "utt2spk", "utt2num_samples"):
        (other / name).write_text((spoken / name).read_text())
    (tmp_path / "conf.yaml").write_text("asr: {steps: 1}\n")
    call = ["train-asr", "--config", str(tmp_path / "conf.yaml"), "--valid-sets", str(spoken)]
    call += ["--out", str(tmp_path / "o")]
    assert main([*call, "--train-sets", str(other)]) == 1
    (other / "spk1.scp").write_text((spoken / "wav.scp").read_text())
    (other / "spk2.scp").write_text((spoken / "wav.scp").read_text())
    assert main([*call, "--train-sets", str(other)]) == 1
    assert main(["transcribe", "--model", "x", "--dump", str(other), "--out", str(tmp_path / "text")]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert "no file 'text' in it" in lines[0] and "mixtures; name dumped single-speaker sets" in lines[1]
    assert len(lines) == 3


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ContrasepError, match=r"asr.heads: expected a divisor of width, 32, got 3"):
        small(encoder="conformer", heads=3)
