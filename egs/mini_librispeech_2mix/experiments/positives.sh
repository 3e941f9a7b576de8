#!/usr/bin/env bash
# How far apart the two frames of a positive pair should be.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
settings=positives_any,positives_overlap75,positives_overlap50,positives_overlap25,positives_overlap0,positives_near,positives_far,positives_other
"$here/compare.sh" positives "$settings" -- "$@"
