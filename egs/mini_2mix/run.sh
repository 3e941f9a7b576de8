#!/usr/bin/env bash
# Two talkers (--num-spk 1 to 5) spoken by eSpeak NG on the spot; nothing is downloaded.
# See run.sh --help.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
here=$(CDPATH='' cd -- "$here" && pwd)
exec "$here/../../utils/recipe.sh" \
    --recipe-dir "$here" \
    --label "synthetic speech (eSpeak NG)" \
    --num-spk 2 \
    --config conf/tf.yaml \
    --- "$@"
