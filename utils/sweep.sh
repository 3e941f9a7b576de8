#!/usr/bin/env bash
# Runs a recipe over values of its configuration, and compares the runs in one table and one plot.
set -euo pipefail
shopt -s inherit_errexit  # see recipe.sh

usage() {
    cat <<'END'
Usage: sweep.sh KEY=V1,V2,.. [KEY=V1,..] [options] [options of run.sh]

Runs a recipe once for each value, or each combination of values where there are several keys.
KEY is SECTION.KEY of the configuration, or config (its values are files). Values are YAML; commas
inside brackets, braces and quotes do not separate.

  --recipe DIR   folder of the recipe (default: the current one)
  --name NAME    name of the sweep (default: its keys); results go to EXPDIR/sweep_NAME
  --dry-run      print the commands, run nothing

All other options go to every run: --config, --set, --nj, --stage, --corpus, ...; see run.sh --help.
Each run has the tag that run.sh derives. A value that nothing in a run's configuration reads fails that
run. A run that fails becomes a row that says so, and the sweep goes on; the exit status is 1 then. The same command again goes on where the sweep stopped.

  cd egs/mini_2mix
  ../../utils/sweep.sh model.backbone.layers=2,3,4 --config conf/tf.yaml
  ../../utils/sweep.sh config=conf/paper.yaml,conf/tf.yaml separate.count=estimated,given
END
}

die() { echo "sweep.sh: $*" >&2; exit 2; }

run_all() {  # the runs of the plan, and what they gave
    local n failed=0
    trap release_owners EXIT
    lock_run "$folder"
    rm -rf "$folder/log"
    mkdir -p "$folder/log"
    name_tags
    : >"$folder/runs.tsv"
    for n in "${!runs[@]}"; do
        echo "sweep: run $((n + 1)) of ${#runs[@]}: ${tags[n]:-no tag}"
        run_one "$n"
        [ "$status" -eq 0 ] || failed=$((failed + 1))
        printf '%s\t%s\n' "${tags[n]}" "$status" >>"$folder/runs.tsv"
        contrasep sweep-report "${sweep[@]}" >/dev/null
    done
    echo
    cat "$folder/RESULTS.md"
    [ ! -f "$folder/sweep.png" ] || echo "Plot: $folder/sweep.png"
    [ "$failed" -eq 0 ] || { echo "sweep.sh: $failed of ${#runs[@]} runs failed; see $folder/RESULTS.md" >&2; exit 1; }
}

name_tags() {  # sets tags, of runs that have none to nothing
    local n status options seen=' '
    tags=()
    for n in "${!runs[@]}"; do
        eval "options=(${runs[n]})"
        status=0
        # runs that differ in nothing that is read are no sweep
        tags[n]=$("$recipe/run.sh" "${options[@]}" --refuse-unread --print-tag 2>"$folder/log/run.$((n + 1)).err") || status=$?
        end_if_interrupted "$status"
        [ "$status" -eq 0 ] || tags[n]=
        [[ -z ${tags[n]} || $seen != *" ${tags[n]} "* ]] ||
            die "two runs share the tag ${tags[n]}; their values must differ in letters, digits or ._=-, configurations in the name of the file"
        seen+="${tags[n]} "
    done
}

run_one() {  # run_one NUMBER: sets status
    local options
    status=0
    if [ -z "${tags[$1]}" ]; then
        cat "$folder/log/run.$(($1 + 1)).err" >&2
        status=1
        return
    fi
    eval "options=(${runs[$1]})"
    # the errors are shown and kept
    { "$recipe/run.sh" "${options[@]}" 2>&1 >&3 3>&- | tee "$folder/log/run.$(($1 + 1)).err" >&2; } 3>&1 || status=$?
    end_if_interrupted "$status"
}

end_if_interrupted() {  # end_if_interrupted STATUS: a run that was interrupted is no failed run, the sweep ends with it
    case $1 in 129|130|143) exit "$1" ;; esac
}

{  # a group: bash reads all of it before the first run, so the file may change meanwhile
root=$(dirname "${BASH_SOURCE[0]}")
root=$(CDPATH='' cd -- "$root/.." && pwd)
. "$root/utils/signals.sh"
. "$root/utils/locks.sh"
recipe=. name=() dry_run=false words=()
while [ $# -gt 0 ]; do
    case ${1//_/-} in
        --help|-h) usage; exit 0 ;;
        --dry-run) dry_run=true; shift; continue ;;
    esac
    case $1 in
        --recipe=*|--name=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
        --recipe|--name) ;;
        *) words+=("$1"); shift; continue ;;
    esac
    [ $# -ge 2 ] || die "$1 needs a value; see sweep.sh --help"
    case $1 in
        --recipe) recipe=$2 ;;
        --name) name=(--name "$2") ;;
    esac
    shift 2
done
[ -x "$recipe/run.sh" ] || die "$recipe/run.sh: no such recipe; go into its folder, or name it with --recipe"
. "$root/utils/path.sh"
sweep=(--recipe "$recipe" ${name[@]+"${name[@]}"} --words ${words[@]+"${words[@]}"})

plan=$(contrasep sweep-plan "${sweep[@]}") || exit 2
folder=${plan%%$'\n'*}
runs=()
while IFS= read -r line; do runs+=("$line"); done <<<"${plan#*$'\n'}"
if $dry_run; then
    printf -v recipe %q "$recipe"
    for line in "${runs[@]}"; do echo "$recipe/run.sh $line"; done
    exit
fi
guarded sweep.sh run_all
exit
}
