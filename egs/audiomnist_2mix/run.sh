#!/usr/bin/env bash
# Two talkers saying strings of digits (AudioMNIST), downloaded or taken from --corpus DIR.
# See run.sh --help.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
here=$(CDPATH='' cd -- "$here" && pwd)
exec "$here/../../utils/recipe.sh" \
    --recipe-dir "$here" \
    --label "spoken digits (AudioMNIST)" \
    --num-spk 2 \
    --- "$@"
