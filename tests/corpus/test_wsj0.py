"""WSJ0: trees of every form, completeness by file, all errors at once."""

import errno
import hashlib
import os
import re
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import soundfile

from contrasep_lib.corpus.wsj0_lists import CHECKSUMS, fetch_lists, read_lists
from contrasep_lib.corpus.wsj0_tree import REHEARSAL, file_key, find_files
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.audio import write_wav
from contrasep_lib.io.scp import read_table
from contrasep_lib.io.sphere import HEADER_BYTES, read_sphere, write_sphere

LISTS = {
    "tr": ["wsj0/si_tr_s/01a/01ac0201.wav 1.5 wsj0/si_tr_s/02b/02bc0201.wav -1.5",
           "wsj0/si_tr_s/01a/01ac0202.wav 0.2 wsj0/si_tr_s/02b/02bc0201.wav -0.2"],
    "cv": ["wsj0/si_tr_s/01a/01ac0203.wav 1 wsj0/si_tr_s/02b/02bc0203.wav -1"],
    "tt": ["wsj0/si_dt_05/050/050c0101.wav 2 wsj0/si_et_05/440/440c0201.wav -2"],
}
KEYS = sorted({file_key(word) for lines in LISTS.values() for line in lines for word in line.split()[::2]})


def pcm(key, rng=None):
    rng = rng or np.random.default_rng(list(key.encode()))
    return np.round(rng.standard_normal(rng.integers(4000, 9000)) * 800).astype(np.int16)


def place(tree, key, layout, suffix):
    folder, speaker, utt = key.split("/")
    if layout == "flat":
        return tree / "wsj0" / folder / speaker / f"{utt}{suffix}"
    disk = {"si_tr_s": "11-1.1", "si_dt_05": "11-4.1", "si_et_05": "11-5.1"}[folder]
    inside = PurePosixPath("wsj0", folder, speaker, f"{utt}{suffix}")
    return tree / disk / (str(inside).upper() if layout == "upper" else inside)


def write(path, samples, rate=16000):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() in (".wav", ".flac"):
        soundfile.write(path, samples, rate, subtype="PCM_16", format=path.suffix[1:].upper())
    else:
        write_sphere(path, samples, rate, shorten=len(samples) % 2 == 0)


def edit_header(path, field, value):
    data = path.read_bytes()
    header = (
        re.sub(rf"{field} -i \d+", f"{field} -i {value}", data[:HEADER_BYTES].decode()).rstrip(" ").ljust(HEADER_BYTES)
    )
    path.write_bytes(header.encode() + data[HEADER_BYTES:])


@pytest.fixture
def lists(tmp_path):
    folder = tmp_path / "lists"
    folder.mkdir()
    for name, lines in LISTS.items():
        (folder / f"mix_2_spk_{name}.txt").write_text("".join(line + " \n" for line in lines))
    for folder_name in ("si_tr_s", "si_dt_05", "si_et_05"):
        levels = (
            f"{key.rpartition('/')[2]} {1e-4 * (n + 1):.16e}\n"
            for n, key in enumerate(KEYS)
            if key.startswith(folder_name)
        )
        (folder / f"activlev_{folder_name}.txt").write_text("".join(levels))
    return folder


def make_tree(tmp_path, layout="disks", suffix=".wv1"):
    tree = tmp_path / "corpus"
    for key in KEYS:
        write(place(tree, key, layout, suffix), pcm(key))
    return tree


@pytest.fixture
def prepare(contrasep, config, lists, tmp_path):
    def call(tree, *options, num_spk=2):
        whole = [
            "prepare-corpus",
            "wsj0",
            "--config",
            config,
            "--set",
            "mix.active_level=published",
            "--mix-lists",
            lists,
        ]
        return contrasep(*whole, "--corpus", tree, "--num-spk", num_spk, "--out", tmp_path / "out", *options)

    return call


