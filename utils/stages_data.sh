# Stages 0 to 2: corpus and mixtures, data directories, dumps. Sourced by recipe.sh; functions only.

# ---------------------------------------------------------------- stage 0
make_sources() {  # make_sources CORPUS FOLDER: the single speakers of the recipe's corpus, or of a further one
    local script=local/prepare_sources.sh take=()
    if [ "$1" = "$own" ]; then
        ! $extra_train || take+=(--extra-train)
    else
        script=$(recipe_of "$1")/$script
    fi
    # passed on only when given: a corpus that has no such option refuses it
    [ -z "$download_dir" ] || take+=(--download-dir "$download_dir")
    [ -z "${corpus_dirs[$1]-}" ] || take+=(--corpus "${corpus_dirs[$1]}")
    # of a corpus with lists, the single speakers are those of the files that the lists name
    ! brings_lists "$1" || take+=(--num-spk "$num_spk" ${mix_lists:+--mix-lists "$mix_lists"})
    "$script" "${settings[@]}" --out "$2" --nj "$nj" ${take[@]+"${take[@]}"}
}

make_mixtures() {  # make_mixtures COUNT: lists and audio of the mixtures of so many talkers
    local mixtures=$mixdir/${1}mix found set jobs lists=() from=() to=()
    # shellcheck disable=SC2046  # names of sets, one word each
    contrasep make-lists "${settings[@]}" --sources "$sources" --num-spk "$1" --sets $(sets_of "$1") --out "$mixtures/lists"
    found=$(mixture_sets "$1")
    for set in $found; do
        lists+=("$mixtures/lists/$set.txt") from+=("$sources/$set") to+=("$mixtures/$wavs/$set")
    done
    jobs=$(jobs_for "${lists[@]}")
    $data_cmd --max-jobs-run "$nj" JOB=1:"$jobs" "$mixtures/log/mix.JOB.log" \
        contrasep mix "${settings[@]}" --list "${lists[@]}" --sources "${from[@]}" --out "${to[@]}" \
        --cache "$mixtures/cache" --part "JOB/$jobs"
    rm -rf -- "$mixtures/cache"
}

cksum_of() { printf '%s' "$1" | cksum | tr ' ' -; }  # cksum_of WORD: a value without blanks that tells words apart

stage_0() {
    local name lists_values source_values count tested
    log "stage 0: corpus and mixtures"
    lists_values=" num_spk=$num_spk mix_lists=$(cksum_of "$mix_lists")"
    for name in "$own" ${further[@]+"${further[@]}"}; do
        source_values="corpus=$(cksum_of "${corpus_dirs[$name]-}")"
        [ "$name" != "$own" ] || source_values+=" extra_train=$extra_train"
        ! brings_lists "$name" || source_values+=$lists_values
        if due sources "$(sources_of "$name")" refuse "$source_values"; then
            make_sources "$name" "$(sources_of "$name")"
            mark "$(sources_of "$name")"
        fi
    done
    for count in $(all_counts); do
        tested=
        [ "$count" = "$num_spk" ] || tested=" sets=$(sets_of "$count" | paste -sd, -)"
        if due mixtures "$mixdir/${count}mix" refuse "num_spk=$count$tested" "$sources/.done"; then
            make_mixtures "$count"
            mark "$mixdir/${count}mix"
        fi
    done
}

# ---------------------------------------------------------------- stage 1
stage_1() {
    local set name count mixtures found folder lists=() tree=() from=() to=()
    log "stage 1: data directories"
    for count in $(all_counts); do
        mixtures=$mixdir/${count}mix
        found=$(mixture_sets "$count")
        for set in $found; do
            folder=$datadir/${set}_${count}mix
            if due data "$folder" clear "" "$mixtures/.done" "$mixtures/lists/$set.txt"; then
                lists+=("$mixtures/lists/$set.txt") tree+=("$mixtures/$wavs/$set") from+=("$sources/$set") to+=("$folder")
            fi
        done
    done
    for name in "$own" ${further[@]+"${further[@]}"}; do
        found=$(training_sets "$name")
        for set in $found; do
            folder=$datadir/$(single_of "$name" "$set")
            if due data "$folder" clear "" "$(sources_of "$name")/.done"; then
                from+=("$(sources_of "$name")/$set") to+=("$folder")
            fi
        done
    done
    [ ${#to[@]} -gt 0 ] || return 0
    # the first of them are mixtures, the others single speakers
    [ ${#lists[@]} -eq 0 ] || lists=(--list "${lists[@]}" --mixtures "${tree[@]}")
    contrasep prepare-data --sources "${from[@]}" --out "${to[@]}" ${lists[@]+"${lists[@]}"}
    contrasep validate-data "${to[@]}" --rate "$rate" --nj "$nj"
    mark "${to[@]}"
}

# ---------------------------------------------------------------- stage 2
stage_2() {
    local set name count found jobs names=() data=() dumps=() tables=()
    log "stage 2: dump"
    for count in $(all_counts); do
        found=$(mixture_sets "$count")
        for set in $found; do names+=("${set}_${count}mix"); done
    done
    for name in "$own" ${further[@]+"${further[@]}"}; do
        found=$(training_sets "$name")
        for set in $found; do names+=("$(single_of "$name" "$set")"); done
    done
    for name in "${names[@]}"; do
        if due dump "$dumpdir/$name" clear "" "$datadir/$name/.done" "$datadir/$name/wav.scp"; then
            data+=("$datadir/$name") dumps+=("$dumpdir/$name") tables+=("$datadir/$name/wav.scp")
        fi
    done
    [ ${#dumps[@]} -gt 0 ] || return 0
    jobs=$(jobs_for "${tables[@]}")
    $data_cmd --max-jobs-run "$nj" JOB=1:"$jobs" "$dumpdir/log/dump.JOB.log" \
        contrasep dump "${settings[@]}" --data "${data[@]}" --out "${dumps[@]}" --part "JOB/$jobs"
    contrasep dump "${settings[@]}" --data "${data[@]}" --out "${dumps[@]}" --merge
    mark "${dumps[@]}"
}
