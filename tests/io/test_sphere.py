"""SPHERE and shorten: FFmpeg decodes what the encoder made, bit by bit; errors and truncations are reported."""

import numpy as np
import pytest
import soundfile

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.shorten import BLOCK, encode
from contrasep_lib.io.sphere import HEADER_BYTES, parse_header, read_checked, read_sphere, write_sphere


def signal(kind, samples, rng):
    if kind == "speech":
        x = np.convolve(rng.standard_normal(samples + 8), np.hanning(9), mode="valid") * 3000
        x[samples // 3 : samples // 2] *= 1e-3
    elif kind == "full scale":
        x = rng.choice([-32768, 32767, 0], samples)
    elif kind == "offset":
        x = rng.integers(-3, 4, samples) - 1234
    elif kind == "silence within":
        x = rng.integers(-300, 300, samples)
        x[samples // 4 : samples // 4 + 3 * BLOCK] = 0
    else:
        x = np.zeros(samples)
    return np.clip(np.round(x), -32768, 32767).astype(np.int16)


@pytest.mark.parametrize("kind", ["speech", "full scale", "offset", "silence within", "silence"])
@pytest.mark.parametrize("samples", [1, 2, 3, 100, 255, 256, 257, 511, 512, 513, 4097, 20000])
def test_shorten_is_lossless(tmp_path, rng, kind, samples):
    x = signal(kind, samples, rng)
    write_sphere(tmp_path / "x.wv1", x, 16000, shorten=True)
    read, rate = read_sphere(tmp_path / "x.wv1")
    assert rate == 16000 and read.dtype == np.int16
    np.testing.assert_array_equal(read, x)


def test_shorten_compresses_speech(rng):
    x = signal("speech", 32000, rng)
    assert len(encode(x)) < 0.75 * x.nbytes


@pytest.mark.parametrize("big_endian", [True, False])
def test_uncompressed_is_what_libsndfile_reads(tmp_path, rng, big_endian):
    x = signal("speech", 5001, rng)
    write_sphere(tmp_path / "x.sph", x, 16000, big_endian=big_endian)
    np.testing.assert_array_equal(read_sphere(tmp_path / "x.sph")[0], x)
    other, rate = soundfile.read(tmp_path / "x.sph", dtype="int16")
    assert rate == 16000
    np.testing.assert_array_equal(other, x)


def test_an_uncompressed_file_may_be_longer_than_its_header_says(tmp_path, rng):
    x = signal("speech", 3000, rng)
    write_sphere(tmp_path / "x.sph", x, 8000)
    with open(tmp_path / "x.sph", "ab") as file:
        file.write(b"\0" * 512)
    np.testing.assert_array_equal(read_sphere(tmp_path / "x.sph")[0], x)


def test_truncated_files_are_never_taken_for_whole(tmp_path, rng):
    """FFmpeg alone returns other samples, in the right number even, for cuts of a few bytes."""
    reported = 0
    for samples in (700, 5000, 23456):
        for shorten in (True, False):
            x = signal("speech", samples, rng)
            write_sphere(tmp_path / "x.wv1", x, 16000, shorten=shorten)
            whole = (tmp_path / "x.wv1").read_bytes()
            for cut in (*range(1, 9), 50, *rng.integers(9, len(whole) + 1, 12)):
                (tmp_path / "cut.wv1").write_bytes(whole[: len(whole) - cut])
                try:
                    read, _ = read_sphere(tmp_path / "cut.wv1")
                except ContrasepError as error:
                    assert "cut.wv1" in str(error) and "\n" not in str(error)
                    reported += 1
                else:
                    # the last word may be padding alone
                    assert shorten and cut < 4
                    np.testing.assert_array_equal(read, x)
    assert reported > 100


def test_checksum(tmp_path, rng):
    x = signal("speech", 4000, rng)
    write_sphere(tmp_path / "x.wv1", x, 16000, shorten=True)
    assert read_checked(tmp_path / "x.wv1")[2]
    data = bytearray((tmp_path / "x.wv1").read_bytes())
    stated = f"sample_checksum -i {int(x.astype(int).sum()) & 0xFFFF}".encode()
    assert stated in data
    (tmp_path / "y.wv1").write_bytes(bytes(data).replace(stated, b"sample_checksum -i 1".ljust(len(stated))))
    read, _, right = read_checked(tmp_path / "y.wv1")
    assert not right
    np.testing.assert_array_equal(read, x)
    (tmp_path / "z.wv1").write_bytes(bytes(data).replace(b"sample_checksum", b"sample_nonsense"))
    assert read_checked(tmp_path / "z.wv1")[2]


def with_header(tmp_path, old, new):
    write_sphere(tmp_path / "x.wv1", np.arange(300, dtype=np.int16), 16000)
    data = (tmp_path / "x.wv1").read_bytes()
    assert old in data[:HEADER_BYTES]
    header = data[:HEADER_BYTES].replace(old, new).rstrip(b" ").ljust(HEADER_BYTES)
    (tmp_path / "x.wv1").write_bytes(header + data[HEADER_BYTES:])


@pytest.mark.parametrize("old, new, says", [
    (b"channel_count -i 1", b"channel_count -i 2", "expected mono, got 2 channels"),
    (b"sample_count -i 300", b"sample_count -i 0", "no samples in it"),
    (b"sample_count -i 300", b"sample_count -i 301", "truncated, 300 of the 301 samples"),
    (b"sample_count -i 300", b"sample_comment -i 0", "damaged header .*sample_count"),
    (b"sample_rate -i 16000", b"sample_rate -i fast", "damaged header"),
    (b"sample_n_bytes -i 2", b"sample_n_bytes -i 1", "8-bit samples"),
    (b"-s3 pcm", b"-s4 ulaw", "coded as 'ulaw'"),
    (b"NIST_1A", b"NIST_2B", "no SPHERE file"),
])
def test_faulty_headers(tmp_path, old, new, says):
    with_header(tmp_path, old, new)
    with pytest.raises(ContrasepError, match=says) as error:
        read_sphere(tmp_path / "x.wv1")
    assert "x.wv1" in str(error.value) and "\n" not in str(error.value)


def test_other_errors(tmp_path, rng):
    with pytest.raises(ContrasepError, match="no such audio file"):
        read_sphere(tmp_path / "none.wv1")
    (tmp_path / "empty.wv1").write_bytes(b"")
    with pytest.raises(ContrasepError, match="empty file"):
        read_sphere(tmp_path / "empty.wv1")
    write_sphere(tmp_path / "x.wv1", signal("speech", 3000, rng), 16000, shorten=True)
    data = (tmp_path / "x.wv1").read_bytes()
    (tmp_path / "x.wv1").write_bytes(data[:HEADER_BYTES] + b"rubbish " * 300)
    with pytest.raises(ContrasepError, match="shorten stream is damaged"):
        read_sphere(tmp_path / "x.wv1")
    with pytest.raises(ContrasepError, match="truncated within its header"):
        parse_header(data[:500], "x")
