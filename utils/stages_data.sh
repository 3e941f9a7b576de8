# Stages 0 to 2: corpus and mixtures, data directories, dumps. Sourced by recipe.sh; functions only.

# ---------------------------------------------------------------- stage 0
make_sources() {  # make_sources CORPUS FOLDER: the single speakers of the recipe's corpus, or of a further one
    local script=local/prepare_sources.sh folder take=()
    if [ "$1" = "$own" ]; then
        ! $extra_train || take+=(--extra-train)
    else
        folder=$(recipe_of "$1")
        script=$folder/$script
    fi
    # passed on only when given: a corpus that has no such option refuses it
    [ -z "$download_dir" ] || take+=(--download-dir "$download_dir")
    [ -z "${corpus_dirs[$1]-}" ] || take+=(--corpus "${corpus_dirs[$1]}")
    # of a corpus with lists, the single speakers are those of the files that the lists name
    find_lists "$1"
    ! $has_lists || take+=(--num-spk "$num_spk" ${mix_lists:+--mix-lists "$mix_lists"})
    ! $has_mixtures || take+=(--num-spk "$num_spk")
    "$script" "${settings[@]}" --out "$2" --nj "$nj" ${take[@]+"${take[@]}"}
}

make_mixtures() {  # make_mixtures COUNT: lists and audio of the mixtures of so many talkers
    local mixtures=$mixdir/${1}mix found set jobs lists=() from=() to=()
    found=$(sets_of "$1")
    # shellcheck disable=SC2086  # names of sets, one word each
    contrasep make-lists "${settings[@]}" --sources "$sources" --num-spk "$1" --sets $found --out "$mixtures/lists"
    found=$(mixture_sets "$1")
    for set in $found; do
        lists+=("$mixtures/lists/$set.txt") from+=("$sources/$set") to+=("$mixtures/$wavs/$set")
    done
    jobs=$(jobs_for "${lists[@]}")
    $data_cmd --max-jobs-run "$nj" --mark 1 JOB=1:"$jobs" "$mixtures/log/mix.JOB.log" \
        contrasep mix "${settings[@]}" --list "${lists[@]}" --sources "${from[@]}" --out "${to[@]}" \
        --cache "$mixtures/cache" --part "JOB/$jobs"
    rm -rf -- "$mixtures/cache"
}

cksum_of() {  # cksum_of WORD: a value without blanks that tells words apart
    local sum
    sum=$(printf '%s' "$1" | cksum)
    printf '%s\n' "${sum// /-}"
}

stage_0() {
    local name folder sum lists_values source_values count counts found tested listing on script
    log "stage 0: corpus and mixtures"
    sum=$(cksum_of "$mix_lists")
    lists_values=" num_spk=$num_spk mix_lists=$sum"
    for name in "$own" ${further[@]+"${further[@]}"}; do
        sum=$(cksum_of "${corpus_dirs[$name]-}")
        source_values="corpus=$sum"
        [ "$name" != "$own" ] || source_values+=" extra_train=$extra_train"
        find_lists "$name"
        ! $has_lists || source_values+=$lists_values
        ! $has_mixtures || source_values+=" num_spk=$num_spk mix=$key_mixtures"
        folder=$(sources_of "$name")
        # a corpus that is listed by a file is made by that file; while it has mistakes it changes from run to run
        listing=() on=refuse
        found=local
        if [ "$name" != "$own" ]; then found=$(recipe_of "$name")/$found; fi
        if [ -f "$found/corpus.py" ]; then
            script=$(<"$found/prepare_sources.sh")
            # a plugin may have this name too
            if [[ $script = *"prepare-corpus "*corpus.py* ]]; then
                listing=("$found/corpus.py")
                [ -f "$folder/.done" ] || on=clear
            fi
        fi
        due sources "$folder" "$on" "$source_values" ${listing[@]+"${listing[@]}"}
        if $is_due; then
            make_sources "$name" "$folder"
            mark "$folder"
        fi
    done
    ! $own_mixtures || return 0
    counts=$(all_counts)
    for count in $counts; do
        tested=
        found=$(sets_of "$count")
        [ "$count" = "$num_spk" ] || tested=" sets=${found//$'\n'/,}"
        due mixtures "$mixdir/${count}mix" refuse "num_spk=$count$tested" "$sources/.done"
        if $is_due; then
            make_mixtures "$count"
            mark "$mixdir/${count}mix"
        fi
    done
}

