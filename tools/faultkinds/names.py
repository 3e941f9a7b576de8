"""Folders of unusual names, and other locales."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from faultkinds.base import Met, fault


def _renamed(scene, name):
    """The run in a folder of this name."""
    there = scene.folder.parent / name / "mini_2mix"
    there.parent.mkdir()
    scene.folder.rename(there)
    scene.folder = there
    return Met([scene.run()])


@fault("names", "a folder with spaces, quotes and a dollar sign")
def spaces(scene, chance):
    return _renamed(scene, "a  sp'ace \"$HOME\"")


@fault("names", "a folder with letters of other scripts")
def scripts(scene, chance):
    return _renamed(scene, "Größe-音声-é")


@fault("names", "a folder whose name holds JOB")
def job(scene, chance):
    return _renamed(scene, "JOB")


@fault("names", "folders for mixtures, data, dumps and results whose names hold spaces and JOBS", stages=(0,))
def places_named(scene, chance):
    # by options: compared here, for what is compared after each fault has the usual names
    names = {"mixtures": "sp ace/mix", "data": "JOBS/data"}
    options = ["--mixdir", names["mixtures"], "--datadir", names["data"]]
    done = scene.run(0, *options)
    if done.status:
        return Met([done])
    made = scene.folder / names["mixtures"]
    for path in made.rglob("*.scp"):
        path.write_text(path.read_text().replace(f"{names['mixtures']}/", "mixtures/"))
    expected = scene.expected(0)
    found = {f"mixtures/{path.relative_to(made)}": scene.workshop.content(path) for path in made.rglob("*") if path.is_file()}
    wrong = sorted(name for name, value in expected.items() if found.get(name) != value)
    return Met([], wrong=f"{len(wrong)} files differ, first {wrong[0]}" if wrong else "")


TURKISH, SOURCES = "tr_TR.UTF-8", Path("/usr/share/i18n/locales/tr_TR")


def _locale(scene, name, **further):
    return Met([scene.run(environment={"LC_ALL": name, "LANG": name, **further})])


def _installed() -> bool:
    listed = subprocess.run(["locale", "-a"], capture_output=True, text=True).stdout.lower().split()
    return bool({"tr_tr.utf8", "tr_tr.utf-8"} & set(listed))


def _no_turkish() -> str:
    """Why there is no Turkish locale here, nor one can be made; or nothing."""
    if _installed() or (shutil.which("localedef") and SOURCES.is_file()):
        return ""
    return "no such locale here, nor localedef with the sources of locales"


@fault("names", "LC_ALL=C")
def locale_c(scene, chance):
    return _locale(scene, "C")


@fault("names", "LC_ALL=tr_TR.UTF-8, whose small i of I has no dot and whose decimal sign is a comma", available=_no_turkish)
def locale_turkish(scene, chance):
    if _installed():
        return _locale(scene, TURKISH)
    made = scene.folder.parent / "locales"
    made.mkdir()
    subprocess.run(["localedef", "-i", "tr_TR", "-f", "UTF-8", made / TURKISH], check=True, capture_output=True)
    return _locale(scene, TURKISH, LOCPATH=str(made))


@fault("names", "a locale that is not installed")
def locale_unknown(scene, chance):
    return _locale(scene, "xx_XX.UTF-8")