@pytest.mark.parametrize("layout", ["disks", "upper", "flat"])
@pytest.mark.parametrize("suffix", [".wv1", ".wav", ".flac"])
def test_trees_of_every_form(tmp_path, prepare, layout, suffix):
    tree = make_tree(tmp_path, layout, suffix)
    done = prepare(tree)
    assert done.returncode == 0, done.stderr
    assert "tr  si_tr_s: 3 of 3 files found" in done.stdout and "tt  si_et_05: 1 of 1 files found" in done.stdout
    out = tmp_path / "out"
    for name, keys in (("tr", KEYS[2:4] + ["si_tr_s/02b/02bc0201"]), ("tt", KEYS[:2])):
        wav = read_table(out / name / "wav.scp")
        assert sorted(wav) == sorted(key.rpartition("/")[2] for key in keys)
        for key in keys:
            utt = key.rpartition("/")[2]
            samples, rate = soundfile.read(wav[utt], dtype="int16")
            assert rate == 16000 and Path(wav[utt]).is_relative_to(out if suffix == ".wv1" else tree)
            np.testing.assert_array_equal(samples, pcm(key))
            assert float(read_table(out / name / "utt2dur")[utt]) == pytest.approx(len(samples) / 16000, abs=1e-6)
    assert read_table(out / "tr" / "utt2spk") == {"01ac0201": "01a", "01ac0202": "01a", "02bc0201": "02b"}
    assert {utt: float(level) for utt, level in read_table(out / "tt" / "utt2level").items()} == {
        "050c0101": 1e-4,
        "440c0201": 2e-4,
    }
    assert not (out / "label").exists() and not (out / "wsj0_errors.txt").exists()
    rows = [line.split("\t") for line in (out / "wsj0_files.tsv").read_text().splitlines()]
    assert rows[0] == ["set", "file", "state", "path"] and len(rows) == 1 + len(KEYS)
    assert {row[2] for row in rows[1:]} == {"found"}


def test_the_far_microphone_is_never_taken(tmp_path, prepare):
    tree = make_tree(tmp_path)
    for key in KEYS:
        write(place(tree, key, "disks", ".wv2"), -pcm(key))
    assert prepare(tree).returncode == 0
    for name in LISTS:
        for utt, path in read_table(tmp_path / "out" / name / "wav.scp").items():
            key = next(key for key in KEYS if key.endswith(utt))
            np.testing.assert_array_equal(soundfile.read(path, dtype="int16")[0], pcm(key))
    os.remove(place(tree, KEYS[0], "disks", ".wv1"))
    done = prepare(tree, "--out", tmp_path / "other")
    assert done.returncode == 1
    assert "of 1 there is only the far microphone's .wv2, which is never taken" in done.stderr


def test_files_on_disk_go_before_what_was_made_of_them(tmp_path, prepare):
    tree = make_tree(tmp_path)
    for key in KEYS:
        write(place(tree, key, "flat", ".wav"), -pcm(key))
    assert prepare(tree).returncode == 0
    path = read_table(tmp_path / "out/tt/wav.scp")["050c0101"]
    np.testing.assert_array_equal(soundfile.read(path, dtype="int16")[0], pcm(KEYS[0]))


def test_sphere_under_the_name_wav_versions_and_links(tmp_path, prepare):
    tree = tmp_path / "corpus"
    for number, key in enumerate(KEYS):
        path = place(tree, key, "flat", ".wv1")
        write(path, pcm(key))
        path.rename(path.with_suffix(".wav") if number % 2 else path.with_name(path.name.upper() + ";1"))
    (tree / "wsj0/si_tr_s/loop").symlink_to(tree)
    (tmp_path / "links").mkdir()
    (tmp_path / "links/disk").symlink_to(tree)
    assert prepare(tmp_path / "links").returncode == 0
    path = read_table(tmp_path / "out/tr/wav.scp")["02bc0201"]
    np.testing.assert_array_equal(soundfile.read(path, dtype="int16")[0], pcm("si_tr_s/02b/02bc0201"))


