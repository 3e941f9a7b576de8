#!/usr/bin/env bash
# How many convolutions the encoder needs.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
"$here/compare.sh" depth mixtures model.backbone.layers=3,6,9 -- "$@"
