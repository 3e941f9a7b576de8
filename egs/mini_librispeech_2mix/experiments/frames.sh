#!/usr/bin/env bash
# How long frames should be, and how far apart: for frames as nodes, and for time-frequency units.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
"$here/compare.sh" frames frame_256_64,frame_1024_256,units_256_128,units_512_256,units_1024_512 -- "$@"
