#!/usr/bin/env bash
# Train the recogniser of a recipe, measure it on clean speech, and count the words that separation saves. Called by a recipe's asr.sh.
set -euo pipefail
shopt -s inherit_errexit

usage() {
    cat <<EOF
Usage: asr.sh [options]
  --stage N, --stop-stage N   first and last stage (default 0 and 4)
      0 speech and mixtures: stages 0 to 2 of run.sh   1 further text, test speech   2 training   3 clean error rates
      4 word error rates of clean, mixed and separated speech
  --config FILE               configuration (default $config)
  --set SECTION.KEY=V         replace one value of it; may be repeated
  --dir DIR                   all that is made (default exp/asr); DIR/model/asr.pth is the recogniser
  --test-sets A,B             single-speaker sets of stage 0 that stage 3 transcribes (default $test_sets)
  --score-set NAME            mixtures of stage 0 that stage 4 separates (default $score_set)
  --systems A,B               what separates them: folders of trained models, or separators as oracle_psm
                              (default $systems)
  --nj N                      processes of stages 0 and 4, threads of the training (default 1)
  --ngpu N                    GPUs for the training (default 0)
Other options go to run.sh, e.g. --corpus DIR, --extra-train.
What is there and of the same settings is kept; what other settings made is refused, or made again where it is quick.
EOF
}

die() { echo "asr.sh: $*" >&2; exit 2; }

