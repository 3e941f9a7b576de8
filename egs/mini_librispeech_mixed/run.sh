#!/usr/bin/env bash
# One to five talkers from Mini LibriSpeech (SLR31), a test set of each count, one model for all; the corpus
# is downloaded or taken from --corpus DIR. See run.sh --help.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
here=$(CDPATH='' cd -- "$here" && pwd)
exec "$here/../../utils/recipe.sh" \
    --recipe-dir "$here" \
    --label "read speech (Mini LibriSpeech)" \
    --num-spk 2 \
    --test-spk 1,2,3,4,5 \
    --- "$@"
