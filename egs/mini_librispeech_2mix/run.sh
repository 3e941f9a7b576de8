#!/usr/bin/env bash
# Two talkers from Mini LibriSpeech (SLR31), downloaded or taken from --corpus DIR.
# See run.sh --help.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
here=$(CDPATH='' cd -- "$here" && pwd)
exec "$here/../../utils/recipe.sh" \
    --recipe-dir "$here" \
    --label "read speech (Mini LibriSpeech)" \
    --num-spk 2 \
    --- "$@"
