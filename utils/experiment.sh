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
    local script
    for script in "$recipe_dir/../$1"_*mix/local/prepare_sources.sh; do
        [ ! -x "$script" ] || { dirname "$(dirname "$script")"; return; }
    done
}

brings_lists() {  # brings_lists CORPUS: does it come with lists of its mixtures, as its recipe says?
    if [ "$1" = "$own" ]; then $own_lists; else grep -q -e --own-lists "$(recipe_of "$1")/run.sh"; fi
}

# Corpora that training reads beside the recipe's own, whose name is the recipe's without the count:
# those that a balance names. What prepares one is the recipe of that corpus.
find_further() {
    local name lists=$own_lists
    further=()
    for name in ${balanced[@]+"${balanced[@]}"}; do
        [ "$name" != "$own" ] || continue
        [ -n "$(recipe_of "$name")" ] ||
            die "balance: no recipe ../${name}_Nmix prepares the corpus '$name'; the recipe's own is '$own'"
        further+=("$name")
        ! brings_lists "$name" || lists=true
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
