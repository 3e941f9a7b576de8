# Stages 5 and 6: separation and scores. Sourced by recipe.sh; functions only.

find_tests() {  # dumped sets of mixtures that are scored, one folder a line
    local set found given count
    IFS=, read -r -a given <<<"$test_sets"
    for set in ${given[@]+"${given[@]}"}; do
        set=$(to_read "${set%/}")
        [ -d "$set" ] || { echo "$recipe/run.sh: --test-sets: $set: no such folder; name a dumped set, e.g. dump/tt_2mix" >&2; exit 1; }
        printf '%s\n' "$set"
    done
    [ -z "$test_sets" ] || return 0
    for count in $(test_counts); do
        found=false
        for set in $(sets_of "$count"); do
            [[ $set = tt* ]] && [ -d "$dumpdir/${set}_${count}mix" ] && { printf '%s\n' "$dumpdir/${set}_${count}mix"; found=true; }
        done
        $found || { echo "$recipe/run.sh: no test set of $count talkers in $dumpdir; run stage 2 first" >&2; exit 1; }
    done
}

read_tests() {  # the dumped test sets, as the array tests
    local found
    found=$(find_tests)
    mapfile -t tests <<<"$found"
    found=$(printf '%s\n' "${tests[@]##*/}" | sort | uniq -d)
    [ -z "$found" ] || die "--test-sets: two sets of the name $found; their results would overwrite each other"
}

# ---------------------------------------------------------------- stage 5
separate_set() {  # separate_set DUMP
    local jobs out=$exp/separate_${1##*/}
    jobs=$(jobs_for "$1/wav.scp")
    $separate_cmd --max-jobs-run "$nj" --gpu "$ngpu" JOB=1:"$jobs" "$out/log/separate.JOB.log" \
        contrasep separate "${settings[@]}" --dump "$1" --out "$out" --part "JOB/$jobs" \
        ${trained[@]+"${trained[@]}"}
    contrasep separate "${settings[@]}" --dump "$1" --out "$out" --merge "$jobs"
}

stage_5() {
    local dump reads trained trained_marks
    log "stage 5: separation by $separator"
    read_tests
    reads=features,separate trained=() trained_marks=
    if [ "$separator" = model ]; then
        reads+=,model,modularity
        trained=(--model "$model/finetune/model.pth" --modularity "$communities" --ngpu "$ngpu")
        trained_marks="$model/finetune/.done $communities/.done"
        # a model from elsewhere, the package's among them, is known by its files
        [ -z "$model_dir" ] || trained_marks="$model/finetune/model.pth $(printf '%s ' "$communities"/*.*)"
    fi
    for dump in "${tests[@]}"; do
        run_step "$exp/separate_${dump##*/}" "$reads" "$dump/.done $trained_marks" "" clear separate_set "$dump"
    done
}

# ---------------------------------------------------------------- stage 6
score_set() {  # score_set DUMP
    local jobs out=$exp/score_${1##*/}
    local scored=(--dump "$1" --separated "$exp/separate_${1##*/}" --out "$out")
    jobs=$(jobs_for "$1/wav.scp")
    $separate_cmd --max-jobs-run "$nj" JOB=1:"$jobs" "$out/log/score.JOB.log" \
        contrasep score "${settings[@]}" "${scored[@]}" --part "JOB/$jobs"
    contrasep score "${settings[@]}" "${scored[@]}" --merge "$jobs"
}

stage_6() {
    local dump set trained=()
    log "stage 6: scores"
    read_tests
    for dump in "${tests[@]}"; do
        set=${dump##*/}
        run_step "$exp/score_$set" features,separate,score "$dump/.done $exp/separate_$set/.done" "" clear score_set "$dump"
    done
    # stage 0 knows where the speech is not the corpus's own
    [ ! -f "$sources/label" ] || label=$(<"$sources/label")
    [ "$separator" != model ] || trained=(--model "$model/finetune/model.pth")
    contrasep report "${settings[@]}" --exp "$exp" --recipe "$recipe" --sets "${tests[@]}" --label "$label" \
        ${trained[@]+"${trained[@]}"} --command "$command_line" --seconds "$SECONDS"
    # the recipe's own table compares the experiments of its default folder
    [ "$expdir" != exp ] || contrasep report --recipe-dir .
    echo
    cat "$exp/RESULTS.md"
    echo
    for set in "${tests[@]##*/}"; do
        echo "Audio: $(cd "$exp/separate_$set/wavs" && pwd)"
        echo "Plots: $(cd "$exp/score_$set" && pwd)"
    done
}
