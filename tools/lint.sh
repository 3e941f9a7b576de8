#!/usr/bin/env bash
# Style (ruff) and annotations (mypy) by pyproject.toml, in the toolkit's environment; arguments go to ruff, e.g. --fix.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
. utils/path.sh
python -m ruff check --quiet "$@"
python -m mypy --no-error-summary
