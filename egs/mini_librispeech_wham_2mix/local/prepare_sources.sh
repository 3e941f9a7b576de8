#!/usr/bin/env bash
# Mini LibriSpeech: downloaded, or a local copy with --corpus DIR.
set -euo pipefail
exec contrasep prepare-corpus librispeech "$@"