main() {
    local recipe_dir=. extra='' config=conf/asr.yaml dir=exp/asr test_sets=tt score_set=tt_2mix stage=0 stop_stage=4 nj=1 ngpu=0 set name folder source made
    local systems=../../contrasep_lib/pretrained/best,oracle_psm system tag separate run chosen=()
    local overrides=() further=() settings=() train_sets=() caller=$PWD
    while [ $# -gt 0 ]; do
        case $1 in --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;; esac
        name=${1//_/-}
        case $name in
            --help|-h) usage; exit 0 ;;
            --set|--corpus|--recipe-dir|--extra|--config|--dir|--test-sets|--score-set|--systems|--stage|--stop-stage|--nj|--ngpu)
                [ $# -ge 2 ] || die "$1 needs a value; see asr.sh --help" ;;
            # run.sh knows whether an option has a value
            --*) further+=("$1"); shift; [[ ${1---} == --* ]] || { further+=("$1"); shift; }; continue ;;
            *) die "unexpected '$1'; see asr.sh --help" ;;
        esac
        case $name in
            --set) overrides+=(--set "$2") ;;
            --corpus) if [ -d "$caller/$2" ]; then further+=(--corpus "$caller/$2"); else further+=(--corpus "$2"); fi ;;
            *) name=${name#--}; printf -v "${name//-/_}" '%s' "$2" ;;
        esac
        shift 2
    done
    for name in stage stop_stage nj ngpu; do
        [[ ${!name} =~ ^[0-9]{1,4}$ ]] || die "--${name//_/-}: expected a whole number, got '${!name}'"
    done
    cd "$recipe_dir"
    . ./path.sh
    . ./cmd.sh
    settings=(--config "conf/data.yaml,$config" ${overrides+"${overrides[@]}"})
    mkdir -p "$dir"

    if [ "$stage" -le 0 ] && [ "$stop_stage" -ge 0 ]; then
        ./run.sh --stage 0 --stop-stage 2 --config "$config" ${overrides+"${overrides[@]}"} --nj "$nj" \
            --mixdir "$dir/mixtures" --datadir "$dir/data" --dumpdir "$dir/dump" ${further+"${further[@]}"}
    fi
    if [ "$stage" -le 1 ] && [ "$stop_stage" -ge 1 ]; then
        if [ -n "$extra" ]; then  # keeps what is whole, refuses what other options made
            contrasep prepare-corpus "$extra" "${settings[@]}" --out "$dir/sources_$extra" --nj "$nj"
        fi
        for set in ${extra:+"tr_$extra"} ${test_sets//,/ }; do
            folder=$dir/mixtures/sources/$set
            [ "$set" != "tr_$extra" ] || folder=$dir/sources_$extra/tr
            [ -f "$folder/text" ] || die "$folder: no transcripts there; run stage 0 first, or name other --test-sets"
            contrasep prepare-data --sources "$folder" --out "$dir/data/${set}_single"
            contrasep validate-data "$dir/data/${set}_single"
            source=$(cat "$dir/data/${set}_single"/{wav.scp,utt2dur,text} | cksum) made=
            [ ! -f "$dir/dump/${set}_single/.source" ] || made=$(<"$dir/dump/${set}_single/.source")
            [ "$made" != "$source" ] || continue
            rm -rf "$dir/dump/${set}_single"
            contrasep dump "${settings[@]}" --data "$dir/data/${set}_single" --out "$dir/dump/${set}_single"
            contrasep dump "${settings[@]}" --data "$dir/data/${set}_single" --out "$dir/dump/${set}_single" --merge
            printf '%s\n' "$source" >"$dir/dump/${set}_single/.source"
        done
    fi
    train_sets=("$dir/dump/tr_single" ${extra:+"$dir/dump/tr_${extra}_single"})
    local key
    made=
    # all that the training depends on: words, values of the configuration's files, speech
    key=$({ printf '%s\n' "${settings[@]}" "${train_sets[@]}"; for name in conf/data.yaml ${config//,/ }; do [ ! -f "$name" ] || cat "$name"; done
        for name in "${train_sets[@]}"; do [ ! -f "$name/wav.scp" ] || cat "$name/wav.scp"; done; } | cksum)
    [ ! -s "$dir/model/.done" ] || made=$(<"$dir/model/.done")
    if [ "$stage" -le 2 ] && [ "$stop_stage" -ge 2 ] && [ -n "$made" ] && [ "$made" != "$key" ]; then
        die "$dir/model: trained with other settings or speech; delete it, or name another --dir"
    fi
    if [ "$stage" -le 2 ] && [ "$stop_stage" -ge 2 ] && [ -z "$made" ]; then
        run=$train_cmd
        mkdir -p "$dir/model"
        echo "asr.sh: stage 2, training; log in $dir/model/log/train.log"
        [ "$ngpu" -eq 0 ] || run=${cuda_cmd:-$train_cmd}
        # one process, so it may have the cores of the other stages' jobs
        OMP_NUM_THREADS=$nj MKL_NUM_THREADS=$nj $run --gpu "$ngpu" --num-threads "$nj" "$dir/model/log/train.log" \
            contrasep train-asr "${settings[@]}" --train-sets "${train_sets[@]}" --valid-sets "$dir/dump/cv_single" \
            --out "$dir/model" --ngpu "$ngpu"
        printf '%s\n' "$key" >"$dir/model/.done.tmp"
        mv "$dir/model/.done.tmp" "$dir/model/.done"
    fi
    if [ "$stage" -le 3 ] && [ "$stop_stage" -ge 3 ]; then
        for set in cv ${test_sets//,/ }; do
            echo "asr.sh: stage 3, $set; log in $dir/model/log/transcribe_$set.log"
            $separate_cmd "$dir/model/log/transcribe_$set.log" \
                contrasep transcribe --model "$dir/model/asr.pth" --dump "$dir/dump/${set}_single" --out "$dir/model/text_$set"
            grep -s "^transcribe: word error rate" "$dir/model/log/transcribe_$set.log" || true
        done
    fi
    if [ "$stage" -le 4 ] && [ "$stop_stage" -ge 4 ]; then
        IFS=, read -r -a chosen <<<"$systems"
        for system in "${chosen[@]}"; do
            [[ $system = /* ]] || [ ! -d "$caller/$system" ] || system=$caller/$system
            tag=${system##*/} separate=(--config "$config" ${overrides+"${overrides[@]}"} --separator "$system")
            if [ -d "$system" ]; then
                [ -f "$system/config.yaml" ] ||
                    die "--systems $system: no config.yaml in it; pack it and name what it unpacks to (contrasep pack, contrasep unpack)"
                separate=(--config "$system/config.yaml" --model-dir "$system")
            fi
            separate+=(--stop-stage 6 --tag "$tag" --test-sets "$dir/dump/$score_set" --listen 0 --nj "$nj" --ngpu "$ngpu" --mixdir "$dir/mixtures"
                --datadir "$dir/data" --dumpdir "$dir/dump" --expdir "$dir/exp" ${further+"${further[@]}"})
            ./run.sh --stage 5 "${separate[@]}"
            echo "asr.sh: stage 4, words of $tag; log in $dir/exp/$tag/score_$score_set/log/words.log"
            $separate_cmd "$dir/exp/$tag/score_$score_set/log/words.log" \
                contrasep score --wer --asr-model "$dir/model/asr.pth" "${settings[@]}" --dump "$dir/dump/$score_set" \
                --separated "$dir/exp/$tag/separate_$score_set" --out "$dir/exp/$tag/score_$score_set"
            grep -sE "^(clean|mixed|separated) " "$dir/exp/$tag/score_$score_set/log/words.log" || true
            # the page, with the words
            ./run.sh --stage 6 "${separate[@]}"
        done
    fi
}

{
main "$@"
exit
}
