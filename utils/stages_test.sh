# Stages 5 and 6: separation and scores. Sourced by recipe.sh; functions only.

find_tests() {  # dumped sets of mixtures that are scored, one folder a line
    local set sets_found found given count counts
    IFS=, read -r -a given <<<"$test_sets"
    for set in ${given[@]+"${given[@]}"}; do
        set=$(to_read "${set%/}")
        [ -d "$set" ] || { die "--test-sets: $set: no such folder; name a dumped set, e.g. dump/tt_2mix"; }
        # it names the folders of its results
        [[ ${set##*/} =~ ^[[:alnum:]_=+-][[:alnum:]_.=+-]*$ ]] ||
            die "--test-sets: $set: expected a folder whose name is of letters, digits and ._=+- with no '.' in front; rename it"
        printf '%s\n' "$set"
    done
    [ -z "$test_sets" ] || return 0
    counts=$(test_counts)
    for count in $counts; do
        found=false
        sets_found=$(sets_of "$count")
        for set in $sets_found; do
            [[ $set = tt* && -d $dumpdir/${set}_${count}mix ]] || continue
            printf '%s\n' "$dumpdir/${set}_${count}mix"
            found=true
        done
        $found || die "no test set of $count talkers in $dumpdir; run stage 2 first"
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
    local jobs out=$exp/separate_${1##*/} run=$separate_cmd gpu=0
    # oracles need none
    if [ "$ngpu" -gt 0 ] && [ "$separator" = model ]; then run=${cuda_cmd:-$separate_cmd} gpu=1; fi
    jobs=$(jobs_for "$1/wav.scp")
    $run --max-jobs-run "$nj" --gpu "$gpu" --mark 1 JOB=1:"$jobs" "$out/log/separate.JOB.log" \
        contrasep separate-set "${settings[@]}" --dump "$1" --out "$out" ${trained[@]+"${trained[@]}"} \
        --part "JOB/$jobs"
    contrasep separate-set "${settings[@]}" --dump "$1" --out "$out" --merge "$jobs"
}

stage_5() {
    local dump made_by=() trained=()
    log "stage 5: separation by $separator"
    read_tests
    if [ "$separator" = model ]; then
        trained=(--model "$model/finetune/model.pth" --modularity "$communities" --ngpu "$ngpu")
        made_by=("$model/finetune/.done" "$communities/.done")
        # a model from elsewhere, the package's among them, is known by its files
        [ -z "$model_dir" ] || made_by=("$model/finetune/model.pth" "$communities"/*.*)
    fi
    for dump in "${tests[@]}"; do
        due separate "$exp/separate_${dump##*/}" clear "" "$dump/.done" ${made_by[@]+"${made_by[@]}"}
        if $is_due; then
            separate_set "$dump"
            mark "$exp/separate_${dump##*/}"
        fi
    done
}

# ---------------------------------------------------------------- stage 6
score_set() {  # score_set DUMP
    local jobs out=$exp/score_${1##*/}
    local scored=(--dump "$1" --separated "$exp/separate_${1##*/}" --out "$out")
    jobs=$(jobs_for "$1/wav.scp")
    $separate_cmd --max-jobs-run "$nj" --mark 1 JOB=1:"$jobs" "$out/log/score.JOB.log" \
        contrasep score "${settings[@]}" "${scored[@]}" --part "JOB/$jobs"
    contrasep score "${settings[@]}" "${scored[@]}" --merge "$jobs"
}

stage_6() {
    local dump set folder trained=() page=()
    log "stage 6: scores"
    read_tests
    for dump in "${tests[@]}"; do
        set=${dump##*/}
        due score "$exp/score_$set" clear "" "$dump/.done" "$exp/separate_$set/.done"
        if $is_due; then
            # of other scores
            rm -f "$exp/listen.html"
            score_set "$dump"
            mark "$exp/score_$set"
        fi
    done
    # stage 0 knows where the speech is not the corpus's own
    [ ! -f "$sources/label" ] || label=$(<"$sources/label")
    [ "$separator" != model ] || trained=(--model "$model/finetune/model.pth" --modularity "$communities")
    [ "$listen" -eq 0 ] || [ -f "$exp/listen.html" ] || page=(--html "$exp/listen.html" --mixtures "$listen")
    contrasep report "${settings[@]}" --exp "$exp" --recipe "$recipe" --sets "${tests[@]}" --label="$label" \
        ${trained[@]+"${trained[@]}"} ${page[@]+"${page[@]}"} --command "$command_line" --seconds "$SECONDS"
    echo
    cat "$exp/RESULTS.md"
    echo
    for set in "${tests[@]##*/}"; do
        folder=$(cd "$exp/separate_$set/wavs" && pwd)
        echo "Audio: $folder"
        folder=$(cd "$exp/score_$set" && pwd)
        echo "Plots: $folder"
    done
    if [ -f "$exp/listen.html" ]; then
        folder=$(cd "$exp" && pwd)
        echo "Listen: $folder/listen.html"
    fi
}
