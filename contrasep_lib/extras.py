"""Optional dependencies: which extra of the package installs a module that is missing."""

from __future__ import annotations

# module -> extra of setup.py
EXTRA_OF = {
    "espnet": "train", "espnet2": "train", "torchaudio": "train", "typeguard": "train", "tensorboard": "train",
    "av": "media", "espeakng_loader": "synthetic", "matplotlib": "report", "PIL": "report", "jinja2": "report",
    "parselmouth": "prosody", "sklearn": "prosody", "pyroomacoustics": "rooms",
    "sentencepiece": "text", "rapidfuzz": "text", "silero_vad": "vad", "pocketsphinx": "pocketsphinx",
    "pystoi": "stoi", "pesq": "pesq", "speechmos": "dnsmos", "onnxruntime": "dnsmos", "librosa": "dnsmos",
    "resemblyzer": "speakers",
}


def missing_extra(error: ImportError) -> str | None:
    """What to install for a module that is not there, in one line; None if no extra brings it."""
    module = (error.name or "").partition(".")[0]
    extra = EXTRA_OF.get(module)
    if extra is None:
        return None
    return f"{module} is not installed; pip install 'contrasep[{extra}]', or tools/install.sh for everything"
