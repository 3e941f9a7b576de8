#!/usr/bin/env bash
# Two talkers from Common Voice, all languages or some; a local copy, named by --corpus DIR.
# Nobody tries to find out who a speaker is. See run.sh --help.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
here=$(CDPATH='' cd -- "$here" && pwd)
exec "$here/../../utils/recipe.sh" \
    --recipe-dir "$here" \
    --label "read speech in many languages (Common Voice)" \
    --num-spk 2 \
    --- "$@"
