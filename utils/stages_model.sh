# Stages 3 and 4: training. Sourced by recipe.sh; functions only.

# ---------------------------------------------------------------- stage 3, and what both share
train_phase() {  # train_phase PHASE TRAIN_SETS VALID_SETS [options]
    # one job, so it may have the cores that the parallel jobs of other stages share
    OMP_NUM_THREADS=$nj MKL_NUM_THREADS=$nj $train_cmd --gpu "$ngpu" --num-threads "$nj" "$model/$1/log/train.log" \
        contrasep train "${settings[@]}" --phase "$1" --dump "$dumpdir" --train-sets "$2" --valid-sets "$3" \
        --out "$model/$1" --ngpu "$ngpu" --processes "$nj" "${@:4}"
}

phase_sets() {  # phase_sets PHASE SET: the dumped sets that a phase reads of tr or cv, e.g. wsj0=tr_single,..
    local names name found=
    names=$(balanced "$1")
    case $(get "$1.data") in
        fixed) echo "${2}_${num_spk}mix"; return ;;
    esac
    [ -n "$names" ] || found="${2}_single"
    for name in $names; do
        if [ "$name" = "$own" ]; then found+=",$own=${2}_single"; else found+=",$name=${2}_${name}_single"; fi
    done
    echo "${found#,}"
}

markers() {  # markers SETS..: the .done of dumped sets, named as phase_sets does
    local word
    for word in ${*//,/ }; do echo "$dumpdir/${word#*=}/.done"; done
}

pretrains() { [ "$(get pretrain.epochs)" -gt 0 ]; }

stage_3() {
    pretrains || return 0
    log "stage 3: pretraining"
    local train_on valid_on silence init=(${init_param:+--init-param "$init_param"})
    train_on=$(phase_sets pretrain tr)
    valid_on=$(phase_sets pretrain cv)
    silence="silence_db=$(get separate.silence_db)"
    run_step "$model/pretrain" features,mix,model,pretrain "$(markers "$train_on" "$valid_on") $init_param" "$silence" \
        "$on_change" train_phase pretrain "$train_on" "$valid_on" ${init[@]+"${init[@]}"}
}

# ---------------------------------------------------------------- stage 4
train_communities() {
    $train_cmd "$communities/log/train.log" \
        contrasep train-modularity "${settings[@]}" --model "$model/finetune/model.pth" \
        --mixtures "$dumpdir/tr_${num_spk}mix" --singles "$dumpdir/cv_single" --out "$communities"
}

stage_4() {
    log "stage 4: finetuning, modularity network"
    local train_on valid_on silence before init=(${init_param:+--init-param "$init_param"})
    train_on=$(phase_sets finetune tr)
    valid_on=$(phase_sets finetune cv)
    silence="silence_db=$(get separate.silence_db)"
    before=$(markers "$train_on" "$valid_on")
    if pretrains; then
        before+=" $model/pretrain/.done" init=(--init-param "$model/pretrain/model.pth")
    else
        before+=" $init_param"
    fi
    run_step "$model/finetune" features,mix,model,finetune "$before" "$silence" \
        "$on_change" train_phase finetune "$train_on" "$valid_on" ${init[@]+"${init[@]}"}
    run_step "$communities" features,model,modularity \
        "$model/finetune/.done $dumpdir/tr_${num_spk}mix/.done $dumpdir/cv_single/.done" "" clear train_communities
}
