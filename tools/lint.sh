#!/usr/bin/env bash
# Style (ruff) and annotations (mypy) by pyproject.toml, in the toolkit's environment; arguments go to ruff, e.g. --fix.
set -euo pipefail
root=$(dirname "${BASH_SOURCE[0]}")
root=$(CDPATH='' cd -- "$root/.." && pwd)
cd "$root"
. utils/path.sh
python -m ruff check --quiet "$@"
python -m mypy --no-error-summary
