"""Word error rates of a set by a command of the user's: contrasep score --wer --asr-cmd."""

import json
import shlex
import sys

import numpy as np
import pytest
import soundfile

pytest.importorskip("rapidfuzz", reason="rapidfuzz is not installed")
from contrasep_lib.asr.recordings import Batch, in_batches
from contrasep_lib.asr.transcribers import Command
from contrasep_lib.bin.main import main
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.scp import write_table

RATE = 8000
# talkers are tones here, and what a tone says is known
SAYS = {400: "ONE TWO THREE", 900: "FOUR FIVE"}
LISTENER = """
import sys, numpy, soundfile
says = {400: "one, two three!", 900: "Four five."}
def heard(path):
    samples, rate = soundfile.read(path)
    spectrum = abs(numpy.fft.rfft(samples))
    if spectrum.max() < 1e-3:
        return ""
    return says[min(says, key=lambda tone: abs(tone - spectrum.argmax() * rate / len(samples)))]
if len(sys.argv) == 2:
    print(heard(sys.argv[1]))
else:
    lines = (line.split(" ", 1) for line in open(sys.argv[1]).read().splitlines())
    open(sys.argv[2], "w").write("".join(f"{key} {heard(path)}".strip() + "\\n" for key, path in lines))
"""


def tone(hertz, gain=0.3):
    return gain * np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE)


@pytest.fixture
def listener(tmp_path):
    path = tmp_path / "a listener.py"
    path.write_text(LISTENER)
    return f"{shlex.quote(sys.executable)} {shlex.quote(str(path))}"


def make_set(folder, outputs):
    """A dumped set of two mixtures, and separated outputs: utterance -> signals."""
    tracks = {"spk1": tone(400, 0.4), "spk2": tone(900)}
    tracks["wav"] = sum(tracks.values())
    for name in ("dump", "separated"):
        (folder / name).mkdir()
    keys = ["a_b_1", "c_d_2"]
    for name, samples in tracks.items():
        soundfile.write(folder / f"{name}.wav", samples, RATE)
        write_table(folder / "dump" / f"{name}.scp", {key: str(folder / f"{name}.wav") for key in keys})
    write_table(folder / "dump/utt2spk", {key: key[:3] for key in keys})
    write_table(folder / "dump/text_spk1", {key: SAYS[400] for key in keys})
    write_table(folder / "dump/text_spk2", {key: SAYS[900] for key in keys})
    most = max(map(len, outputs))
    for number in range(most):
        table = {}
        for key, signals in zip(keys, outputs):
            if number < len(signals):
                table[key] = str(folder / f"{key}_{number}.wav")
                soundfile.write(table[key], signals[number], RATE)
        write_table(folder / f"separated/spk{number + 1}.scp", table)
    (folder / "conf.yaml").write_text("mix: {mode: max}\n")


def score(folder, *options):
    return main([
        "score", "--config", str(folder / "conf.yaml"), "--dump", str(folder / "dump"), "--separated",
        str(folder / "separated"), "--out", str(folder / "score"), *options,
    ])


@pytest.mark.parametrize("each", [True, False])
def test_rates_by_hand(tmp_path, listener, capsys, each):
    # the first mixture is separated, in other order; of the second one output is missing
    make_set(tmp_path, [[tone(900), tone(400)], [tone(900)]])
    assert score(tmp_path, "--wer", "--asr-cmd", listener + (" {wav}" if each else "")) == 0
    made = json.loads((tmp_path / "score/wer.json").read_text())
    words = {kind: each["rate"] for kind, each in made["word_error_rate"].items()}
    # the mixture sounds like its louder talker: his three words for both, so the other's two are wrong, one is extra
    assert words == {"clean": 0.0, "mixed": 0.6, "separated": 0.3}
    assert made["word_error_rate"]["separated"]["deletions"] == 3 and made["unit"] == "characters"
    assert made["unit_error_rate"]["clean"]["rate"] == 0
    rows = [line.split("\t") for line in (tmp_path / "score/wer.tsv").read_text().splitlines()]
    assert [row[-1] for row in rows] == ["permutation", "2,1", "-,1"]
    assert (tmp_path / "score/text_separated_spk2").read_text() == "a_b_1 ONE TWO THREE\n"
    assert "separated  30.0%" in capsys.readouterr().out


@pytest.mark.parametrize("change, words", [
    (lambda signal: (signal, 2 * RATE), "expected 8000 Hz as in the mixture, got 16000"),
    (lambda signal: (np.repeat(signal, 2), 2 * RATE), "expected 8000 Hz as in the mixture, got 16000"),
    (lambda signal: (signal[:3000], RATE), "expected 8000 samples as in the mixture, got 3000"),
])
def test_outputs_of_another_rate_or_length_are_one_line(tmp_path, listener, capsys, change, words):
    make_set(tmp_path, [[tone(900), tone(400)], [tone(900), tone(400)]])
    soundfile.write(tmp_path / "c_d_2_1.wav", *change(tone(400)))
    assert score(tmp_path, "--wer", "--asr-cmd", listener) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert "separated/spk2.scp: 'c_d_2': " in line and words in line and line.endswith("; run stage 5 again")
    assert not (tmp_path / "score").exists()


