"""Common Voice: tables, clips of several codings, the split, what goes wrong with copies."""

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from contrasep_lib.corpus.commonvoice import find_clips, hear_clip, split_clips
from contrasep_lib.corpus.commonvoice_table import read_clips, unquote, words
from contrasep_lib.corpus.options import CommonvoiceOptions
from contrasep_lib.corpus.splits import Held, find_split, read_split, speakers_of, write_split
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.decode import decode_audio
from contrasep_lib.io.scp import read_table

SHARED = Path(__file__).resolve().parents[3] / "shared" / "corpora" / "CommonVoice"
HEADER = "client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccent\tlocale\tsegment"


def known(client):
    return hashlib.sha256(client.encode()).hexdigest()[:16]


def line(client, path, sentence="Good day", gender="female"):
    return f"{client}\t{path}\t{sentence}\t2\t0\t\t{gender}\t\txx\t"


def sound(seed, seconds=0.5, rate=16000):
    """Harmonics of a pitch that the seed decides, with a pause."""
    time = np.arange(int(seconds * rate)) / rate
    tone = sum(np.sin(2 * np.pi * (90 + 17 * (seed % 11)) * k * time) / k for k in range(1, 9))
    return 0.1 * tone * (np.sin(9 * time + seed) > -0.5)


def encode(path, samples, rate):
    """A compressed file, written by PyAV."""
    import av

    codec = {".mp3": "libmp3lame", ".opus": "libopus", ".m4a": "aac", ".webm": "libopus"}[path.suffix]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.int16(samples * 32767)[None], format="s16", layout="mono")
        frame.sample_rate = rate
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)


