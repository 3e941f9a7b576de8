#!/usr/bin/env bash
# How sharp the contrast between frames should be.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
"$here/compare.sh" temperature mixtures model.objectives.nt_xent.temperature=0.1,0.5,1.0 -- "$@"
