#!/usr/bin/env bash
# WSJ0, checked and decoded by the lists; what db.sh names serves where the options name nothing.
set -euo pipefail
. ./db.sh
exec contrasep prepare-wsj0 ${WSJ0:+--corpus "$WSJ0"} ${MIX_LISTS:+--mix-lists "$MIX_LISTS"} "$@"
