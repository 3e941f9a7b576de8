#!/usr/bin/env bash
# The stages of every recipe. A recipe's run.sh calls this with what is particular to it.
set -euo pipefail
# An error ends the run wherever it happens: in $(..) too, and never unseen in a condition. So values of programs are
# assigned by a command of their own, and functions that run programs are no part of if, while, !, && or ||.
shopt -s inherit_errexit

{  # a group: bash reads all of it, and each file sourced, before the first stage runs; so they may change meanwhile
utils=$(dirname "${BASH_SOURCE[0]}")
utils=$(CDPATH='' cd -- "$utils" && pwd)
. "$utils/options.sh"
. "$utils/signals.sh"
. "$utils/locks.sh"
. "$utils/experiment.sh"
. "$utils/markers.sh"
. "$utils/steps.sh"
. "$utils/stages_data.sh"
. "$utils/stages_model.sh"
. "$utils/stages_test.sh"

run() {
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
    trap release_owners EXIT
    [ "$stop_stage" -lt 3 ] || lock_run "$exp"

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
}

selected() { [ "$stage" -le "$1" ] && [ "$stop_stage" -ge "$1" ]; }  # selected STAGE

parse_options "$@"
check_options
guarded "$recipe/run.sh" run
exit
}
