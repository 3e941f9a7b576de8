# What the stages share: numbers of jobs, sets. Sourced by recipe.sh; functions only.

jobs_for() {  # jobs_for TABLES..: as many jobs as asked for, capped at the lines of the tables
    local lines table
    for table; do
        [ -f "$table" ] || die "$table: not there; run the earlier stage that makes it first"
    done
    lines=$(cat "$@" | wc -l)
    if [ "$nj" -gt "$lines" ]; then
        echo "$recipe/run.sh: --nj $nj capped at the $((lines)) utterances of $1${2:+ ..}" >&2
        echo "$((lines))"
    else
        echo "$nj"
    fi
}

test_counts() { local counts=${test_spk:-$num_spk}; echo "${counts//,/ }"; }  # counts of talkers that are tested

all_counts() {  # counts of talkers of all mixtures, that of training first
    local count counts
    counts=$(test_counts)
    echo "$num_spk"
    for count in $counts; do [ "$count" = "$num_spk" ] || echo "$count"; done
}

sets_of() {  # sets_of COUNT: sets of mixtures of so many talkers; only test sets differ in it from training
    local set
    for set in "${sets[@]}"; do
        [[ $1 != "$num_spk" && $set != tt* ]] || echo "$set"
    done
}

mixture_sets() {  # mixture_sets COUNT: those that stage 0 listed or imported, e.g. tr cv tt
    local set sets_found found=false table
    sets_found=$(sets_of "$1")
    for set in $sets_found; do
        table=$mixdir/${1}mix/lists/$set.txt
        ! $own_mixtures || table=$sources/mixtures/$set/wav.scp
        [ -f "$table" ] || continue
        echo "$set"
        found=true
    done
    local place=$mixdir/${1}mix
    if $own_mixtures; then place=$sources; fi
    $found || die "$place: no mixtures there; run stage 0 first"
}

sources_of() { if [ "$1" = "$own" ]; then echo "$sources"; else echo "${sources}_$1"; fi; }  # sources_of CORPUS
single_of() { if [ "$1" = "$own" ]; then echo "${2}_single"; else echo "${2}_${1}_single"; fi; }  # single_of CORPUS SET

training_sets() {  # training_sets CORPUS: those whose single speakers are read, e.g. tr cv
    local set found
    [ "$1" = "$own" ] || { echo tr; echo cv; return; }
    found=$(mixture_sets "$num_spk")
    for set in $found; do [[ $set = tt* ]] || echo "$set"; done
}
