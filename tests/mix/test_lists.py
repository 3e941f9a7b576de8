"""Lists: drawing, format, errors; against lines in the format of WSJ0-mix."""

import collections
import shutil

import numpy as np
import pytest

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.ids import is_id
from contrasep_lib.mix.lists import (
    Mixture,
    draw_gains,
    draw_list,
    format_gain,
    matlab_number,
    read_list,
    write_list,
)

UTT2SPK = {f"s{speaker}-{number}": f"s{speaker}" for speaker in range(6) for number in range(speaker + 1)}


@pytest.mark.parametrize("gain, printed", [(0.450124, "0.45012"), (-1.9857, "-1.9857"), (0.0799691, "0.079969"),
                                           (0.0, "0"), (2.5, "2.5"), (1.6170000001, "1.617")])
def test_gains_are_printed_as_matlab_does(gain, printed):
    assert format_gain(gain) == printed


@pytest.mark.parametrize("value, printed", [
    (0.450124, "0.45012"), (-0.450124, "-0.45012"), (0.0799691, "0.079969"), (2.5, "2.5"), (0, "0"), (-0.0, "0"),
    (12.345678, "12.3457"), (-123.456789, "-123.4568"), (100, "100"), (0.00012345678, "0.00012346"), (1e-5, "1e-05"),
    (9.999999, "10"),
])
def test_numbers_in_names_are_those_of_num2str(value, printed):
    assert matlab_number(value) == printed


def test_names_do_not_depend_on_how_a_list_writes_its_gains():
    assert Mixture(("a", "b"), ("0.450124", "-0.45012400")).name == "a_0.45012_b_-0.45012"
    assert Mixture(("a", "b"), ("2.10", "-2.1e0")).name == "a_2.1_b_-2.1"


def test_names_fit_into_a_file_name(tmp_path):
    """Those of ten talkers: 264 bytes. What fits keeps its name."""
    many = Mixture(tuple(f"{1000 + n}-{123456 + n}-0001é" for n in range(10)), ("0.450124", "-0.450124") * 5)
    other = Mixture((*many.sources[:-1], "1009-123465-0002é"), many.gains)
    assert many.name != other.name and many.name[:200] == other.name[:200]
    for mixture in (many, other):
        assert is_id(mixture.name) and mixture.name.startswith("1000-123456-0001é_0.45012_1001-")
        (tmp_path / f"{mixture.name}.wav").touch()
    few = Mixture(many.sources[:7], many.gains[:7])
    assert few.name == "_".join(f"{utt}_{float(gain):.5g}" for utt, gain in zip(few.sources, few.gains))


@pytest.mark.parametrize("num_spk", range(1, 8))
def test_gains_come_in_opposite_pairs(num_spk, rng):
    for _ in range(50):
        gains = draw_gains(num_spk, 2.5, rng)
        assert len(gains) == num_spk
        for first, second in zip(gains[::2], gains[1::2]):
            assert first == -second and 0 < first <= 2.5
        assert num_spk % 2 == 0 or gains[-1] == 0


@pytest.mark.parametrize("num_spk", [2, 3, 5])
def test_speakers_differ_and_are_drawn_evenly(num_spk):
    mixtures = draw_list(UTT2SPK, num_spk, 600, 2.5, [0])
    assert len({mixture.name for mixture in mixtures}) == 600
    uses = collections.Counter()
    for mixture in mixtures:
        speakers = [UTT2SPK[utt] for utt in mixture.sources]
        assert len(set(speakers)) == num_spk
        uses.update(speakers)
    expected = 600 * num_spk / 6
    assert max(abs(count - expected) for count in uses.values()) < 5 * np.sqrt(expected)


def test_utterances_of_a_speaker_are_used_evenly():
    uses = collections.Counter(utt for m in draw_list(UTT2SPK, 2, 300, 2.5, [1]) for utt in m.sources)
    for speaker in range(6):
        counts = [uses[f"s{speaker}-{number}"] for number in range(speaker + 1)]
        assert max(counts) - min(counts) <= 1


def test_the_seed_decides():
    assert draw_list(UTT2SPK, 3, 20, 2.5, [3]) == draw_list(dict(reversed(UTT2SPK.items())), 3, 20, 2.5, [3])
    assert draw_list(UTT2SPK, 3, 20, 2.5, [3]) != draw_list(UTT2SPK, 3, 20, 2.5, [4])


