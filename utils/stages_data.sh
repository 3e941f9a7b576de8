# Stages 0 to 2: corpus and mixtures, data directories, dumps. Sourced by recipe.sh; functions only.

# ---------------------------------------------------------------- stage 0
make_further() {  # make_further CORPUS: the sources of a corpus that is not the recipe's own
    local take=() copy
    copy=$(copy_of "$1")
    [ -z "$download_dir" ] || take+=(--download-dir "$download_dir")
    [ -z "$copy" ] || take+=(--corpus "$copy")
    if [ "$1" = wsj0 ]; then
        # its single speakers are those of the files that lists name
        take+=(--num-spk "$num_spk")
        [ -z "$mix_lists" ] || take+=(--mix-lists "$mix_lists")
    fi
    "$(preparation "$1")" "${settings[@]}" --out "${sources}_$1" --nj "$nj" ${take[@]+"${take[@]}"}
}

copy_of() {  # copy_of CORPUS: the folder that an option names for a corpus beside the recipe's own, or nothing
    case $1 in
        audiomnist) echo "$audiomnist" ;;
        wsj0) echo "$wsj0" ;;
    esac
}

make_sources() {
    local take=()
    # passed on only when given: a recipe whose corpus has no such option refuses it
    [ -z "$download_dir" ] || take+=(--download-dir "$download_dir")
    [ -z "$corpus" ] || take+=(--corpus "$corpus")
    ! $extra_train || take+=(--extra-train)
    ! $own_lists || take+=(--num-spk "$num_spk" ${mix_lists:+--mix-lists "$mix_lists"})
    local/prepare_sources.sh "${settings[@]}" --out "$sources" --nj "$nj" ${take[@]+"${take[@]}"}
}

make_mixtures() {  # make_mixtures COUNT: lists and audio of the mixtures of so many talkers
    local mixtures=$mixdir/${1}mix found set jobs
    # shellcheck disable=SC2046  # names of sets, one word each
    contrasep make-lists "${settings[@]}" --sources "$sources" --num-spk "$1" --sets $(sets_of "$1") --out "$mixtures/lists"
    found=$(mixture_sets "$1")
    for set in $found; do
        jobs=$(jobs_for "$mixtures/lists/$set.txt")
        $data_cmd --max-jobs-run "$nj" JOB=1:"$jobs" "$mixtures/log/mix_$set.JOB.log" \
            contrasep mix "${settings[@]}" --list "$mixtures/lists/$set.txt" --sources "$sources/$set" \
            --out "$mixtures/$wavs/$set" --cache "$mixtures/cache/$set" --part "JOB/$jobs"
        rm -rf -- "$mixtures/cache/$set"
    done
    rm -rf -- "$mixtures/cache"
}

cksum_of() { printf '%s' "$1" | cksum | tr ' ' -; }  # cksum_of WORD: a value without blanks that tells words apart

stage_0() {
    local name lists_values source_values values count tested
    log "stage 0: corpus and mixtures"
    lists_values=" num_spk=$num_spk mix_lists=$(cksum_of "$mix_lists")"
    source_values="corpus=$(cksum_of "$corpus") extra_train=$extra_train"
    ! $own_lists || source_values+=$lists_values
    run_step "$sources" corpus "" "$source_values" refuse make_sources
    for count in $(all_counts); do
        tested=
        [ "$count" = "$num_spk" ] || tested=" sets=$(sets_of "$count" | paste -sd,)"
        run_step "$mixdir/${count}mix" mix "$sources/.done" "num_spk=$count$tested" refuse make_mixtures "$count"
    done
    for name in $further; do
        values="corpus=$(cksum_of "$(copy_of "$name")")"
        [ "$name" != wsj0 ] || values+=$lists_values
        run_step "${sources}_$name" corpus "" "$values" refuse make_further "$name"
    done
}

# ---------------------------------------------------------------- stage 1
make_data() {  # make_data SET COUNT: the mixtures of a set
    local mixtures=$mixdir/${2}mix data=$datadir/$1_${2}mix
    contrasep prepare-data --sources "$sources/$1" --list "$mixtures/lists/$1.txt" --mixtures "$mixtures/$wavs/$1" \
        --out "$data"
    contrasep validate-data "$data" --rate "$rate" --nj "$nj"
}

make_single_data() {  # make_single_data SOURCES DATA: the single speakers of a set
    contrasep prepare-data --sources "$1" --out "$datadir/$2"
    contrasep validate-data "$datadir/$2" --nj "$nj"
}

stage_1() {
    local set name count mixtures found
    log "stage 1: data directories"
    for count in $(all_counts); do
        mixtures=$mixdir/${count}mix
        found=$(mixture_sets "$count")
        for set in $found; do
            run_step "$datadir/${set}_${count}mix" "" "$mixtures/.done $mixtures/lists/$set.txt" "" clear make_data "$set" "$count"
            [[ $set = tt* ]] || run_step "$datadir/${set}_single" "" "$sources/.done" "" clear make_single_data "$sources/$set" "${set}_single"
        done
    done
    for name in $further; do
        for set in tr cv; do
            run_step "$datadir/${set}_${name}_single" "" "${sources}_$name/.done" "" \
                clear make_single_data "${sources}_$name/$set" "${set}_${name}_single"
        done
    done
}

# ---------------------------------------------------------------- stage 2
dump_set() {  # dump_set SET
    local jobs
    jobs=$(jobs_for "$datadir/$1/wav.scp")
    $data_cmd --max-jobs-run "$nj" JOB=1:"$jobs" "$dumpdir/$1/log/dump.JOB.log" \
        contrasep dump "${settings[@]}" --data "$datadir/$1" --out "$dumpdir/$1" --part "JOB/$jobs"
    contrasep dump "${settings[@]}" --data "$datadir/$1" --out "$dumpdir/$1" --merge
}

stage_2() {
    local set name data_set data_sets count found
    log "stage 2: dump"
    data_sets=
    for count in $(all_counts); do
        found=$(mixture_sets "$count")
        for set in $found; do
            data_sets+=" ${set}_${count}mix"
            [[ $set = tt* ]] || data_sets+=" ${set}_single"
        done
    done
    for name in $further; do data_sets+=" tr_${name}_single cv_${name}_single"; done
    for data_set in $data_sets; do
        run_step "$dumpdir/$data_set" dump "$datadir/$data_set/.done $datadir/$data_set/wav.scp" "rate=$rate" \
            clear dump_set "$data_set"
    done
}
