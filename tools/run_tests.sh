#!/usr/bin/env bash
# The test suite in the toolkit's environment, which is made on first use. Tests marked slow are left out, and their
# number is said; --all runs them too. Further arguments go to pytest.
set -euo pipefail
root=$(dirname "${BASH_SOURCE[0]}")
root=$(CDPATH='' cd -- "$root/.." && pwd)
cd "$root"
. utils/path.sh
# one process per core; a file stays in one process, which shares its costly fixtures
exec python -m pytest -q --numprocesses auto --dist loadfile "$@"
