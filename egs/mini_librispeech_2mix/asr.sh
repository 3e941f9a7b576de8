#!/usr/bin/env bash
# Train a recogniser on this recipe's single-speaker sets, for contrasep score --wer. See utils/asr.sh --help.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
here=$(CDPATH='' cd -- "$here" && pwd)
exec "$here/../../utils/asr.sh" --recipe-dir "$here" --config conf/asr.yaml --test-sets dev --score-set dev_2mix "$@"
