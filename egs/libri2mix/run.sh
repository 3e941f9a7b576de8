#!/usr/bin/env bash
# Libri2Mix as LibriMix's scripts made it, in --corpus DIR (Libri2Mix/wav8k/min/..); Libri3Mix with --num-spk 3.
# See run.sh --help and docs/howto/finished_mixtures.md.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
here=$(CDPATH='' cd -- "$here" && pwd)
exec "$here/../../utils/recipe.sh" \
    --recipe-dir "$here" \
    --label "read speech (LibriMix)" \
    --num-spk 2 \
    --own-mixtures \
    --- "$@"
