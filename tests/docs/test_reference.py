"""The generated pages of docs/reference are those of the code."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "tools/make_reference.py"


def test_pages_are_up_to_date():
    done = subprocess.run([sys.executable, PROGRAM, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_heavy_modules_are_parsed_and_not_imported():
    code = (
        f"import runpy, sys; pages = runpy.run_path({str(PROGRAM)!r})['PAGES'];"
        "print(len([page() for page in pages.values()]), {'torch', 'espnet2', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "4 set()\n", done.stdout + done.stderr


def test_every_option_has_a_meaning():
    page = (ROOT / "docs/reference/options.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) > 50
    assert [row[0] for row in rows if not row[-1].strip(" |")] == []
