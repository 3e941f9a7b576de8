"""Kinds of file that codecs make, alone and in containers; and what is not read."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile

from tests.io.kinds_of_file import by_av, by_soundfile, bytes_of, kind, put, signal

FREE = "FLAC, Ogg, Matroska"


@kind(FREE, "FLAC, 16 bit")
def flac():
    return by_soundfile("a.flac", 16000)


@kind(FREE, "FLAC, 24 bit, two channels")
def flac_24():
    return by_soundfile("a.flac", 48000, 2, subtype="PCM_24")


def unsaid(data):
    """Bytes of a FLAC whose header does not say how many samples follow, as one written into a pipe."""
    return data[:21] + bytes([data[21] & 0xF0]) + bytes(4) + data[26:]


@kind(FREE, "FLAC streamed: length unknown")
def flac_streamed():
    by_soundfile("b.flac", 16000)
    return put("a.flac", unsaid(Path("b.flac").read_bytes()))


@kind(FREE, "FLAC cut in the middle", "of the 1.5 s that its header says")
def flac_cut():
    by_soundfile("b.flac", 16000)
    data = Path("b.flac").read_bytes()
    return put("a.flac", data[: len(data) // 2])


@kind(FREE, "Ogg Vorbis")
def vorbis():
    return by_soundfile("a.ogg", 44100, 2)


@kind(FREE, "Ogg Opus")
def opus():
    return by_av("a.opus", "libopus", 48000, container="ogg")


@kind(FREE, "Ogg FLAC")
def ogg_flac():
    return by_av("a.oga", "flac", container="ogg", format="s16")


@kind(FREE, "two Ogg Vorbis files joined")
def ogg_joined():
    parts = []
    for seed in (1, 2):
        soundfile.write("b.ogg", signal(16000, seed=seed), 16000)
        parts.append(Path("b.ogg").read_bytes())
    return put("a.ogg", b"".join(parts))


@kind(FREE, "WebM, Opus")
def webm():
    return by_av("a.webm", "libopus", 48000, container="webm")


@kind(FREE, "WebM video, VP8 and Opus")
def webm_video():
    return by_av("a.webm", "libopus", 48000, container="webm", video="libvpx")


@kind(FREE, "Matroska audio (MKA), FLAC")
def mka():
    return by_av("a.mka", "flac", container="matroska", format="s16")


@kind(FREE, "Matroska video, two tracks of sound", "2 tracks of sound, the first is taken")
def mkv_two():
    return by_av("a.mkv", "aac", container="matroska", video="mpeg4", tracks=2)


@kind(FREE, "True Audio (TTA)")
def tta():
    return by_av("a.tta", "tta", format="s16")


@kind(FREE, "WavPack")
def wavpack():
    return by_av("a.wv", "wavpack")


MPEG = "MPEG and what devices record"


@kind(MPEG, "MP3, constant bit rate")
def mp3():
    return by_av("a.mp3", "libmp3lame", container="mp3")


@kind(MPEG, "MP3 by libsndfile, variable bit rate, 22.05 kHz")
def mp3_variable():
    return by_soundfile("a.mp3", 22050)


@kind(MPEG, "two MP3 files joined: the header of the first", "left out a damaged part")
def mp3_joined():
    return put("a.mp3", b"".join(bytes_of(by_av, "libmp3lame", container="mp3", seed=seed) for seed in (1, 2)))


@kind(MPEG, "two MP3 files of different rates joined", "its rate or its number of channels changes")
def mp3_rates():
    parts = [bytes_of(by_av, "libmp3lame", rate, container="mp3") for rate in (44100, 22050)]
    return put("a.mp3", b"".join(parts))


@kind(MPEG, "MP3 without its first half")
def mp3_behind():
    data = bytes_of(by_av, "libmp3lame", container="mp3")
    return put("a.mp3", data[len(data) // 2 :])


@kind(MPEG, "MPEG-1 layer 2 (MP2)")
def mp2():
    return by_av("a.mp2", "mp2", container="mp2", format="s16")


@kind(MPEG, "M4A, AAC")
def m4a():
    return by_av("a.m4a", "aac", 44100, 2, container="ipod")


@kind(MPEG, "M4A, Apple Lossless")
def alac():
    return by_av("a.m4a", "alac", container="ipod")


@kind(MPEG, "AAC without container (ADTS)")
def adts():
    return by_av("a.aac", "aac", container="adts")


@kind(MPEG, "MP4 video, MPEG-4 and AAC")
def mp4():
    return by_av("a.mp4", "aac", container="mp4", video="mpeg4")


@kind(MPEG, "MP4 in fragments")
def mp4_fragments():
    return by_av("a.mp4", "aac", container="mp4", options={"movflags": "frag_keyframe+empty_moov+default_base_moof"})


@kind(MPEG, "MP4, index in front, cut in the middle", "of the 1.5 s that its header says")
def mp4_cut():
    by_av("b.mp4", "aac", container="mp4", options={"movflags": "faststart"})
    data = Path("b.mp4").read_bytes()
    return put("a.mp4", data[: len(data) * 2 // 3])


@kind(MPEG, "QuickTime, 16 bit")
def quicktime():
    return by_av("a.mov", "pcm_s16be", 48000, 2, container="mov")


@kind(MPEG, "AMR, narrow band")
def amr():
    return by_av("a.amr", "libopencore_amrnb", 8000, container="amr")


@kind(MPEG, "3GP of a telephone, AMR")
def threegp():
    return by_av("a.3gp", "libopencore_amrnb", 8000, container="3gp")


@kind(MPEG, "Windows Media Audio (WMA)")
def wma():
    return by_av("a.wma", "wmav2", 44100, 2, container="asf", bit_rate=128000)


@kind(MPEG, "AC-3, six channels")
def ac3():
    return by_av("a.ac3", "ac3", 48000, 6, container="ac3")


@kind(MPEG, "E-AC-3")
def eac3():
    return by_av("a.eac3", "eac3", 48000, 2, container="eac3")


@kind(MPEG, "MPEG transport stream, AAC")
def mpegts():
    return by_av("a.ts", "aac", container="mpegts")


@kind(MPEG, "AVI video, MP3")
def avi():
    return by_av("a.avi", "libmp3lame", container="avi", video="mpeg4")


@kind(MPEG, "Flash video, AAC")
def flv():
    return by_av("a.flv", "aac", container="flv", video="flv")


NONE = "Not read"


@kind(NONE, "an empty file", "empty file", refused=True)
def empty():
    return put("a.wav", b"")


@kind(NONE, "text by the name of audio", "cannot be read as audio", refused=True)
def text():
    return put("a.wav", b"no audio\n" * 100)


@kind(NONE, "a header without samples", "no samples in it", refused=True)
def no_samples():
    soundfile.write("a.wav", np.zeros(0), 16000)
    return "a.wav"


@kind(NONE, "NaN among the samples", "NaN or infinite samples", refused=True)
def not_a_number():
    wave = signal(16000)
    wave[7] = np.nan
    soundfile.write("a.wav", wave, 16000, subtype="FLOAT")
    return "a.wav"


@kind(NONE, "a rate of 1 Hz", "expected a rate from 1000 to 768000 Hz", refused=True)
def one_hertz():
    soundfile.write("a.wav", signal(16000), 1)
    return "a.wav"


@kind(NONE, "a playlist, which names other files", "cannot be read as audio", refused=True)
def playlist():
    by_soundfile("b.wav")
    return put("a.m3u8", b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.5,\nb.wav\n#EXT-X-ENDLIST\n")


@kind(NONE, "MP4 cut in the middle, its index behind", "cannot be read as audio", refused=True)
def mp4_unfinished():
    by_av("b.mp4", "aac", container="mp4")
    data = Path("b.mp4").read_bytes()
    return put("a.mp4", data[: len(data) // 2])


@kind(NONE, "video without sound", "no sound in it", refused=True)
def silent_video():
    import av

    with av.open("a.mp4", "w") as out:
        pictures = out.add_stream("mpeg4", rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 64, "yuv420p"
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 9 * number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(pictures.encode(frame))
        out.mux(pictures.encode(None))
    return "a.mp4"