def test_too_few_speakers_or_utterances():
    with pytest.raises(ContrasepError, match="at least 7 speakers for 7 talkers in a mixture, the set has 6"):
        draw_list(UTT2SPK, 7, 1, 2.5, [0])
    assert len(draw_list(UTT2SPK, 1, len(UTT2SPK), 2.5, [0])) == len(UTT2SPK)
    with pytest.raises(ContrasepError, match="single-speaker items, one an utterance, got 22"):
        draw_list(UTT2SPK, 1, 22, 2.5, [0])


def test_round_trip(tmp_path):
    mixtures = draw_list(UTT2SPK, 3, 10, 2.5, [0])
    write_list(tmp_path / "l", mixtures)
    assert read_list(tmp_path / "l", 3) == mixtures


def test_paths_name_files_as_wsj0_mix_does(tmp_path):
    (tmp_path / "l").write_text("wsj0/si_tr_s/40n/40na010x.wav 1.9857 wsj0/si_tr_s/01x/01xo031a.wav -1.9857 \n")
    [mixture] = read_list(tmp_path / "l")
    assert mixture.name == "40na010x_1.9857_01xo031a_-1.9857"
    assert Mixture(("a", "b", "c"), ("1", "-1", "0")).name == "a_1_b_-1_c_0"


def test_all_errors_are_reported_at_once(tmp_path):
    (tmp_path / "l").write_text("a 1 b -1\na 1 b\nc x d 1\na 1 b -1.0\nc 1e999 d 1\n")
    with pytest.raises(ContrasepError) as error:
        read_list(tmp_path / "l")
    message = str(error.value)
    assert "line 2: expected 4 fields ('source gain' 2 times), got 3" in message
    assert "line 3: expected a gain from -100 to 100 dB, got 'x'" in message
    assert "line 4 has the name of line 1" in message and "4 errors in all" in message and "\n" not in message


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_empty_or_missing_list(tmp_path, content):
    with pytest.raises(ContrasepError, match="no such list"):
        read_list(tmp_path / "none")
    (tmp_path / "l").write_text(content)
    with pytest.raises(ContrasepError, match="empty list"):
        read_list(tmp_path / "l")


def test_sets_that_are_drawn_can_be_chosen(sources_dir, config, contrasep, tmp_path):
    shutil.copytree(sources_dir, sources_dir.parent / "cv")
    whole = [
        "make-lists",
        "--config",
        config,
        "--sources",
        sources_dir.parent,
        "--num-spk",
        2,
        "--set",
        "mix.sets={cv: 2, tt: 5}",
    ]
    contrasep(*whole, "--out", "all", check=True)
    contrasep(*whole, "--out", "chosen", "--sets", "tt", check=True)
    assert [path.name for path in (tmp_path / "chosen").iterdir()] == ["tt.txt"]
    assert (tmp_path / "chosen/tt.txt").read_text() == (tmp_path / "all/tt.txt").read_text()
    done = contrasep(*whole, "--out", "none", "--sets", "tt", "dev")
    assert done.returncode == 1 and "--sets: 'dev' is not in mix.sets; known: cv, tt" in done.stderr
    assert not (tmp_path / "none").exists()


def test_a_list_of_one_talker_ends_with_the_utterances(sources_dir, config, contrasep, tmp_path):
    whole = ["make-lists", "--config", config, "--sources", sources_dir.parent, "--num-spk", 1, "--out", "l"]
    done = contrasep(*whole, "--set", "mix.sets={tt: 99}", check=True)
    lines = (tmp_path / "l/tt.txt").read_text().splitlines()
    assert sorted(lines) == sorted(f"{speaker}-{number} 0" for speaker in "abcd" for number in range(3))
    assert "set tt: one talker, 99 mixtures asked for, all 12 utterances taken" in done.stderr


def test_a_corpus_with_lists_is_mixed_by_their_first_lines(sources_dir, config, contrasep, tmp_path):
    own = sources_dir.parent / "lists/mix_2_spk_tt.txt"
    write_list(own, [Mixture((f"{a}-{n}", f"{b}-{n}"), ("1", "-1")) for a, b in ("ab", "cd", "ac") for n in range(3)])
    whole = ["make-lists", "--config", config, "--sources", sources_dir.parent]
    contrasep(*whole, "--num-spk", 2, "--out", "l", check=True)
    assert (tmp_path / "l/tt.txt").read_text() == "".join(line + "\n" for line in own.read_text().splitlines()[:5])
    contrasep(*whole, "--num-spk", 2, "--out", "l", "--set", "mix.sets={tt: 99}", check=True)
    assert (tmp_path / "l/tt.txt").read_text() == own.read_text()
    done = contrasep(*whole, "--num-spk", 3, "--out", "l")
    assert done.returncode == 1 and "mix_3_spk_tt.txt: no such list" in done.stderr
