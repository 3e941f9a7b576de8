#!/usr/bin/env bash
# Sentences spoken by eSpeak NG; nothing is downloaded.
set -euo pipefail
exec contrasep prepare-corpus espeak "$@"
