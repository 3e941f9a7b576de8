#!/usr/bin/env bash
# Three talkers from Mini LibriSpeech (SLR31), downloaded or taken from --corpus DIR.
# See run.sh --help.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
exec "$here/../../utils/recipe.sh" \
    --recipe-dir "$here" \
    --label "read speech (Mini LibriSpeech)" \
    --num-spk 3 \
    --- "$@"
