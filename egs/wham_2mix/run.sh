#!/usr/bin/env bash
# WHAM! as its scripts made it, in --corpus DIR (wav8k/min/..): two talkers of WSJ0 and noise.
# See run.sh --help and docs/howto/finished_mixtures.md.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
here=$(CDPATH='' cd -- "$here" && pwd)
exec "$here/../../utils/recipe.sh" \
    --recipe-dir "$here" \
    --label "read speech and noise (WHAM!)" \
    --num-spk 2 \
    --own-mixtures \
    --- "$@"
