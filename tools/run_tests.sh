#!/usr/bin/env bash
# The test suite in the toolkit's environment, which is made on first use; further arguments go to pytest.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
. utils/path.sh
# one process per core; a file stays in one process, which shares its costly fixtures
exec python -m pytest -q --numprocesses auto --dist loadfile "$@"
