"""Kinds of file whose samples stand one by one: WAV, AIFF, AU, CAF, SPHERE."""

import struct

import numpy as np
import soundfile

from contrasep_lib.io.sphere import write_sphere
from tests.io.kinds_of_file import by_av, by_soundfile, kind, pcm16, put, signal, wav_of

WAV = "WAV and its relatives"


@kind(WAV, "WAV, 16 bit, 8 kHz, one channel")
def wav():
    return by_soundfile("a.wav", 8000)


@kind(WAV, "WAV, 16 bit, 44.1 kHz, two channels")
def wav_stereo():
    return by_soundfile("a.wav", 44100, 2)


@kind(WAV, "WAV, 8 bit, 11.025 kHz")
def wav_8():
    return by_soundfile("a.wav", 11025, subtype="PCM_U8")


@kind(WAV, "WAV, 24 bit, 48 kHz")
def wav_24():
    return by_soundfile("a.wav", 48000, subtype="PCM_24")


@kind(WAV, "WAV, 32 bit, 96 kHz")
def wav_32():
    return by_soundfile("a.wav", 96000, subtype="PCM_32")


@kind(WAV, "WAV, 32-bit floats beyond 1")
def wav_float():
    soundfile.write("a.wav", 40 * signal(16000), 16000, subtype="FLOAT")
    return "a.wav"


@kind(WAV, "WAV, 64-bit floats at a millionth of full scale")
def wav_double():
    soundfile.write("a.wav", 1e-6 * signal(16000), 16000, subtype="DOUBLE")
    return "a.wav"


@kind(WAV, "WAV, a-law")
def wav_alaw():
    return by_soundfile("a.wav", 8000, subtype="ALAW")


@kind(WAV, "WAV, mu-law")
def wav_ulaw():
    return by_soundfile("a.wav", 8000, subtype="ULAW")


@kind(WAV, "WAV, IMA ADPCM")
def wav_ima():
    return by_soundfile("a.wav", 8000, subtype="IMA_ADPCM")


@kind(WAV, "WAV, Microsoft ADPCM")
def wav_ms():
    return by_soundfile("a.wav", 8000, subtype="MS_ADPCM")


@kind(WAV, "WAV, GSM 6.10")
def wav_gsm():
    return by_soundfile("a.wav", 8000, subtype="GSM610")


@kind(WAV, "WAV, extensible header, six channels")
def wav_six():
    return by_soundfile("a.wav", 16000, 6, format="WAVEX")


@kind(WAV, "WAV, big-endian (RIFX)")
def rifx():
    return by_soundfile("a.wav", 16000, endian="BIG")


@kind(WAV, "WAV, MP3 inside")
def wav_mp3():
    return by_av("a.wav", "libmp3lame")


@kind(WAV, "WAV over 4 GB (RF64)")
def rf64():
    return by_soundfile("a.wav", 16000, format="RF64")


@kind(WAV, "Sony Wave64")
def w64():
    return by_soundfile("a.w64", 16000, format="W64")


@kind(WAV, "WAV streamed by SoX: data length 0x7FFFF000")
def wav_sox():
    return put("a.wav", wav_of(pcm16(), 0x7FFFF000, riff=0x7FFFF024))


@kind(WAV, "WAV streamed by ffmpeg: data length 0xFFFFFFFF")
def wav_ffmpeg():
    return put("a.wav", wav_of(pcm16(), 0xFFFFFFFF))


@kind(WAV, "WAV streamed: data length 0")
def wav_zero():
    return put("a.wav", wav_of(pcm16(), 0, riff=0))


@kind(WAV, "WAV, chunks before and behind the samples")
def wav_chunks():
    note = b"LIST" + struct.pack("<I", 12) + b"INFOISFT" + struct.pack("<I", 0)
    data = pcm16()
    return put("a.wav", wav_of(data + note, len(data), extra=note, riff=4 + 24 + 2 * len(note) + 8 + len(data)))


@kind(WAV, "WAV cut in the middle", "0.75 of the 1.5 s that its header says")
def wav_cut():
    data = pcm16()
    return put("a.wav", wav_of(data[: len(data) // 2], len(data), riff=36 + len(data)))


OLD = "AIFF, AU, CAF, SPHERE"


@kind(OLD, "AIFF, 16 bit")
def aiff():
    return by_soundfile("a.aiff", 22050)


@kind(OLD, "AIFF-C, floats")
def aifc():
    return by_soundfile("a.aifc", 22050, format="AIFF", subtype="FLOAT")


@kind(OLD, "AU, mu-law")
def au():
    return by_soundfile("a.au", 8000, subtype="ULAW")


@kind(OLD, "AU streamed: length unknown")
def au_streamed():
    data = np.frombuffer(pcm16(), "<i2").astype(">i2").tobytes()
    return put("a.au", b".snd" + struct.pack(">IIIII", 24, 0xFFFFFFFF, 3, 16000, 1) + data)


@kind(OLD, "Core Audio (CAF), ALAC")
def caf():
    return by_soundfile("a.caf", 44100, 2, subtype="ALAC_16")


@kind(OLD, "NIST SPHERE, uncompressed")
def sphere():
    write_sphere("a.sph", np.frombuffer(pcm16(), "<i2"), 16000)
    return "a.sph"


@kind(OLD, "NIST SPHERE, shorten (WSJ0's .wv1)")
def shorten():
    write_sphere("a.wv1", np.frombuffer(pcm16(), "<i2"), 16000, shorten=True)
    return "a.wv1"


@kind(OLD, "NIST SPHERE, mu-law")
def sphere_ulaw():
    return by_soundfile("a.sph", 8000, format="NIST", subtype="ULAW")
