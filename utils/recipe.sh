#!/usr/bin/env bash
# The stages of every recipe. A recipe's run.sh calls this with what is particular to it.
set -euo pipefail

usage() {
    cat <<EOF
Usage: run.sh [options]        (underscores in option names do as well as dashes)

  --stage N            first stage (default 0)
  --stop-stage N       last stage (default 6)
      0 corpus and mixtures   1 data directories   2 dump to ark   3 pretraining
      4 finetuning            5 separation         6 scores
  --config FILE        configuration (default $config)
  --set SECTION.KEY=V  replace one value of the configuration; may be repeated
  --separator NAME     model, oracle_frame, oracle_ibm, oracle_irm, oracle_psm or mixture
  --num-spk K          talkers per mixture (default $num_spk)
  --nj N               parallel jobs (default: the number of cores)
  --ngpu N             GPUs for stages 3 to 5 (default 0; oracles need none)
  --tag NAME           name of the experiment (default: from the configuration)
  --model-tag NAME     experiment whose model is used (default: the one that differs in nothing
                       but modularity, separate and score; with --tag, that tag)
  --model-dir DIR      folder of an experiment, of this or another recipe, whose model and modularity
                       network separate; nothing is trained
  --print-tag          print the name of the experiment, and run nothing
  --init-param FILE    model.pth whose weights training begins with
  --skip-train         leave stages 3 and 4 out
  --test-sets A,B      dumped sets that are separated and scored, of any counts of talkers
                       (default: the test sets of dump; others' e.g. ../wsj0_3mix/dump/tt_3mix)
  --corpus DIR         local copy of the corpus, instead of a download${corpus_option:+ (also --$corpus_option)}
  --mix-lists DIR      folder of the mixtures' lists, of a corpus that has lists of its own
  --activlev NAME      levels of the sources: published (with such lists), p56 or rms
  --download-dir DIR   where downloads go (default downloads)
  --extra-train        also train on the corpus's extra utterances
  --audiomnist DIR     local copy of AudioMNIST, where pretrain.balance names it beside the corpus
  --mixdir DIR         mixtures   (default mixtures)
  --datadir DIR        data dirs  (default data)
  --dumpdir DIR        dumps      (default dump)
  --expdir DIR         results    (default exp)

Folders are relative to the recipe; those to read may also be relative to where you are.
EOF
}

die() { echo "$(basename "$recipe_dir")/run.sh: $*" >&2; exit 2; }
log() { echo "$(date '+%H:%M:%S') $*"; }

{  # a group: bash reads all of it before the first stage runs, so the file may change meanwhile
caller=$PWD
recipe_dir=. label= config=conf/oracle.yaml num_spk=2
stage=0 stop_stage=6 nj=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1) ngpu=0 tag= model_tag= model_dir= init_param= skip_train=false print_tag=false
corpus= corpus_option= download_dir= extra_train=false own_lists=false mix_lists= test_sets=
mixdir=mixtures datadir=data dumpdir=dump expdir=exp
overrides=()
audiomnist=  # a corpus beside the recipe's own
command_line="./run.sh"
recipe_options=0  # options up to --- are the recipe's own, not the user's

while [ $# -gt 0 ]; do
    name=${1%%=*}
    name=${name//_/-}
    case $1 in
        ---) recipe_options=done; shift; continue ;;
        --*=*) value=${1#*=}; set -- "$name" "$value" "${@:2}" ;;
    esac
    [ "$recipe_options" = done ] && command_line+=" $(printf '%q' "$name")"
    [ "$name" != "--${corpus_option:--}" ] || name=--corpus
    case $name in
        --help|-h) usage; exit 0 ;;
        --skip-train) skip_train=true; shift; continue ;;
        --extra-train) extra_train=true; shift; continue ;;
        --own-lists) own_lists=true; shift; continue ;;
        --print-tag) print_tag=true; shift; continue ;;
        --audiomnist) ;;
        --stage|--stop-stage|--config|--set|--separator|--num-spk|--nj|--ngpu|--tag|--model-tag|--model-dir|--init-param|--corpus|--download-dir|\
        --mix-lists|--activlev|--test-sets|--corpus-option|--mixdir|--datadir|--dumpdir|--expdir|--recipe-dir|--label) ;;
        *) die "unknown option '$1'; see run.sh --help" ;;
    esac
    [ $# -ge 2 ] || die "$name needs a value; see run.sh --help"
    value=$2
    [ "$recipe_options" = done ] && command_line+=" $(printf '%q' "$value")"
    shift 2
    case $name in
        --set) overrides+=(--set "$value") ;;
        --separator) overrides+=(--set "separate.separator=$value") ;;
        --activlev) overrides+=(--set "mix.active_level=$value") ;;
        *) variable=${name#--}; printf -v "${variable//-/_}" '%s' "$value" ;;
    esac
done

for name in stage stop_stage nj ngpu num_spk; do
    [[ ${!name} =~ ^[0-9]+$ ]] || die "--${name//_/-}: a whole number wanted, got '${!name}'"
done
[ "$nj" -ge 1 ] || die "--nj: at least 1 job wanted, got 0"
[ "$num_spk" -ge 1 ] || die "--num-spk: at least 1 talker wanted, got 0"
[ "$stage" -le "$stop_stage" ] || die "--stage $stage lies after --stop-stage $stop_stage"
for name in tag model_tag; do
    [[ ${!name} =~ ^[A-Za-z0-9._=-]*$ ]] || die "--${name//_/-}: letters, digits and ._=- wanted, got '${!name}'"
done

cd "$recipe_dir"
recipe=$(basename "$PWD")
[ -f "$config" ] || [[ $config = /* ]] || [ ! -f "$caller/$config" ] || config=$caller/$config
if [ -n "$init_param" ]; then
    [[ $init_param = /* ]] || [ ! -f "$caller/$init_param" ] || init_param=$(cd "$caller" && realpath "$init_param")
    [ -f "$init_param" ] || die "--init-param $init_param: no such file; name a model.pth"
fi
to_read() {  # to_read FOLDER: as it is, or relative to the caller
    if [[ $1 != /* ]] && [ -d "$caller/$1" ]; then (cd "$caller/$1" && pwd); else printf '%s\n' "$1"; fi
}
if [ -n "$model_dir" ]; then
    [ -z "$model_tag$init_param" ] || die "--model-dir: a model that is there; --model-tag and --init-param do not go with it"
    model_dir=$(to_read "$model_dir")
    [ -f "$model_dir/finetune/model.pth" ] || die "--model-dir $model_dir: no finetune/model.pth in it; name the folder of a trained experiment"
    skip_train=true
fi
if [ -n "$corpus" ]; then
    corpus=$(to_read "$corpus")
    [ -d "$corpus" ] || die "--${corpus_option:-corpus} $corpus: no such folder; name the folder that holds the corpus"
fi
if [ -n "$mix_lists" ]; then
    mix_lists=$(to_read "$mix_lists")
    $own_lists || die "--mix-lists: this corpus has no lists of its own; mixtures are drawn (see mix.sets in $config)"
    [ -d "$mix_lists" ] || die "--mix-lists $mix_lists: no such folder; name the folder that holds mix_${num_spk}_spk_tr.txt"
fi
. ./path.sh
. ./cmd.sh

settings=(--config "$config" ${overrides[@]+"${overrides[@]}"})
get() { contrasep check-config "${settings[@]}" --get "$1"; }
separator=$(get separate.separator)
rate=$(get mix.rate)
mode=$(get mix.mode)
sets=$(get mix.sets)
# Corpora that training reads beside the recipe's own, whose name is the recipe's without the count:
# those that a balance names. What prepares one is the recipe of that corpus.
if [ -n "$audiomnist" ]; then
    [[ $audiomnist = /* ]] || [ ! -d "$caller/$audiomnist" ] || audiomnist=$(cd "$caller/$audiomnist" && pwd)
    [ -d "$audiomnist" ] || die "--audiomnist $audiomnist: no such folder; name the folder that holds 01, 02, .."
fi
own=${recipe%_*mix}
[ "$own" != audiomnist ] || corpus=${corpus:-$audiomnist}
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
further=
if [ "$separator" = model ]; then
    for name in $(balanced pretrain) $(balanced finetune); do
        [ "$name" = "$own" ] || [[ " $further " = *" $name "* ]] || { preparation "$name" >/dev/null; further+=" $name"; }
    done
fi
[ -z "$audiomnist" ] || [[ " $own $further " = *" audiomnist "* ]] ||
    die "--audiomnist: $config trains on no AudioMNIST; add --set 'pretrain.balance={$own: 0.5, audiomnist: 0.5}'"
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
    [ -z "$model_dir" ] || name+=_by_$(basename "$model_dir")
    [[ $recipe = *_"${num_spk}mix" ]] || name+=_${num_spk}mix
    echo "$name"
}
on_change=clear  # what becomes of a model of other settings; another experiment's is kept
[ -z "$model_tag" ] || on_change=refuse
if [ -z "$tag" ]; then
    tag=$(named "")
    [ -n "$model_tag" ] || { model_tag=$(named "modularity separate score"); communities_tag=$(named "separate score"); }
fi
model_tag=${model_tag:-$tag}
communities_tag=${communities_tag:-$tag}
if $print_tag; then
    echo "$tag"
    exit
fi

sources=$mixdir/sources
mixtures=$mixdir/${num_spk}mix
tree=$mixtures/wav$((rate / 1000))k/$mode
exp=$expdir/$tag
model=$expdir/$model_tag
communities=$expdir/$communities_tag/modularity
[ -z "$model_dir" ] || { model=$model_dir; communities=$model_dir/modularity; }

# done_marker FOLDER SECTIONS "INPUTS" "VALUES" [--mark | --begin clear|refuse]
done_marker() {
    local folder=$1 sections=$2 inputs=$3 values=$4
    shift 4
    # shellcheck disable=SC2086  # inputs and values are lists of words
    contrasep done "$folder" --sections "$sections" --inputs $inputs --values $values "${settings[@]}" "$@"
}

# run_step FOLDER SECTIONS "INPUTS" "VALUES" clear|refuse FUNCTION [ARGUMENTS]: run FUNCTION unless FOLDER is done
run_step() {
    local folder=$1 status=0
    done_marker "$1" "$2" "$3" "$4" || status=$?
    case $status in
        0) log "  $folder is done"; return ;;
        3) ;;
        *) exit "$status" ;;
    esac
    done_marker "$1" "$2" "$3" "$4" --begin "$5"
    "${@:6}"
    done_marker "$1" "$2" "$3" "$4" --mark
}

jobs_for() {  # jobs_for TABLE: as many jobs as asked for, capped at the lines of the table
    local lines
    [ -f "$1" ] || { echo "$recipe/run.sh: $1: not there; run the earlier stage that makes it first" >&2; exit 1; }
    lines=$(wc -l <"$1")
    if [ "$nj" -gt "$lines" ]; then
        echo "$recipe/run.sh: --nj $nj capped at the $lines utterances of $1" >&2
        echo "$lines"
    else
        echo "$nj"
    fi
}

mixture_sets() {  # the sets that stage 0 listed, e.g. tr cv tt
    local set
    for set in $sets; do
        [ ! -f "$mixtures/lists/$set.txt" ] || echo "$set"
    done
}

find_tests() {  # dumped sets of mixtures that are scored, one folder a line
    local set found=false given
    IFS=, read -r -a given <<<"$test_sets"
    for set in ${given[@]+"${given[@]}"}; do
        set=$(to_read "${set%/}")
        [ -d "$set" ] || { echo "$recipe/run.sh: --test-sets: $set: no such folder; name a dumped set, e.g. dump/tt_2mix" >&2; exit 1; }
        printf '%s\n' "$set"
    done
    [ -z "$test_sets" ] || return 0
    for set in $sets; do
        [[ $set = tt* ]] && [ -d "$dumpdir/${set}_${num_spk}mix" ] && { printf '%s\n' "$dumpdir/${set}_${num_spk}mix"; found=true; }
    done
    $found || { echo "$recipe/run.sh: no test set in $dumpdir; run stage 2 first" >&2; exit 1; }
}

read_tests() {  # the dumped test sets, as the array tests
    local found
    found=$(find_tests)
    mapfile -t tests <<<"$found"
    found=$(printf '%s\n' "${tests[@]##*/}" | sort | uniq -d)
    [ -z "$found" ] || die "--test-sets: two sets of the name $found; their results would overwrite each other"
}

log "$recipe: $tag ($command_line)"

# ---------------------------------------------------------------- stage 0
make_further() {  # make_further CORPUS: the sources of a corpus that is not the recipe's own
    local take=()
    [ -z "$download_dir" ] || take+=(--download-dir "$download_dir")
    [ "$1" != audiomnist ] || [ -z "$audiomnist" ] || take+=(--corpus "$audiomnist")
    "$(preparation "$1")" "${settings[@]}" --out "${sources}_$1" --nj "$nj" ${take[@]+"${take[@]}"}
}

make_sources() {
    local take=()
    # passed on only when given: a recipe whose corpus has no such option refuses it
    [ -z "$download_dir" ] || take+=(--download-dir "$download_dir")
    [ -z "$corpus" ] || take+=(--corpus "$corpus")
    ! $extra_train || take+=(--extra-train)
    ! $own_lists || take+=(--num-spk "$num_spk")
    [ -z "$mix_lists" ] || take+=(--mix-lists "$mix_lists")
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

if [ "$stage" -le 0 ] && [ "$stop_stage" -ge 0 ]; then
    log "stage 0: corpus and mixtures"
    source_values="corpus=$(printf '%s' "$corpus" | cksum | tr ' ' -) extra_train=$extra_train"
    ! $own_lists || source_values+=" num_spk=$num_spk mix_lists=$(printf '%s' "$mix_lists" | cksum | tr ' ' -)"
    run_step "$sources" corpus "" "$source_values" refuse make_sources
    run_step "$mixtures" mix "$sources/.done" "num_spk=$num_spk" refuse make_mixtures
    for name in $further; do
        copy=
        [ "$name" != audiomnist ] || copy=$audiomnist
        run_step "${sources}_$name" corpus "" "corpus=$(printf '%s' "$copy" | cksum | tr ' ' -)" refuse make_further "$name"
    done
fi

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

if [ "$stage" -le 1 ] && [ "$stop_stage" -ge 1 ]; then
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
fi

# ---------------------------------------------------------------- stage 2
dump_set() {  # dump_set SET
    local jobs
    jobs=$(jobs_for "$datadir/$1/wav.scp")
    $data_cmd --max-jobs-run "$nj" JOB=1:"$jobs" "$dumpdir/$1/log/dump.JOB.log" \
        contrasep dump "${settings[@]}" --data "$datadir/$1" --out "$dumpdir/$1" --part "JOB/$jobs"
    contrasep dump "${settings[@]}" --data "$datadir/$1" --out "$dumpdir/$1" --merge
}

if [ "$stage" -le 2 ] && [ "$stop_stage" -ge 2 ]; then
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
fi

# ---------------------------------------------------------------- stages 3 and 4
train_phase() {  # train_phase PHASE TRAIN_SETS VALID_SETS [options]
    # one job, so it may have the cores that the parallel jobs of other stages share
    OMP_NUM_THREADS=$nj MKL_NUM_THREADS=$nj $train_cmd --gpu "$ngpu" --num-threads "$nj" "$model/$1/log/train.log" \
        contrasep train "${settings[@]}" --phase "$1" --dump "$dumpdir" --train-sets "$2" --valid-sets "$3" \
        --out "$model/$1" --ngpu "$ngpu" --processes "$nj" "${@:4}"
}

train_communities() {
    $train_cmd "$communities/log/train.log" \
        contrasep train-modularity "${settings[@]}" --model "$model/finetune/model.pth" \
        --mixtures "$dumpdir/tr_${num_spk}mix" --singles "$dumpdir/cv_single" --out "$communities"
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

init=(${init_param:+--init-param "$init_param"}) silence="silence_db=$(get separate.silence_db)"
if [ "$separator" = model ] && [ "$(get pretrain.epochs)" -gt 0 ]; then
    if [ "$stage" -le 3 ] && [ "$stop_stage" -ge 3 ] && ! $skip_train; then
        log "stage 3: pretraining"
        train_on=$(phase_sets pretrain tr) valid_on=$(phase_sets pretrain cv)
        run_step "$model/pretrain" features,mix,model,pretrain "$(markers "$train_on" "$valid_on") $init_param" "$silence" \
            "$on_change" train_phase pretrain "$train_on" "$valid_on" ${init[@]+"${init[@]}"}
    fi
    init=(--init-param "$model/pretrain/model.pth")
fi
if [ "$separator" = model ]; then
    if [ "$stage" -le 4 ] && [ "$stop_stage" -ge 4 ] && ! $skip_train; then
        log "stage 4: finetuning, modularity network"
        train_on=$(phase_sets finetune tr) valid_on=$(phase_sets finetune cv)
        before=$(markers "$train_on" "$valid_on")
        if [ "$(get pretrain.epochs)" -gt 0 ]; then before+=" $model/pretrain/.done"; else before+=" $init_param"; fi
        run_step "$model/finetune" features,mix,model,finetune "$before" "$silence" \
            "$on_change" train_phase finetune "$train_on" "$valid_on" ${init[@]+"${init[@]}"}
        run_step "$communities" features,model,modularity \
            "$model/finetune/.done $dumpdir/tr_${num_spk}mix/.done $dumpdir/cv_single/.done" "" clear train_communities
    fi
elif [ "$stage" -le 4 ] && [ "$stop_stage" -ge 3 ]; then
    log "stages 3 and 4: nothing to train for $separator"
fi

# ---------------------------------------------------------------- stage 5
separate_set() {  # separate_set DUMP
    local jobs out=$exp/separate_${1##*/}
    jobs=$(jobs_for "$1/wav.scp")
    $separate_cmd --max-jobs-run "$nj" --gpu "$ngpu" JOB=1:"$jobs" "$out/log/separate.JOB.log" \
        contrasep separate "${settings[@]}" --dump "$1" --out "$out" --part "JOB/$jobs" \
        ${trained[@]+"${trained[@]}"}
    contrasep separate "${settings[@]}" --dump "$1" --out "$out" --merge "$jobs"
}

if [ "$stage" -le 5 ] && [ "$stop_stage" -ge 5 ]; then
    log "stage 5: separation by $separator"
    read_tests
    reads=features,separate trained=() trained_marks=
    if [ "$separator" = model ]; then
        reads+=,model,modularity
        trained=(--model "$model/finetune/model.pth" --modularity "$communities" --ngpu "$ngpu")
        trained_marks="$model/finetune/.done $communities/.done"
    fi
    for dump in "${tests[@]}"; do
        run_step "$exp/separate_${dump##*/}" "$reads" "$dump/.done $trained_marks" "" clear separate_set "$dump"
    done
fi

# ---------------------------------------------------------------- stage 6
score_set() {  # score_set DUMP
    local jobs out=$exp/score_${1##*/}
    local scored=(--dump "$1" --separated "$exp/separate_${1##*/}" --out "$out")
    jobs=$(jobs_for "$1/wav.scp")
    $separate_cmd --max-jobs-run "$nj" JOB=1:"$jobs" "$out/log/score.JOB.log" \
        contrasep score "${settings[@]}" "${scored[@]}" --part "JOB/$jobs"
    contrasep score "${settings[@]}" "${scored[@]}" --merge "$jobs"
}

if [ "$stage" -le 6 ] && [ "$stop_stage" -ge 6 ]; then
    log "stage 6: scores"
    read_tests
    for dump in "${tests[@]}"; do
        set=${dump##*/}
        run_step "$exp/score_$set" features,separate,score "$dump/.done $exp/separate_$set/.done" "" clear score_set "$dump"
    done
    # stage 0 knows where the speech is not the corpus's own
    [ ! -f "$sources/label" ] || label=$(<"$sources/label")
    contrasep report "${settings[@]}" --exp "$exp" --recipe "$recipe" --sets "${tests[@]}" --label "$label" \
        --command "$command_line" --seconds "$SECONDS"
    # the recipe's own table compares the experiments of its default folder
    [ "$expdir" != exp ] || contrasep report --recipe-dir .
    echo
    cat "$exp/RESULTS.md"
    echo
    for set in "${tests[@]##*/}"; do
        echo "Audio: $(cd "$exp/separate_$set/wavs" && pwd)"
        echo "Plots: $(cd "$exp/score_$set" && pwd)"
    done
fi
exit
}
