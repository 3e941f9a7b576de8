"""The machine's memory."""

import ctypes
import os
import subprocess
import sys

import pytest

from contrasep_lib.io import machine

# pages that the kernel hands out while 64 MiB are taken and freed, ten times after a first one
PROGRAM = """
import resource, sys
from contrasep_lib.io.machine import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
b"x" * 2**26
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    b"x" * 2**26
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not (hasattr(os, "confstr") and "CS_GNU_LIBC_VERSION" in os.confstr_names), reason="not glibc")
def test_memory_that_is_freed_stays():
    errors = {
        how: int(
            subprocess.run([sys.executable, "-c", PROGRAM, how], check=True, capture_output=True, text=True).stdout
        )
        for how in ("keep", "plain")
    }
    assert errors["keep"] < errors["plain"] / 10


@pytest.mark.parametrize("answer", [None, "musl 1.2", ValueError("unrecognized"), OSError("no such name")])
def test_other_libraries_are_left_alone(monkeypatch, answer):
    def confstr(name):
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(os, "confstr", confstr)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: pytest.fail("a library was opened"))
    assert machine.keep_freed_memory() is False


def test_few_shapes_are_remembered_unless_the_user_says_how_many(monkeypatch):
    caches = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
    for name in caches:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    machine.forget_shapes()
    assert all(int(os.environ[name]) <= 16 for name in caches)
    monkeypatch.setenv(caches[1], "500")
    machine.forget_shapes()
    assert os.environ[caches[1]] == "500"
