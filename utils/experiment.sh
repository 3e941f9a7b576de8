# What a run is about: values of the configuration, corpora, name and folders. Sourced by recipe.sh; functions only.

get() { contrasep check-config "${settings[@]}" --get "$1"; }

read_settings() {
    settings=(--config "$config" ${overrides[@]+"${overrides[@]}"})
    separator=$(get separate.separator)
    rate=$(get mix.rate)
    mode=$(get mix.mode)
    sets=$(get mix.sets)
    [ -z "$test_spk" ] || [[ " $sets" = *" tt"* ]] || die "--test-spk: $config has no test set; add one to mix.sets, e.g. tt: 500"
    [ -z "$budget_minutes" ] || share_budget
}

share_budget() {  # the phases' shares of --budget-minutes; the same whenever a run goes on
    local training=75
    if [ "$(get pretrain.epochs)" -gt 0 ]; then
        training=50
        settings+=(--set "pretrain.budget_minutes=$(awk "BEGIN { print 0.25 * $budget_minutes }")")
    fi
    settings+=(--set "finetune.budget_minutes=$(awk "BEGIN { print 0.01 * $training * $budget_minutes }")")
}

balanced() {  # balanced PHASE: the corpora that a phase reads by shares, or nothing
    local names
    names=$(get "$1.balance")
    [ "$names" = None ] || echo "$names"
}

preparation() {  # preparation CORPUS: the script of its recipe
    local script
    for script in ../"$1"_*mix/local/prepare_sources.sh; do
        [ ! -x "$script" ] || { echo "$script"; return; }
    done
    die "balance: no recipe ../$1_Nmix prepares the corpus '$1'; the recipe's own is '$own'"
}

# Corpora that training reads beside the recipe's own, whose name is the recipe's without the count:
# those that a balance names. What prepares one is the recipe of that corpus.
find_further() {
    local name
    own=${recipe%_*mix*} further=
    [ "$own" != audiomnist ] || corpus=${corpus:-$audiomnist}
    if [ "$separator" = model ]; then
        for name in $(balanced pretrain) $(balanced finetune); do
            [ "$name" = "$own" ] || [[ " $further " = *" $name "* ]] || { preparation "$name" >/dev/null; further+=" $name"; }
        done
    fi
    [ -z "$audiomnist" ] || trains_on audiomnist ||
        die "--audiomnist: $config trains on no AudioMNIST; add --set 'pretrain.balance={$own: 0.5, audiomnist: 0.5}'"
    [ -z "$wsj0" ] || trains_on wsj0 ||
        die "--wsj0: $config trains on no WSJ0; add --set 'pretrain.balance={$own: 0.5, wsj0: 0.5}'"
    if [ -n "$mix_lists" ]; then
        $own_lists || trains_on wsj0 || die "--mix-lists: this corpus has no lists of its own; mixtures are drawn (see mix.sets in $config)"
        [ -d "$mix_lists" ] || die "--mix-lists $mix_lists: no such folder; name the folder that holds mix_${num_spk}_spk_tr.txt"
    fi
}

trains_on() {  # trains_on CORPUS: is it the recipe's own, or one beside it?
    [[ " $own $further " = *" $1 "* ]]
}

# What an experiment is called follows from its settings. A model serves all that differ in how they
# cluster, separate and score alone, and is found under the name that those settings leave.
named() {  # named SECTIONS: the name, overrides of these sections left out
    local name override
    name=$(basename "$config" .yaml)
    if [[ $separator = "$name"* ]]; then
        name=$separator  # conf/oracle.yaml with oracle_ibm is the experiment oracle_ibm
    elif [[ $separator = oracle* || $separator = mixture ]]; then
        name+=_$separator
    fi
    for override in ${overrides[@]+"${overrides[@]}"}; do
        [ "$override" != --set ] && [[ $override != separate.separator=* ]] || continue
        # the silence rule decides what a model learns from
        [[ $override = separate.silence_db=* || " $1 " != *" ${override%%.*} "* ]] || continue
        name+=_$(printf '%s' "${override#*.}" | tr -c 'A-Za-z0-9._=-' '-')
    done
    ! $extra_train || name+=_extra_train
    [ -z "$init_param" ] || name+=_init
    [ -z "$budget_minutes" ] || [ "$separator" != model ] || name+=_${budget_minutes}min
    [ -z "$model_dir" ] || name+=_by_$(basename "$model_dir")
    [ "$num_spk" = "$own_num_spk" ] || name+=_${num_spk}mix
    echo "$name"
}

name_experiment() {
    on_change=clear  # what becomes of a model of other settings; another experiment's is kept
    [ -z "$model_tag" ] || on_change=refuse
    if [ -z "$tag" ]; then
        tag=$(named "")
        [ -n "$model_tag" ] || { model_tag=$(named "modularity separate score"); communities_tag=$(named "separate score"); }
    fi
    model_tag=${model_tag:-$tag}
    communities_tag=${communities_tag:-$tag}
}

name_folders() {
    sources=$mixdir/sources
    wavs=wav$((rate / 1000))k/$mode
    exp=$expdir/$tag
    model=$expdir/$model_tag
    communities=$expdir/$communities_tag/modularity
    [ -z "$model_dir" ] || { model=$model_dir; communities=$model_dir/modularity; }
}