def test_all_errors_are_reported_at_once_and_nothing_is_lost(tmp_path, prepare, lists):
    tree = make_tree(tmp_path)
    at = {key: place(tree, key, "disks", ".wv1") for key in KEYS}
    os.remove(at["si_et_05/440/440c0201"])
    whole = at["si_tr_s/01a/01ac0201"].read_bytes()
    at["si_tr_s/01a/01ac0201"].write_bytes(whole[:-1500])
    at["si_tr_s/01a/01ac0202"].write_bytes(b"not a recording")
    write(at["si_tr_s/01a/01ac0203"], pcm("x"), rate=8000)
    write(at["si_tr_s/02b/02bc0201"], np.zeros(4000, np.int16))
    edit_header(at["si_tr_s/02b/02bc0203"], "sample_count", 0)
    (lists / "activlev_si_dt_05.txt").unlink()
    done = prepare(tree)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    for says in (
        "1 files of si_et_05 are missing, e.g. si_et_05/440/440c0201; there is none at all: a disk is missing",
        "01ac0201.wv1: truncated", "01ac0202.wv1: no SPHERE file", "01ac0203.wv1: 8000 Hz, WSJ0 has 16000 Hz",
        "02bc0201.wv1: all zero", "02bc0203.wv1: no samples in it", "activlev_si_dt_05.txt: no such table of levels",
    ):
        assert sum(says in line for line in done.stderr.splitlines()) == 1, (says, done.stderr)
    assert "7 errors; all are in" in done.stderr
    out = tmp_path / "out"
    assert len((out / "wsj0_errors.txt").read_text().splitlines()) == 7
    assert not (out / "tr").exists() and not (out / "lists").exists()
    assert "missing\t-" in (out / "wsj0_files.tsv").read_text()
    kept = out / "wsj0/si_dt_05/050/050c0101.wav"
    before = kept.stat().st_mtime_ns
    make_tree(tmp_path)
    levels = "".join(f"{key.rpartition('/')[2]} 1e-4\n" for key in KEYS)
    (lists / "activlev_si_dt_05.txt").write_text(levels)
    assert prepare(tree).returncode == 0
    assert kept.stat().st_mtime_ns == before and not (out / "wsj0_errors.txt").exists()


def test_missing_speakers(tmp_path, prepare):
    tree = make_tree(tmp_path)
    for key in KEYS:
        if "/02b/" in key:
            os.remove(place(tree, key, "disks", ".wv1"))
    done = prepare(tree)
    assert done.returncode == 1 and "2 files of si_tr_s are missing" in done.stderr
    assert "1 speakers have no file at all: a disk is missing" in done.stderr


def test_faulty_lists(tmp_path, prepare, lists):
    tree = make_tree(tmp_path)
    with open(lists / "mix_2_spk_tr.txt", "a") as file:
        file.write("wsj0/si_tr_s/01a/01ac0201.wav 1.5\n")
        file.write("wsj0/si_tr_s/01a/01ac0201.wav 1.50 wsj0/si_tr_s/02b/02bc0201.wav -1.5\n")
        file.write("wsj0/si_tr_s/01a/01ac0201.wav loud wsj0/si_tr_s/02b/02bc0201.wav -1.5\n")
    (lists / "mix_2_spk_cv.txt").write_text("01ac0203.wav 1 wsj0/si_tr_s/02b/02bc0203.wav -1\n")
    (lists / "mix_2_spk_tt.txt").unlink()
    done = prepare(tree)
    assert done.returncode == 1
    for says in ("line 3: expected 4 fields ('source gain' 2 times), got 2",
                 "line 4 has the name of line 1", "expected a gain from -100 to 100 dB, got 'loud'",
                 "list of cv: source '01ac0203.wav': no file of WSJ0", "mix_2_spk_tt.txt: no such list"):
        assert says in done.stderr
    done = prepare(tree, num_spk=4)
    assert done.returncode == 1 and done.stderr.count("no such list; --mix-lists names") == 3


def test_sets_that_share_a_file(tmp_path, prepare, lists):
    (lists / "mix_2_spk_cv.txt").write_text(LISTS["tr"][0] + "\n")
    done = prepare(make_tree(tmp_path))
    assert done.returncode == 1 and "lists of tr and cv share 2 files, e.g. si_tr_s/01a/01ac0201" in done.stderr


def test_levels_are_needed_only_where_they_are_asked_for(tmp_path, prepare, lists):
    tree = make_tree(tmp_path)
    content = (lists / "activlev_si_tr_s.txt").read_text().splitlines()
    (lists / "activlev_si_tr_s.txt").write_text("\n".join(content[1:]) + "\n")
    done = prepare(tree)
    assert done.returncode == 1 and "1 files have no published level" in done.stderr and "--activlev p56" in done.stderr
    (lists / "activlev_si_tr_s.txt").write_text("01ac0201 none\n")
    done = prepare(tree)
    assert done.returncode == 1 and "activlev_si_tr_s.txt: line 1: expected 'utterance level'" in done.stderr
    assert prepare(tree, "--set", "mix.active_level=p56").returncode == 0
    assert not (tmp_path / "out/tr/utt2level").exists()