def write_language(corpus, language, clips, suffix=".wav"):
    """``clips``: client -> number of clips."""
    folder = corpus / language
    (folder / "clips").mkdir(parents=True)
    lines, number = [HEADER], 0
    for client, count in clips.items():
        for _ in range(count):
            number += 1
            path = folder / "clips" / f"common_voice_{language}_{1000 + number}{suffix}"
            if suffix in (".wav", ".flac"):
                soundfile.write(path, sound(number), 16000, subtype="PCM_16")
            else:
                encode(path, sound(number, rate=48000), 48000)
            lines.append(line(client, path.name))
    (folder / "validated.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def corpus(tmp_path):
    """Three languages of three codings; speaker ``both`` is in two of them."""
    corpus = tmp_path / "cv"
    write_language(corpus, "aa", {"dev1": 2, "test1": 2, "many": 10, "one": 1, "both": 1})
    write_language(corpus, "bb-C", {"dev2": 1, "test2": 3, "two": 2, "both": 1}, ".flac")
    write_language(corpus, "dd", {"three": 3}, ".mp3")
    return corpus


@pytest.fixture
def split(tmp_path):
    parts = {"dev1": "dev", "dev2": "dev", "test1": "test", "test2": "test", "absent": "test"}
    write_split(tmp_path / "split.tsv", "for tests", [Held(known(name), part, "aa") for name, part in parts.items()])
    return tmp_path / "split.tsv"


@pytest.fixture
def command(split, tmp_path, contrasep):
    (tmp_path / "c.yaml").write_text(f"corpus: {{commonvoice: {{split: {split}, valid_fraction: 0.2}}}}\n")

    def call(corpus, *more, out="out", **how):
        return contrasep(
            "prepare-corpus", "commonvoice", "--config", "c.yaml", "--out", out, "--corpus", corpus, *more, **how
        )

    return call


def people(folder):
    return set(read_table(folder / "utt2spk").values())


def ids(*names):
    return {f"cv{known(name)}" for name in names}


# ---------------------------------------------------------------- sets


def test_sets(corpus, command, tmp_path):
    done = command(corpus, "--nj", 2, check=True)
    # of the 10 + 2 + 2 + 3 clips of those who have two or more a fifth, less what rounding leaves
    assert done.stdout == "out: tr 15 utterances, cv 3 utterances, dev 3 utterances, tt 5 utterances\n"
    assert (
        f"1 speakers have clips in several languages; each is one speaker: cv{known('both')} (aa bb-C)" in done.stderr
    )
    out = tmp_path / "out"
    assert people(out / "dev") == ids("dev1", "dev2") and people(out / "tt") == ids("test1", "test2")
    assert people(out / "tr") == ids("many", "one", "both", "two", "three")
    assert people(out / "cv") < people(out / "tr") and not people(out / "cv") & ids("one")
    tables = {
        name: {file.name: read_table(file) for file in (out / name).iterdir()} for name in ("tr", "cv", "dev", "tt")
    }
    every = [utt for table in tables.values() for utt in table["wav.scp"]]
    assert len(every) == len(set(every)) == 26
    for table in tables.values():
        assert table.keys() == {"wav.scp", "utt2spk", "spk2utt", "utt2dur", "text", "spk2gender", "utt2lang"}
        assert all(utt.startswith(f"{speaker}-") for utt, speaker in table["utt2spk"].items())
        assert set(table["text"].values()) == {"GOOD DAY"} and set(table["spk2gender"].values()) == {"f"}
        for utt, path in table["wav.scp"].items():
            info = soundfile.info(str(tmp_path / path))
            assert info.channels == 1 and abs(info.frames / info.samplerate - 0.5) < 1e-3
            assert table["utt2dur"][utt] == f"{info.frames / info.samplerate:.6f}"
            # of three codings only MP3 was decoded
            assert path.startswith("out/wav/") == (table["utt2lang"][utt] == "dd")
    assert {"aa", "bb-C", "dd"} == set(tables["tr"]["utt2lang"].values())
    # no name of the corpus's in any file
    written = "".join(path.read_text() for path in out.rglob("*") if path.is_file() and path.suffix != ".wav")
    assert not any(client in written for client in ("dev1", "test2", "many", "three"))


def test_a_rerun_keeps_what_was_decoded(corpus, command, tmp_path):
    command(corpus, check=True)
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    made = sorted((tmp_path / "out/wav").rglob("*.wav"))
    assert len(made) == 3
    times = {path: path.stat().st_mtime_ns for path in made[1:]}
    made[0].unlink()
    command(corpus, "--nj", 2, check=True)
    assert before == {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert times == {path: path.stat().st_mtime_ns for path in times}
    done = command(corpus, "--set", "corpus.commonvoice.rate=8000")
    assert done.returncode == 1 and "holds a corpus of other options" in done.stderr


def test_languages(corpus, command, tmp_path):
    command(corpus, "--set", "corpus.commonvoice.languages=[bb-C]", check=True)
    assert people(tmp_path / "out/tr") == ids("two", "both") and people(tmp_path / "out/tt") == ids("test2")
    done = command(corpus, "--set", "corpus.commonvoice.languages=[aa, zz]")
    assert (
        done.returncode == 1
        and "no zz/validated.tsv in it; corpus.commonvoice.languages may name aa, bb-C, dd" in done.stderr
    )
    for value in ("[]", "aa"):
        done = command(corpus, "--set", f"corpus.commonvoice.languages={value}")
        assert done.returncode == 1 and "languages: " in done.stderr and done.stderr.count("\n") == 1
    done = command(corpus, "--set", "corpus.commonvoice.languages=[dd]")
    assert done.returncode == 1 and "none of its test speakers is in the languages read" in done.stderr


def test_without_a_development_speaker_there_is_no_dev(corpus, command, split, tmp_path):
    command(corpus, check=True)
    write_split(split, "fewer", [Held(known("test1"), "test", "aa")])
    done = command(corpus, check=True)
    assert "dev" not in done.stdout and not (tmp_path / "out/dev").exists()


@pytest.mark.parametrize("fraction, counts, valid", [
    (0.1, {f"s{n:03d}": 2 for n in range(100)}, 20),
    (0.5, {f"s{n:03d}": 2 for n in range(10)}, 10),
    (0.99, {"a": 2, "b": 5}, 5),
    (0.1, {**{f"s{n:03d}": 1 for n in range(100)}, "a": 3, "b": 7}, 1),
    (0.1, {"a": 200}, 20),
])  # fmt: skip
def test_share_of_validation(tmp_path, split, fraction, counts, valid):
    write_language(tmp_path / "cv", "aa", {"test1": 1})
    table = tmp_path / "cv/aa/validated.tsv"
    rows = [line(client, f"{client}{n}.wav") for client, count in counts.items() for n in range(count)]
    table.write_text(table.read_text() + "\n".join(rows) + "\n")
    sets = split_clips(read_clips(tmp_path / "cv/aa"), CommonvoiceOptions(split=str(split), valid_fraction=fraction))
    assert len(sets["cv"]) == valid and len(sets["tr"]) + valid == sum(counts.values())
    assert {clip.speaker for clip in sets["tr"]} == ids(*counts)


# ---------------------------------------------------------------- errors


def test_no_corpus(corpus, command, tmp_path, contrasep):
    done = contrasep("prepare-corpus", "commonvoice", "--config", tmp_path / "c.yaml", "--out", "out")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "name a local copy with --corpus DIR" in done.stderr and "account" in done.stderr
    done = command(corpus.parent)
    assert done.returncode == 1 and f"no LANG/validated.tsv in it; give {corpus}" in done.stderr
    done = command(corpus / "aa")
    assert done.returncode == 1 and "give the folder that holds the languages' folders" in done.stderr


def test_missing_and_bad_clips_are_counted_and_left_out(corpus, command, tmp_path):
    clips = corpus / "aa" / "clips"
    names = sorted(path.name for path in clips.iterdir())
    for name in names[4:9]:  # of speaker 'many'
        (clips / name).unlink()
    (clips / names[9]).write_bytes(b"no audio at all" * 50)
    (clips / names[10]).write_bytes(b"")
    soundfile.write(clips / names[11], np.zeros(4000), 16000)
    done = command(corpus, check=True)
    assert f"5 clips are missing and left out: aa/{names[4]}, aa/{names[5]}, aa/{names[6]}, .." in done.stderr
    assert "3 clips cannot be used and are left out: " in done.stderr
    for name in names[9:12]:
        assert f"aa/clips/{name}: " in done.stderr
    assert "Traceback" not in done.stderr
    assert sum(map(int, done.stdout.split()[2::3])) == 26 - 8
    for path in (corpus / "dd" / "clips").iterdir():
        path.unlink()
    done = command(corpus, "--set", "corpus.commonvoice.languages=[dd]")
    assert done.returncode == 1 and "none of the 3 clips of its tables exists" in done.stderr


@pytest.mark.parametrize("content, says", [
    ("", "validated.tsv:1: no column 'client_id'"),
    (HEADER.replace("path", "paths") + "\n", ":1: no column 'path'"),
    (f"{HEADER}\n{line('a', 'x.mp3')}\textra\n", ":2: expected 10 fields between tabs, got 11"),
    (f"{HEADER}\n{line('a', 'x.mp3', 'torn' + chr(10) + 'line')}\n", ":2: expected 10 fields between tabs, got 3"),
    (f"{HEADER}\n{line('a', 'x.mp3')}\n\n{line('a', 'y.mp3')}\n", ":3: expected 10 fields"),
    (f"{HEADER}\n{line('a', 'x.mp3')}\n{line('b', 'x.mp3')}\n", ":3: clip 'x.mp3' stands in line 2 too"),
    (f"{HEADER}\n{line(' ', 'x.mp3')}\n", ":2: no client_id"),
    *((f"{HEADER}\n{line('a', path)}\n", ":2: path") for path in
      ("", ".", "..", "../x.mp3", "/etc/passwd", "a/b.mp3", "a\\b.mp3", "a\0b.mp3", "a\rb.mp3")),
])  # fmt: skip
def test_malformed_tables(corpus, command, content, says):
    (corpus / "aa" / "validated.tsv").write_bytes(content.encode())
    done = command(corpus)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert f"{corpus}/aa/validated.tsv" in done.stderr and says in done.stderr, done.stderr


def test_text_that_is_not_utf8(corpus, command):
    (corpus / "aa" / "validated.tsv").write_bytes(f"{HEADER}\n{line('a', 'x.mp3', 'gr')}\n".encode("utf-16"))
    done = command(corpus)
    assert done.returncode == 1 and "aa/validated.tsv: not UTF-8 text" in done.stderr


def test_tables_of_other_systems(tmp_path):
    folder = tmp_path / "xx"
    folder.mkdir()
    # a mark of byte order, other line ends, no end of the last line, other columns, separators within a sentence
    sentence = "one\u2028two\x85three\x0bfour"
    text = f"path\tclient_id\tsentence\tvariant\r\nx.mp3\ta\t{sentence}\t\r\ny.mp3\tb\t\t"
    (folder / "validated.tsv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    clips = read_clips(folder)
    assert [(clip.path.name, clip.speaker) for clip in clips] == [
        ("x.mp3", f"cv{known('a')}"),
        ("y.mp3", f"cv{known('b')}"),
    ]
    assert clips[0].text == "ONE TWO THREE FOUR" and clips[1].text is None and clips[0].gender is None


@pytest.mark.parametrize("field, text", [
    ('"Popov ""Neden?"" diye"', "POPOV NEDEN DIYE"),
    ('"unpaired', "UNPAIRED"),
    ("L’été, c'est 3°", "L'ÉTÉ C'EST 3"),
    ("Straße", "STRASSE"),
    ("你好，世界。", "你好 世界"),
    ("हिन्दी", "हिन्दी"),
    ('"', ""),
    ("...", ""),
])  # fmt: skip
def test_sentences(field, text):
    assert words(unquote(field)) == text


# ---------------------------------------------------------------- clips


@pytest.mark.parametrize("suffix", [".mp3", ".opus", ".m4a", ".webm"])
def test_codings(tmp_path, suffix):
    pytest.importorskip("av")
    original = sound(3, 1.0, 48000)
    encode(tmp_path / f"a{suffix}", original, 48000)
    heard = hear_clip(str(tmp_path / f"a{suffix}"), str(tmp_path / "a.wav"), 16000)
    assert not heard.error and abs(heard.samples / heard.rate - 1.0) < 0.05
    if suffix == ".opus":  # libsndfile reads it whole
        assert heard.path.endswith(".opus")
    else:
        assert heard.path.endswith("a.wav") and heard.rate == 16000
        assert soundfile.info(heard.path).subtype == "PCM_16" and soundfile.info(heard.path).frames == heard.samples
    samples, rate = soundfile.read(heard.path)
    reference = original[:: 48000 // rate]
    lag = np.argmax(np.correlate(samples, reference[:4000], "valid")[: rate // 10])
    samples = samples[lag : lag + len(reference)]
    assert np.corrcoef(samples, reference[: len(samples)])[0, 1] > 0.95


def test_channels_rates_and_other_suffixes(corpus, split, tmp_path):
    stereo = np.stack([sound(1, 0.5, 44100), 0 * sound(1, 0.5, 44100)], axis=1)
    soundfile.write(tmp_path / "s.wav", stereo, 44100, subtype="PCM_16")
    heard = hear_clip(str(tmp_path / "s.wav"), str(tmp_path / "made.wav"), 16000)
    made, rate = soundfile.read(heard.path)
    assert (rate, made.ndim) == (16000, 1) and np.abs(made).max() == pytest.approx(np.abs(stereo).max() / 2, rel=0.1)
    # a rate below the highest stays
    soundfile.write(tmp_path / "t.wav", np.stack([sound(1, 0.5, 8000)] * 2, axis=1), 8000)
    assert hear_clip(str(tmp_path / "t.wav"), str(tmp_path / "t_made.wav"), 16000).rate == 8000
    # encoded anew, the tables as they were
    for path in (corpus / "aa" / "clips").iterdir():
        path.rename(path.with_suffix(".flac"))
    clips, notes = find_clips(corpus, CommonvoiceOptions(split=str(split)))
    assert len(clips) == 26 and all(clip.path.is_file() for clip in clips) and len(notes) == 1


def test_nothing_but_audio_is_decoded(tmp_path):
    pytest.importorskip("av")
    soundfile.write(tmp_path / "secret.wav", sound(1), 16000)
    lists = {
        "a.mp3": f"ffconcat version 1.0\nfile {tmp_path / 'secret.wav'}\n",
        "b.mp3": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{tmp_path / 'secret.wav'}\n#EXT-X-ENDLIST\n",
    }
    for name, content in lists.items():
        (tmp_path / name).write_text(content)
        with pytest.raises(ContrasepError, match="cannot be decoded"):
            decode_audio(tmp_path / name)
    with pytest.raises(ContrasepError, match="no such audio file"):
        decode_audio("concat:" + str(tmp_path / "secret.wav"))


# ---------------------------------------------------------------- the real thing


@pytest.mark.skipif(not SHARED.is_dir(), reason="no real speech: ../shared/corpora/CommonVoice is not there")
def test_real_copy():
    options = CommonvoiceOptions()
    clips, notes = find_clips(SHARED, options)
    assert len(clips) == 3282 and len({clip.speaker for clip in clips}) == 1903
    assert len(notes) == 1 and notes[0].startswith("13 speakers have clips in several languages")
    sets = split_clips(clips, options)
    held = read_split(find_split(options.split))
    speakers = {name: {clip.speaker for clip in own} for name, own in sets.items()}
    for name, part in (("dev", "dev"), ("tt", "test")):
        assert speakers[name] == {f"cv{speaker}" for speaker in speakers_of(held, part)} and len(speakers[name]) == 100
        assert not speakers[name] & (speakers["tr"] | speakers["cv"])
    assert not speakers["dev"] & speakers["tt"] and speakers["cv"] < speakers["tr"] and len(speakers["tr"]) == 1703
    assert sum(map(len, sets.values())) == 3282 and len(sets["cv"]) > 150
    five = Counter(entry.group for entry in held if entry.part == "dev")
    by_language = Counter(clip.language for clip in {clip.speaker: clip for clip in sets["dev"]}.values())
    assert all(by_language[language] >= 18 for language in five)
