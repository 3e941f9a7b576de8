"""Disks, folders, limits and users that are not what a run needs."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from faultkinds.base import Met, fault, needs_root

NOBODY = 65534


def _mount(*words):
    subprocess.run(["mount", *map(str, words)], check=True)


@fault("places", "the stage's folder is on a full disk (small tmpfs), which is then made larger", stages=(0, 1, 2, 3, 4, 5, 6),
       available=needs_root)
def full_disk(scene, chance):
    folder = scene.made_by(scene.stage)[0]
    if scene.stage in (3, 4, 5, 6):
        folder = folder.parent
    size = sum(path.stat().st_blocks * 512 for path in (scene.workshop.reference / folder.relative_to(scene.folder)).rglob("*"))
    folder.mkdir(parents=True, exist_ok=True)
    there = scene.folder.parent / "there"
    shutil.copytree(folder, there, symlinks=True)
    _mount("-t", "tmpfs", "-o", f"size={max(16384, int(chance.uniform(0.1, 0.7) * size))}", "tmpfs", folder)
    try:
        # what was there before takes its room, too
        copied = subprocess.run(["cp", "-a", f"{there}/.", folder], capture_output=True).returncode == 0
        if not copied:
            _mount("-o", "remount,size=1g", folder)
            subprocess.run(["cp", "-a", f"{there}/.", folder], check=True)
            used = shutil.disk_usage(folder).used
            _mount("-o", f"remount,size={used + 16384}", folder)
        done = scene.run()
        _mount("-o", "remount,size=1g", folder)
        back = scene.folder.parent / "back"
        shutil.copytree(folder, back, symlinks=True)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
    shutil.rmtree(folder)
    shutil.move(back, folder)
    return Met([done], hit=done.status != 0)


@fault("places", "the stage's folder cannot be written to (mounted read-only)", stages=(0, 1, 2, 3, 5), available=needs_root)
def read_only(scene, chance):
    folder = scene.made_by(scene.stage)[0]
    folder = folder.parent if scene.stage in (3, 5) else folder
    folder.mkdir(parents=True, exist_ok=True)
    _mount("--bind", folder, folder)
    try:
        _mount("-o", "remount,ro,bind", folder)
        done = scene.run()
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
    return Met([done], hit=done.status != 0)


@fault("places", "TMPDIR names a folder that is gone")
def no_tmpdir(scene, chance):
    return Met([scene.run(environment={"TMPDIR": str(scene.folder / "gone")})])


@fault("places", "few open files are allowed (ulimit -n 16 to 96)")
def few_files(scene, chance):
    most = chance.choice([16, 64, 72, 96])
    return Met([scene.run(preparation=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (most, most)))])


# mounts of its own, in which others may pass the folder $1 (closed, as /root is), but see of it $2 alone
OPENED = """set -e
closed=$1 seen=$2
shift 2
mkdir -p "$CONTRASEP_KEPT"
mount --bind "$seen" "$CONTRASEP_KEPT"
mount -t tmpfs -o mode=755 tmpfs "$closed"
mkdir -p "$seen"
mount --bind "$CONTRASEP_KEPT" "$seen"
exec "$@"
"""


def _as_nobody(kept):
    """The words before a command that an ordinary user runs, with a Python that may lie in a folder closed to others."""
    words = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
    base = Path(sys.base_prefix)
    closed = next((folder for folder in reversed(base.parents) if not folder.stat().st_mode & 0o001), None)
    if closed is None:
        return words
    return ["env", f"CONTRASEP_KEPT={kept}", "unshare", "--mount", "sh", "-c", OPENED, "sh", str(closed), str(base), *words]


def _needs_readable_python():
    """Why an ordinary user cannot run the toolkit here, or nothing."""
    if needs_root():
        return needs_root()
    with tempfile.TemporaryDirectory() as kept:
        try:
            subprocess.run([*_as_nobody(kept), sys.executable, "-c", ""], check=True, capture_output=True)
        except (OSError, subprocess.SubprocessError):
            return "others may not run this Python"
    return ""


@fault("places", "an ordinary user with a checkout of somebody else, read-only", available=_needs_readable_python)
def other_user(scene, chance):
    # pytest's and mkdtemp's folders are closed to others
    for folder in scene.folder.parents:
        if folder.is_relative_to("/tmp") and folder != Path("/tmp"):
            os.chmod(folder, 0o755)
    for path in [scene.folder, *scene.folder.rglob("*")]:
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    scene.prefix = _as_nobody(scene.folder.parent / "kept")
    return Met([scene.run(environment={"HOME": str(scene.folder)})])
