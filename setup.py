"""Installation: ``pip install .`` gives the package and the console command ``contrasep``."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "contrasep_lib/__init__.py").read_text()).group(1)

# what separating and scoring do without; contrasep_lib/extras.py names these where one is missing
OPTIONAL = {
    "train": ["espnet==202511", "tensorboard", "torch==2.11.0", "torchaudio==2.11.0"],
    "media": ["av>=12"],
    "synthetic": ["espeakng-loader"],
    "text": ["rapidfuzz>=3", "sentencepiece"],
    "vad": ["silero-vad>=6"],
    "rooms": ["pyroomacoustics>=0.8"],
    "speakers": ["Resemblyzer==0.1.4"],
    "report": ["jinja2>=3", "matplotlib>=3.8", "pillow>=10"],
    "stoi": ["pystoi>=0.4"],
    "dnsmos": ["librosa>=0.10", "onnxruntime", "requests", "speechmos"],
}
EXTRAS = {
    **OPTIONAL,
    # not in `all`: praat-parselmouth is under GPL-3.0, pesq has no wheel and needs a C compiler, pocketsphinx is large
    "prosody": ["matplotlib>=3.8", "praat-parselmouth>=0.4.5", "scikit-learn>=1.4", "torchaudio==2.11.0"],
    "pesq": ["pesq>=0.0.4"],
    "pocketsphinx": ["pocketsphinx>=5"],
    "all": sorted({package for packages in OPTIONAL.values() for package in packages}),
    "docs": ["mkdocs"],
    "test": [
        "fast_bss_eval>=0.1.3", "imageio-ffmpeg", "mir_eval<0.9", "mypy", "networkx", "praat-parselmouth>=0.4.5",
        "pytest", "pytest-xdist", "ruff", "scikit-learn>=1.4", "selenium>=4.20", "torch_geometric>=2.6", "types-PyYAML",
    ],
}

setup(
    name="contrasep",
    version=VERSION,
    description="Speech separation by contrastive learning and deep modularity clustering",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE", "NOTICE", "THIRD_PARTY.md"],
    author="Contrasep contributors",
    packages=find_packages(include=["contrasep_lib", "contrasep_lib.*"]),
    include_package_data=True,
    package_data={
        "contrasep_lib": ["py.typed", "**/*.txt", "pretrained/**/*.*", "speakers/*.json", "report/assets/*.*"],
    },
    python_requires=">=3.10",
    install_requires=[
        "kaldiio>=2.18",
        "numpy>=1.26",
        "pyyaml>=6",
        "scipy>=1.11",
        "soundfile>=0.12",
        "torch>=2.9",
        "tqdm>=4.60",
    ],
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["contrasep = contrasep_lib.bin.main:main"]},
)
