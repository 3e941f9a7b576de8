#!/usr/bin/env bash
# Mixtures that WHAM!'s scripts made: --corpus DIR.
set -euo pipefail
exec contrasep import-mixtures "$@"
