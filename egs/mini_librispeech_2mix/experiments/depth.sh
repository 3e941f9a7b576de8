#!/usr/bin/env bash
# How many convolutions the encoder needs: mixtures.yaml has six.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
"$here/compare.sh" depth mixtures,layers_3,layers_9 -- "$@"