# ---------------------------------------------------------------- stage 1
stage_1() {
    local set name count counts mixtures found folder origin lists=() tree=() from=() to=()
    log "stage 1: data directories"
    counts=$(all_counts)
    for count in $counts; do
        mixtures=$mixdir/${count}mix
        found=$(mixture_sets "$count")
        for set in $found; do
            ! $own_mixtures || break
            folder=$datadir/${set}_${count}mix
            due data "$folder" clear "" "$mixtures/.done" "$mixtures/lists/$set.txt"
            if $is_due; then
                lists+=("$mixtures/lists/$set.txt") tree+=("$mixtures/$wavs/$set") from+=("$sources/$set") to+=("$folder")
            fi
        done
    done
    if $own_mixtures; then
        found=$(mixture_sets "$num_spk")
        for set in $found; do
            folder=$datadir/${set}_${num_spk}mix
            due data "$folder" clear "" "$sources/.done"
            if $is_due; then
                from+=("$sources/mixtures/$set") to+=("$folder")
            fi
        done
    fi
    for name in "$own" ${further[@]+"${further[@]}"}; do
        found=$(training_sets "$name")
        origin=$(sources_of "$name")
        for set in $found; do
            folder=$(single_of "$name" "$set")
            folder=$datadir/$folder
            due data "$folder" clear "" "$origin/.done"
            if $is_due; then
                from+=("$origin/$set") to+=("$folder")
            fi
        done
    done
    [ ${#to[@]} -gt 0 ] || return 0
    # the first of them are mixtures that were made, the tables of the others are there
    [ ${#lists[@]} -eq 0 ] || lists=(--list "${lists[@]}" --mixtures "${tree[@]}")
    contrasep prepare-data --sources "${from[@]}" --out "${to[@]}" ${lists[@]+"${lists[@]}"}
    contrasep validate-data "${to[@]}" --rate "$rate" --nj "$nj"
    mark "${to[@]}"
}

# ---------------------------------------------------------------- stage 2
stage_2() {
    local set name single count counts found jobs names=() data=() dumps=() tables=()
    log "stage 2: dump"
    counts=$(all_counts)
    for count in $counts; do
        found=$(mixture_sets "$count")
        for set in $found; do names+=("${set}_${count}mix"); done
    done
    for name in "$own" ${further[@]+"${further[@]}"}; do
        found=$(training_sets "$name")
        for set in $found; do
            single=$(single_of "$name" "$set")
            names+=("$single")
        done
    done
    for name in "${names[@]}"; do
        due dump "$dumpdir/$name" clear "" "$datadir/$name/.done" "$datadir/$name/wav.scp"
        if $is_due; then
            data+=("$datadir/$name") dumps+=("$dumpdir/$name") tables+=("$datadir/$name/wav.scp")
        fi
    done
    [ ${#dumps[@]} -gt 0 ] || return 0
    jobs=$(jobs_for "${tables[@]}")
    $data_cmd --max-jobs-run "$nj" --mark 1 JOB=1:"$jobs" "$dumpdir/log/dump.JOB.log" \
        contrasep dump "${settings[@]}" --data "${data[@]}" --out "${dumps[@]}" --part "JOB/$jobs"
    contrasep dump "${settings[@]}" --data "${data[@]}" --out "${dumps[@]}" --merge
    mark "${dumps[@]}"
}
