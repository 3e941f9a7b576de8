#!/usr/bin/env bash
# AudioMNIST: downloaded, or a local copy with --corpus DIR.
set -euo pipefail
exec contrasep prepare-corpus audiomnist "$@"