def test_a_set_without_transcripts_and_a_call_without_a_recogniser_are_one_line(tmp_path, listener, capsys):
    make_set(tmp_path, [[tone(400)], [tone(900)]])
    (tmp_path / "dump/text_spk2").unlink()
    assert score(tmp_path, "--wer", "--asr-cmd", listener) == 1
    assert score(tmp_path, "--wer") == 1
    assert score(tmp_path, "--asr-cmd", listener) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 and "text_spk2: no transcripts of this set" in lines[0]
    assert "--wer: name a recogniser" in lines[1] and "they go with --wer" in lines[2]


def test_references_of_any_script_count_and_none_is_one_line(tmp_path, listener, capsys):
    make_set(tmp_path, [[tone(400)], [tone(900)]])
    for number, text in ((1, "в доме 3"), (2, "über")):
        write_table(tmp_path / f"dump/text_spk{number}", dict.fromkeys(["a_b_1", "c_d_2"], text))
    assert score(tmp_path, "--wer", "--asr-cmd", listener) == 0
    assert json.loads((tmp_path / "score/wer.json").read_text())["word_error_rate"]["clean"]["words"] == 8
    write_table(tmp_path / "dump/text_spk2", dict.fromkeys(["a_b_1", "c_d_2"], "?!"))
    assert score(tmp_path, "--wer", "--asr-cmd", listener) == 1
    assert "text_spk2: expected transcripts, got no word in any line" in capsys.readouterr().err.splitlines()[-1]


def test_cut_sources_are_warned_of(tmp_path, listener, capsys):
    make_set(tmp_path, [[tone(400)], [tone(900)]])
    (tmp_path / "conf.yaml").write_text("mix: {mode: min}\n")
    assert score(tmp_path, "--wer", "--asr-cmd", listener) == 0
    assert "mix.mode is min, which cuts longer sources" in capsys.readouterr().err


def batch(*signals):
    named = {f"odd; touch {number} $(id)": signal for number, signal in enumerate(signals)}
    return Batch(tuple(named), named.get)


def test_nothing_reaches_a_shell(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    python = shlex.quote(sys.executable)
    command = Command(f"{python} -c 'print(\"; touch gone $(id) `id` HEARD\")' {{wav}}", RATE)
    heard = command.transcribe(batch(tone(400)))
    assert list(heard.values()) == ["TOUCH GONE ID ID HEARD"]
    # operators of a shell are plain arguments
    Command(f"{python} -c pass {{wav}} ; touch gone > gone && touch gone", RATE).transcribe(batch(tone(9)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "command, message",
    [
        ("", "expected a command, got nothing"), ("a 'b", "No closing quotation; close the quotes"),
        ("no-such-program-here {wav}", "no-such-program-here: No such file or directory; name an existing program"),
        ("PYTHON -c 'import sys; sys.exit(\"it broke\")' {wav}", r"ended with status 1 \(it broke\)"),
        ("PYTHON -c 'print(\"it said why\"); exit(3)' {wav}", r"ended with status 3 \(it said why\)"),
        ("PYTHON -c 'import sys; print(\"out\"); sys.exit(\"err\")' {wav}", r"ended with status 1 \(err\)"),
        ("PYTHON -c 'exit(3)' {wav}", r"ended with status 3 \(it printed nothing\)"),
        ("PYTHON -c 'print(\"x\" * 300 + \"end\"); exit(3)' {wav}", r"ended with status 3 \(x{197}end\)"),
        ("PYTHON -c pass", r"wrote no table \{text\}"),
        (
            "PYTHON -c 'import sys; open(sys.argv[2], \"w\").write(\"other x\")'",
            "a line of 'other', which was not asked for",
        ),
    ],
)
def test_a_command_that_fails_is_one_line(command, message):
    with pytest.raises(ContrasepError, match=f"--asr-cmd: .*{message}|--asr-cmd: {message}"):
        Command(command.replace("PYTHON", shlex.quote(sys.executable)), RATE).transcribe(batch(tone(400)))


def test_a_line_without_words_and_a_missing_line_are_silence():
    writes = "import sys; open(sys.argv[2], 'w').write('r000001\\n')"
    command = Command(f"{shlex.quote(sys.executable)} -c {shlex.quote(writes)}", RATE)
    assert list(command.transcribe(batch(tone(400), tone(900))).values()) == ["", ""]


def test_batches_hold_every_recording_once():
    keys = [f"k{number}" for number in range(7)]
    batches = in_batches(keys, len, 3)
    assert [key for batch in batches for key in batch.keys] == keys
    assert [len(batch.keys) for batch in batches] == [3, 3, 1]


def test_pocketsphinx_hears_silence_as_nothing():
    pytest.importorskip("pocketsphinx", reason="pocketsphinx is not installed")
    from contrasep_lib.asr.transcribers import transcriber_of

    reference = transcriber_of("pocketsphinx")
    heard = reference.transcribe(batch(np.zeros(16000), tone(400)))
    assert reference.rate == 16000 and list(heard.values())[0] == ""
