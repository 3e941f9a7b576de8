#!/usr/bin/env bash
# Does modularity find the number of speakers, and where does it break?
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
"$here/compare.sh" count units_counts --counts 1,2,3,4,5 -- "$@"
