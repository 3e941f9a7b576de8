#!/usr/bin/env bash
# The stages of every recipe. A recipe's run.sh calls this with what is particular to it.
set -euo pipefail

{  # a group: bash reads all of it, and each file sourced, before the first stage runs; so they may change meanwhile
utils=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$utils/options.sh"
. "$utils/experiment.sh"
. "$utils/markers.sh"
. "$utils/steps.sh"
. "$utils/stages_data.sh"
. "$utils/stages_model.sh"
. "$utils/stages_test.sh"

parse_options "$@"
check_options
cd "$recipe_dir"
check_places
. ./path.sh
. ./cmd.sh
read_settings
find_further
if $print_tag; then
    echo "$tag"
    exit
fi
name_folders
log "$recipe: $tag ($command_line)"

selected() { [ "$stage" -le "$1" ] && [ "$stop_stage" -ge "$1" ]; }  # selected STAGE
# not in a condition: an error in a stage ends the run
if selected 0; then stage_0; fi
if selected 1; then stage_1; fi
if selected 2; then stage_2; fi
if [ "$separator" = model ]; then
    if selected 3 && ! $skip_train; then stage_3; fi
    if selected 4 && ! $skip_train; then stage_4; fi
elif selected 3 || selected 4; then
    log "stages 3 and 4: nothing to train for $separator"
fi
if selected 5; then stage_5; fi
if selected 6; then stage_6; fi
exit
}
