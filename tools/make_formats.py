#!/usr/bin/env python3
"""Write docs/reference/formats.md: kinds of audio file, made anew and read, beside the length that ffmpeg decodes.

    tools/make_formats.py

The kinds stand in tests/io/kinds_plain.py and kinds_coded.py; the test says when the page is not up to date.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.io.kinds_of_file import all_kinds
from tests.io.reading_of_kinds import ffmpeg, page, reading, versions

PAGE = ROOT / "docs/reference/formats.md"


def main() -> int:
    """Write the page; exit status 1 where a kind is not read or refused as it says."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    if ffmpeg() is None:
        print("make_formats.py: ffmpeg judges the lengths; pip install imageio-ffmpeg", file=sys.stderr)
        return 1
    failed = 0
    with tempfile.TemporaryDirectory() as work:
        found = {kind: reading(kind, Path(work) / str(number), True) for number, kind in enumerate(all_kinds())}
    for kind, each in found.items():
        if kind.words not in each.said or kind.refused != (each.samples == 0):
            print(f"{kind.what}: expected '{kind.words}', got {each}", file=sys.stderr)
            failed += 1
    PAGE.write_text(page(found, versions()), encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)}: {len(found)} kinds")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
