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
    "text": ["sentencepiece"],
    "report": ["matplotlib>=3.8"],
}
EXTRAS = {
    **OPTIONAL,
    "all": sorted({package for packages in OPTIONAL.values() for package in packages}),
    "docs": ["mkdocs"],
    "test": [
        "fast_bss_eval>=0.1.3", "mir_eval<0.9", "mypy", "networkx", "pytest", "pytest-xdist", "ruff", "types-PyYAML",
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
    package_data={"contrasep_lib": ["py.typed", "**/*.txt", "pretrained/**/*.*"]},
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
