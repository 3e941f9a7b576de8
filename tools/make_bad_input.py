#!/usr/bin/env python3
"""Write docs/reference/bad_input.md: kinds of bad input, made anew and refused, with the message of each.

    tools/make_bad_input.py

The kinds stand in tests/bad_input; its test says when the page is not up to date.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.bad_input.kinds import all_kinds, inside, make_good, page, refusal

PAGE = ROOT / "docs/reference/bad_input.md"


def main() -> int:
    """Write the page; exit status 1 where a kind is not refused in one line."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    said, failed = {}, 0
    with tempfile.TemporaryDirectory() as work:
        good = Path(work).resolve() / "good"
        good.mkdir()
        with inside(good):
            make_good(good)
        for number, kind in enumerate(all_kinds()):
            status, lines = refusal(kind, good, good.parent / str(number))
            if status != 1 or len(lines) != 1:
                print(f"{kind.family}: {kind.what}: expected one line and status 1, got {status}, {lines}", file=sys.stderr)
                failed += 1
                continue
            said[kind] = lines[0]
    PAGE.write_text(page(said), encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)}: {len(said)} kinds")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