def test_no_folder_of_wsj0(contrasep, config, lists, tmp_path, prepare):
    done = contrasep("prepare-corpus", "wsj0", "--config", config, "--mix-lists", lists, "--num-spk", 2, "--out", "o")
    assert done.returncode == 1 and "--wsj0 DIR, or once in db.sh" in done.stderr and done.stderr.count("\n") == 1
    done = prepare(tmp_path / "nowhere")
    assert done.returncode == 1 and "no such folder; --wsj0" in done.stderr


def test_a_doubtful_checksum_is_reported_and_the_file_used(tmp_path, prepare):
    tree = make_tree(tmp_path)
    path = place(tree, KEYS[0], "disks", ".wv1")
    edit_header(path, "sample_checksum", int(pcm(KEYS[0]).astype(int).sum() + 1) & 0xFFFF)
    done = prepare(tree)
    assert (
        done.returncode == 0
        and f"1 files have another sum of samples than their headers state, e.g. {path}" in done.stderr
    )
    np.testing.assert_array_equal(read_sphere(path)[0], pcm(KEYS[0]))


def test_a_full_disk_is_one_line_and_the_next_run_goes_on(tmp_path, prepare, monkeypatch):
    tree = make_tree(tmp_path)

    def write_some(path, samples, rate):
        if "si_tr_s" in path:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        write_wav(path, samples, rate)

    with monkeypatch.context() as patch:
        patch.setattr("contrasep_lib.corpus.wsj0.write_wav", write_some)
        done = prepare(tree)
    assert done.returncode == 1 and "No space left on device" in done.stderr and "Traceback" not in done.stderr
    kept = tmp_path / "out/wsj0/si_dt_05/050/050c0101.wav"
    before = kept.stat().st_mtime_ns
    assert prepare(tree).returncode == 0 and kept.stat().st_mtime_ns == before


def test_a_rehearsal_is_never_taken_for_wsj0(tmp_path, prepare):
    tree = make_tree(tmp_path)
    (tree / REHEARSAL).write_text("rehearsal with noise\n")
    assert prepare(tree).returncode == 0
    assert (tmp_path / "out/label").read_text() == "rehearsal with noise\n"
    (tree / REHEARSAL).unlink()
    done = prepare(tree)
    assert (
        done.returncode == 1
        and "holds files of rehearsal with noise, " in done.stderr
        and "is WSJ0; delete it" in done.stderr
    )


@pytest.mark.parametrize("source", ["x.wav", "01a/01ac0201.wav", "wsj0/si_tr_s/01a/02ac0201.wav"])
def test_sources_that_are_no_files_of_wsj0(source):
    with pytest.raises(ContrasepError, match="no file of WSJ0"):
        file_key(source)


def test_search_takes_only_what_the_lists_name(tmp_path):
    tree = make_tree(tmp_path)
    found = find_files(tree, KEYS[:2] + ["si_tr_s/01a/01ac0299"])
    assert sorted(found.files) == KEYS[:2] and not found.far_only


def test_lists_are_fetched_with_their_checksums(tmp_path, monkeypatch):
    upstream = tmp_path / "upstream"
    (upstream / "activlev").mkdir(parents=True)
    for name in CHECKSUMS:
        path = upstream / ("activlev" if name.startswith("activlev") else "") / name
        path.write_text(f"content of {name}\n")
        monkeypatch.setitem(CHECKSUMS, name, hashlib.md5(path.read_bytes()).hexdigest())
    got = fetch_lists(tmp_path / "downloads", 3, servers=[upstream.as_uri()])
    assert sorted(path.name for path in got.iterdir()) == sorted(name for name in CHECKSUMS if "_2_" not in name)
    monkeypatch.setitem(CHECKSUMS, "mix_2_spk_tr.txt", "0" * 32)
    with pytest.raises(ContrasepError, match="MD5 .* --mix-lists DIR"):
        fetch_lists(tmp_path / "downloads", 2, servers=[upstream.as_uri()])
    with pytest.raises(
        ContrasepError, match="lists of 2 and 3 talkers can be fetched; .*mix_5_spk_tr.txt by --mix-lists"
    ):
        fetch_lists(tmp_path / "downloads", 5, servers=[upstream.as_uri()])


