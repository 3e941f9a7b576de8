#!/usr/bin/env bash
# Mixtures that LibriMix's scripts made: --corpus DIR.
set -euo pipefail
exec contrasep import-mixtures "$@"
