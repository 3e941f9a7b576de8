# Stages 3 and 4: training. Sourced by recipe.sh; functions only.

# ---------------------------------------------------------------- stage 3, and what both share
train_phase() {  # train_phase PHASE TRAIN_SETS VALID_SETS [options]
    # one job, so it may have the cores that the parallel jobs of other stages share
    OMP_NUM_THREADS=$nj MKL_NUM_THREADS=$nj $train_cmd --gpu "$ngpu" --num-threads "$nj" "$model/$1/log/train.log" \
        contrasep train "${settings[@]}" --phase "$1" --dump "$dumpdir" --train-sets "$2" --valid-sets "$3" \
        --out "$model/$1" --ngpu "$ngpu" --processes "$nj" "${@:4}"
}

phase_sets() {  # phase_sets PHASE SET: the dumped sets that a phase reads of tr or cv, e.g. wsj0=tr_wsj0_single,..
    local data=${1}_data balance=${1}_balance[@] name found=
    [ "${!data}" != fixed ] || { echo "${2}_${num_spk}mix"; return; }
    for name in ${!balance+"${!balance}"}; do found+=",$name=$(single_of "$name" "$2")"; done
    found=${found#,}
    echo "${found:-$(single_of "$own" "$2")}"
}

train_when_due() {  # train_when_due PHASE INIT_PARAM INPUTS..: INIT_PARAM may be empty
    local phase=$1 init=${2:+--init-param} train_on valid_on word markers=()
    train_on=$(phase_sets "$phase" tr)
    valid_on=$(phase_sets "$phase" cv)
    for word in ${train_on//,/ } ${valid_on//,/ }; do markers+=("$dumpdir/${word#*=}/.done"); done
    if due "$phase" "$model/$phase" "$on_change" "" "${markers[@]}" "${@:3}"; then
        train_phase "$phase" "$train_on" "$valid_on" ${init:+"$init" "$2"}
        mark "$model/$phase"
    fi
}

stage_3() {
    $pretrains || return 0
    log "stage 3: pretraining"
    train_when_due pretrain "$init_param" ${init_param:+"$init_param"}
}

# ---------------------------------------------------------------- stage 4
stage_4() {
    log "stage 4: finetuning, modularity network"
    if $pretrains; then
        train_when_due finetune "$model/pretrain/model.pth" "$model/pretrain/.done"
    else
        train_when_due finetune "$init_param" ${init_param:+"$init_param"}
    fi
    local word drawn=()
    if [ "$finetune_data" = dynamic ]; then
        drawn=(--train-singles)
        for word in $(phase_sets finetune tr | tr , ' '); do
            if [[ $word == *=* ]]; then drawn+=("${word%%=*}=$dumpdir/${word#*=}"); else drawn+=("$dumpdir/$word"); fi
        done
    fi
    if due modularity "$communities" clear "" "$model/finetune/.done" "$dumpdir/tr_${num_spk}mix/.done" "$dumpdir/cv_single/.done"; then
        $train_cmd "$communities/log/train.log" \
            contrasep train-modularity "${settings[@]}" --model "$model/finetune/model.pth" \
            --mixtures "$dumpdir/tr_${num_spk}mix" --singles "$dumpdir/cv_single" ${drawn+"${drawn[@]}"} \
            --out "$communities"
        mark "$communities"
    fi
}
