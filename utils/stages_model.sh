# Stages 3 and 4: training. Sourced by recipe.sh; functions only.

# ---------------------------------------------------------------- stage 3, and what both share
train_phase() {  # train_phase PHASE TRAIN_SETS VALID_SETS [options]
    local run=$train_cmd jobs=() log=train.log nodes=() threads=$nj stated='--num-threads[ =]([1-9][0-9]*) ' now
    [ "$ngpu" -eq 0 ] || run=${cuda_cmd:-$train_cmd}
    # one job on a machine, so it may have the cores that the parallel jobs of other stages share, or what its command states
    [[ ! "$run " =~ $stated ]] || threads=${BASH_REMATCH[1]}
    if [ "$num_nodes" -gt 1 ]; then
        # a job for each node; they meet by a file, new for each start, so that none finds the address of an earlier one.
        # A single one of them is not started again: the others are gone
        jobs=(--max-jobs-run "$num_nodes" --retries 0 --mark 0 JOB=1:"$num_nodes") log=train.JOB.log
        printf -v now '%(%s)T' -1
        nodes=(--num-nodes "$num_nodes" --rendezvous "$model/$1/log/rendezvous.$now.$$")
    fi
    OMP_NUM_THREADS=$threads MKL_NUM_THREADS=$threads $run --gpu "$ngpu" --num-threads "$threads" ${jobs+"${jobs[@]}"} "$model/$1/log/$log" \
        contrasep train "${settings[@]}" --phase "$1" --dump "$dumpdir" --train-sets "$2" --valid-sets "$3" \
        --out "$model/$1" --ngpu "$ngpu" --processes "$threads" ${nodes+"${nodes[@]}"} "${@:4}"
}

phase_sets() {  # phase_sets PHASE SET: the dumped sets that a phase reads of tr or cv, e.g. wsj0=tr_wsj0_single,..
    local data=${1}_data balance=${1}_balance[@] name single found=
    [ "${!data}" != fixed ] || { echo "${2}_${num_spk}mix"; return; }
    for name in ${!balance+"${!balance}"}; do
        single=$(single_of "$name" "$2")
        found+=",$name=$single"
    done
    single=$(single_of "$own" "$2")
    found=${found#,}
    echo "${found:-$single}"
}

train_when_due() {  # train_when_due PHASE INIT_PARAM INPUTS..: INIT_PARAM may be empty
    local phase=$1 init=${2:+--init-param} train_on valid_on word markers=()
    train_on=$(phase_sets "$phase" tr)
    valid_on=$(phase_sets "$phase" cv)
    for word in ${train_on//,/ } ${valid_on//,/ }; do markers+=("$dumpdir/${word#*=}/.done"); done
    due "$phase" "$model/$phase" "$on_change" "" "${markers[@]}" "${@:3}"
    if $is_due; then
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
    local word sets_read drawn=()
    if [ "$finetune_data" = dynamic ]; then
        drawn=(--train-singles)
        sets_read=$(phase_sets finetune tr)
        for word in ${sets_read//,/ }; do
            if [[ $word == *=* ]]; then drawn+=("${word%%=*}=$dumpdir/${word#*=}"); else drawn+=("$dumpdir/$word"); fi
        done
    fi
    due modularity "$communities" clear "" "$model/finetune/.done" "$dumpdir/tr_${num_spk}mix/.done" "$dumpdir/cv_single/.done"
    if $is_due; then
        $train_cmd "$communities/log/train.log" \
            contrasep train-modularity "${settings[@]}" --model "$model/finetune/model.pth" \
            --mixtures "$dumpdir/tr_${num_spk}mix" --singles "$dumpdir/cv_single" ${drawn+"${drawn[@]}"} \
            --out "$communities"
        mark "$communities"
    fi
}