@pytest.fixture
def upstream(server, monkeypatch):
    """A server of lists and levels, of a length that takes several blocks to send."""
    for name in CHECKSUMS:
        content = f"content of {name}\n".encode() * 20_000
        server.files[f"/activlev/{name}" if name.startswith("activlev") else f"/{name}"] = content
        monkeypatch.setitem(CHECKSUMS, name, hashlib.md5(content).hexdigest())
    monkeypatch.setattr("contrasep_lib.corpus.download.time.sleep", lambda seconds: None)
    return server


def fetch_from(upstream, folder):
    return fetch_lists(folder, 2, servers=[upstream.url("").rstrip("/")])


def test_lists_upstream_lost_one(upstream, tmp_path):
    kept = upstream.files.pop("/activlev/activlev_si_dt_05.txt")
    with pytest.raises(
        ContrasepError, match=r"activlev_si_dt_05\.txt: cannot be downloaded \(http.*404 Not Found\); --mix-lists DIR"
    ):
        fetch_from(upstream, tmp_path)
    folder = tmp_path / "wsj0mix_lists"
    assert len(list(folder.iterdir())) == 4 and not (folder / "activlev_si_dt_05.txt").exists()
    # what is there is not fetched again
    upstream.files["/activlev/activlev_si_dt_05.txt"] = kept
    del upstream.requests[:]
    fetch_from(upstream, tmp_path)
    assert [path for path, _ in upstream.requests] == [
        "/activlev/activlev_si_dt_05.txt",
        "/activlev/activlev_si_et_05.txt",
    ]


def test_lists_upstream_changed_are_not_taken(upstream, tmp_path):
    upstream.files["/mix_2_spk_cv.txt"] += b"one line more\n"
    with pytest.raises(ContrasepError, match="mix_2_spk_cv.txt: MD5 .* where .* is right, twice; .* --mix-lists DIR"):
        fetch_from(upstream, tmp_path)
    assert [path.name for path in (tmp_path / "wsj0mix_lists").iterdir()] == ["mix_2_spk_tr.txt"]


def test_lists_interrupted_go_on(upstream, tmp_path):
    upstream.plan = [("serve", 0), ("break", 100_000), *[("status", 503)] * 5]
    with pytest.raises(
        ContrasepError, match=r"mix_2_spk_cv\.txt: cannot be downloaded .*503.*part is kept .*--mix-lists DIR"
    ):
        fetch_from(upstream, tmp_path)
    folder = tmp_path / "wsj0mix_lists"
    assert sorted(path.name for path in folder.iterdir()) == ["mix_2_spk_cv.txt.part", "mix_2_spk_tr.txt"]
    upstream.plan = [("break", 50_000), ("serve", 0)]
    del upstream.requests[:]
    assert fetch_from(upstream, tmp_path) == folder
    assert upstream.requests[:2] == [("/mix_2_spk_cv.txt", "bytes=100000-"), ("/mix_2_spk_cv.txt", "bytes=150000-")]
    assert {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in folder.iterdir()} == {
        name: value for name, value in CHECKSUMS.items() if "_3_" not in name
    }


def test_checksums_are_those_of_the_lists_at_hand():
    folder = Path(__file__).resolve().parents[2].parent / "shared/wsj0mix_lists"
    if not folder.is_dir():
        pytest.skip(f"no lists of WSJ0-mix in {folder}")
    for name, md5 in CHECKSUMS.items():
        assert hashlib.md5((folder / name).read_bytes()).hexdigest() == md5
    for num_spk, used in ((2, 8769 + 3557 + 1123 + 647), (3, 8884 + 3775 + 1190 + 650)):
        lists, errors = read_lists(folder, num_spk)
        assert not errors
        files = {source for mixtures in lists.values() for m in mixtures for source in m.sources}
        assert len({file_key(source) for source in files}) == len(files) == used
