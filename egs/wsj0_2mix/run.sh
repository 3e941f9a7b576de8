#!/usr/bin/env bash
# WSJ0-2mix: two talkers from WSJ0 (LDC93S6A), named by --wsj0 DIR or in db.sh; docs/howto/wsj0.md.
# See run.sh --help.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
here=$(CDPATH='' cd -- "$here" && pwd)
exec "$here/../../utils/recipe.sh" \
    --recipe-dir "$here" \
    --label "read speech (WSJ0)" \
    --num-spk 2 \
    --own-lists \
    --- "$@"
