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

make_mixtures() {
    contrasep make-lists "${settings[@]}" --sources "$sources" --num-spk "$num_spk" --out "$mixtures/lists"
    local set jobs
    for set in $(mixture_sets); do
        jobs=$(jobs_for "$mixtures/lists/$set.txt")
        $data_cmd --max-jobs-run "$nj" JOB=1:"$jobs" "$mixtures/log/mix_$set.JOB.log" \
            contrasep mix "${settings[@]}" --list "$mixtures/lists/$set.txt" --sources "$sources/$set" \
            --out "$tree/$set" --cache "$mixtures/cache/$set" --part "JOB/$jobs"
        rm -rf -- "$mixtures/cache/$set"
    done
    rm -rf -- "$mixtures/cache"
}

cksum_of() { printf '%s' "$1" | cksum | tr ' ' -; }  # cksum_of WORD: a value without blanks that tells words apart

stage_0() {
    local name lists_values source_values values
    log "stage 0: corpus and mixtures"
    lists_values=" num_spk=$num_spk mix_lists=$(cksum_of "$mix_lists")"
    source_values="corpus=$(cksum_of "$corpus") extra_train=$extra_train"
    ! $own_lists || source_values+=$lists_values
    run_step "$sources" corpus "" "$source_values" refuse make_sources
    run_step "$mixtures" mix "$sources/.done" "num_spk=$num_spk" refuse make_mixtures
    for name in $further; do
        values="corpus=$(cksum_of "$(copy_of "$name")")"
        [ "$name" != wsj0 ] || values+=$lists_values
        run_step "${sources}_$name" corpus "" "$values" refuse make_further "$name"
    done
}

# ---------------------------------------------------------------- stage 1
make_data() {  # make_data SET: the mixtures of a set
    contrasep prepare-data --sources "$sources/$1" --list "$mixtures/lists/$1.txt" --mixtures "$tree/$1" \
        --out "$datadir/$1_${num_spk}mix"
    contrasep validate-data "$datadir/$1_${num_spk}mix" --rate "$rate" --nj "$nj"
}

make_single_data() {  # make_single_data SOURCES DATA: the single speakers of a set
    contrasep prepare-data --sources "$1" --out "$datadir/$2"
    contrasep validate-data "$datadir/$2" --nj "$nj"
}

stage_1() {
    local set name
    log "stage 1: data directories"
    [ -n "$(mixture_sets)" ] || die "$mixtures: no mixtures there; run stage 0 first"
    for set in $(mixture_sets); do
        run_step "$datadir/${set}_${num_spk}mix" "" "$mixtures/.done $mixtures/lists/$set.txt" "" clear make_data "$set"
        [[ $set = tt* ]] || run_step "$datadir/${set}_single" "" "$sources/.done" "" clear make_single_data "$sources/$set" "${set}_single"
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
    local set name data_set data_sets
    log "stage 2: dump"
    data_sets=
    for set in $(mixture_sets); do
        data_sets+=" ${set}_${num_spk}mix"
        [[ $set = tt* ]] || data_sets+=" ${set}_single"
    done
    for name in $further; do data_sets+=" tr_${name}_single cv_${name}_single"; done
    for data_set in $data_sets; do
        run_step "$dumpdir/$data_set" dump "$datadir/$data_set/.done $datadir/$data_set/wav.scp" "rate=$rate" \
            clear dump_set "$data_set"
    done
    [ -n "$(mixture_sets)" ] || die "$mixtures: no mixtures there; run stage 0 first"
}
