#!/usr/bin/env bash
# Make a recipe for a corpus of one's own: utils/new_recipe.sh egs/CORPUS_2mix [--label WORDS] [--mixtures]
set -euo pipefail
. "${BASH_SOURCE[0]%/*}/path.sh"
exec contrasep new-recipe "$@"
