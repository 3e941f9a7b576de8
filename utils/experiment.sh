# What a run is about: values of the configuration, corpora, folders. Sourced by recipe.sh; functions only.

read_settings() {  # variables and keys of the run: see contrasep resolve
    local resolved flags=()
    ! $extra_train || flags+=(--extra-train)
    ! $refuse_unread || flags+=(--refuse-unread)
    resolved=$(contrasep resolve "${configs[@]/#/--config=}" ${overrides[@]+"${overrides[@]}"} --caller "$caller" --tag "$tag" \
        --model-tag "$model_tag" --model-dir "$model_dir" --init-param "$init_param" --budget-minutes "$budget_minutes" \
        --num-spk "$num_spk" --own-num-spk "$own_num_spk" ${flags[@]+"${flags[@]}"})
    on_change=clear  # what becomes of a model of other settings; another experiment's is kept
    [ -z "$model_tag" ] || on_change=refuse
    eval "$resolved"
    [ -z "$test_spk" ] || [[ " ${sets[*]}" = *" tt"* ]] || die "--test-spk: $config has no test set; add one to mix.sets, e.g. tt: 500"
}

# ---------------------------------------------------------------- corpora
recipe_of() {  # recipe_of CORPUS: the folder of a recipe that prepares it, or nothing
    local script scripts=("$recipe_dir/../$1"_*mix/local/prepare_sources.sh)
    # libri2mix: the count is part of the corpus's name
    [[ $1 = *_*mix ]] || scripts+=("$recipe_dir/../$1/local/prepare_sources.sh")
    for script in "${scripts[@]}"; do
        [ ! -x "$script" ] || { printf '%s\n' "${script%/local/*}"; return; }
    done
}

find_lists() {  # find_lists CORPUS: sets has_lists and has_mixtures, whether it comes with those, as its recipe says
    local folder text
    has_lists=$own_lists has_mixtures=$own_mixtures
    [ "$1" != "$own" ] || return 0
    folder=$(recipe_of "$1")
    text=$(<"$folder/run.sh")
    if [[ $text = *--own-lists* ]]; then has_lists=true; else has_lists=false; fi
    # of those, a further corpus gives its single speakers alone, whatever their count
    has_mixtures=false
}

# Corpora that training reads beside the recipe's own, whose name is the recipe's without the count:
# those that a balance names. What prepares one is the recipe of that corpus.
find_further() {
    local name folder lists=$own_lists
    further=()
    for name in ${balanced[@]+"${balanced[@]}"}; do
        [ "$name" != "$own" ] || continue
        folder=$(recipe_of "$name")
        [ -n "$folder" ] ||
            die "balance: no recipe ../${name}_Nmix prepares the corpus '$name'; the recipe's own is '$own'"
        further+=("$name")
        find_lists "$name"
        ! $has_lists || lists=true
    done
    for name in "${!corpus_dirs[@]}"; do
        [[ " $own ${further[*]-} " = *" $name "* ]] ||
            die "${corpus_words[$name]}: $config does not train on it; add --set 'pretrain.balance={$own: 0.5, $name: 0.5}'"
    done
    if [ -n "$mix_lists" ]; then
        $lists || die "--mix-lists: this corpus has no lists of its own; mixtures are drawn (see mix.sets in $config)"
        [ -d "$mix_lists" ] || die "--mix-lists $mix_lists: no such folder; name the folder that holds mix_${num_spk}_spk_tr.txt"
    fi
}

name_folders() {
    sources=$mixdir/sources
    wavs=wav$((rate / 1000))k/$mode
    exp=$expdir/$tag
    model=$expdir/$model_tag
    communities=$expdir/$communities_tag/modularity
    [ -z "$model_dir" ] || { model=$model_dir; communities=$model_dir/modularity; }
}
