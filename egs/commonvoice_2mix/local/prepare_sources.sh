#!/usr/bin/env bash
# Common Voice: a local copy with --corpus DIR (LANG/validated.tsv, LANG/clips/).
set -euo pipefail
exec contrasep prepare-corpus commonvoice "$@"
