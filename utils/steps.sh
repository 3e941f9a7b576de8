# What the stages share: steps that are done once, numbers of jobs, sets. Sourced by recipe.sh; functions only.

# done_marker FOLDER SECTIONS "INPUTS" "VALUES" [--mark | --begin clear|refuse]
done_marker() {
    local folder=$1 sections=$2 inputs=$3 values=$4
    shift 4
    # shellcheck disable=SC2086  # inputs and values are lists of words
    contrasep done "$folder" --sections "$sections" --inputs $inputs --values $values "${settings[@]}" "$@"
}

# run_step FOLDER SECTIONS "INPUTS" "VALUES" clear|refuse FUNCTION [ARGUMENTS]: run FUNCTION unless FOLDER is done
run_step() {
    local folder=$1 status=0
    done_marker "$1" "$2" "$3" "$4" || status=$?
    case $status in
        0) log "  $folder is done"; return ;;
        3) ;;
        *) exit "$status" ;;
    esac
    done_marker "$1" "$2" "$3" "$4" --begin "$5"
    "${@:6}"
    done_marker "$1" "$2" "$3" "$4" --mark
}

jobs_for() {  # jobs_for TABLE: as many jobs as asked for, capped at the lines of the table
    local lines
    [ -f "$1" ] || { echo "$recipe/run.sh: $1: not there; run the earlier stage that makes it first" >&2; exit 1; }
    lines=$(wc -l <"$1")
    if [ "$nj" -gt "$lines" ]; then
        echo "$recipe/run.sh: --nj $nj capped at the $lines utterances of $1" >&2
        echo "$lines"
    else
        echo "$nj"
    fi
}

test_counts() { echo "${test_spk:-$num_spk}" | tr , ' '; }  # counts of talkers that are tested

all_counts() {  # counts of talkers of all mixtures, that of training first
    local count
    echo "$num_spk"
    for count in $(test_counts); do [ "$count" = "$num_spk" ] || echo "$count"; done
}

sets_of() {  # sets_of COUNT: sets of mixtures of so many talkers; only test sets differ in it from training
    local set
    for set in $sets; do
        [[ $1 != "$num_spk" && $set != tt* ]] || echo "$set"
    done
}

mixture_sets() {  # mixture_sets COUNT: those that stage 0 listed, e.g. tr cv tt
    local set found=false
    for set in $(sets_of "$1"); do
        [ -f "$mixdir/${1}mix/lists/$set.txt" ] || continue
        echo "$set"
        found=true
    done
    $found || die "$mixdir/${1}mix: no mixtures there; run stage 0 first"
}
