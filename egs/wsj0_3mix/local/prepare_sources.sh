#!/usr/bin/env bash
# WSJ0, checked and decoded by the lists; what db.sh names serves where the options name nothing.
set -euo pipefail
# for a recipe of another corpus, which has no db.sh, this recipe's own
db=./db.sh
[ -f "$db" ] || db=${BASH_SOURCE[0]%/*}/../db.sh
. "$db"
exec contrasep prepare-corpus wsj0 ${WSJ0:+--corpus "$WSJ0"} ${MIX_LISTS:+--mix-lists "$MIX_LISTS"} "$@"
