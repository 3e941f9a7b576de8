#!/usr/bin/env bash
# Two talkers from Mini LibriSpeech (SLR31) in noise, as WHAM! is built; with --config conf/default.yaml,conf/whamr.yaml in
# rooms too, as WHAMR! is. Noise is generated, or recordings by --noise DIR. See run.sh --help and docs/howto/noise_and_rooms.md.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
here=$(CDPATH='' cd -- "$here" && pwd)
exec "$here/../../utils/recipe.sh" \
    --recipe-dir "$here" \
    --label "read speech and noise (Mini LibriSpeech)" \
    --num-spk 2 \
    --- "$@"
