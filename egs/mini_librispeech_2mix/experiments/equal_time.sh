#!/usr/bin/env bash
# Trains ours and ESPnet's systems from random weights for the same time of one core, and scores development mixtures.
set -euo pipefail
shopt -s inherit_errexit

usage() {
    cat <<'END'
Usage: equal_time.sh [--systems ours tcn dpcl tfgridnetv2 dan] [--talkers 2 3] [--seeds 0 1 2] [--minutes 60]
                     [--dry-run] [options of run.sh, e.g. --corpus DIR --extra-train]

A system is trained for each number of talkers and each seed on mixtures of the same single speakers, its peers by
tools/bench/peers/run.py, sizes small. All scores are of the same 100 mixtures of development speakers, the number of talkers given:
exp/sweep_equal_time/judged.tsv. The same command goes on after an interruption; what is scored is not trained again.
Default: ours, tcn, dpcl, both numbers, three seeds.
END
}

die() { echo "equal_time.sh: $*; see equal_time.sh --help" >&2; exit 2; }

{  # a group: bash reads all of it before it runs, so the file may change meanwhile
recipe=$(dirname "${BASH_SOURCE[0]}")/..
recipe=$(CDPATH='' cd -- "$recipe" && pwd)
systems=() talkers=() seeds=() options=() runs=() minutes=60 dry='' list=options
while [ $# -gt 0 ]; do
    case $1 in
        --help|-h) usage; exit ;;
        --systems) list=systems ;;
        --talkers) list=talkers ;;
        --seeds) list=seeds ;;
        --minutes) [ $# -ge 2 ] || die "$1 needs a value"; minutes=$2; list=options; shift ;;
        --dry-run) dry=echo ;;
        --*) list=options; options+=("$1") ;;
        *) declare -n into=$list; into+=("$1") ;;
    esac
    shift
done
[ ${#systems[@]} -gt 0 ] || systems=(ours tcn dpcl)
[ ${#talkers[@]} -gt 0 ] || talkers=(2 3)
[ ${#seeds[@]} -gt 0 ] || seeds=(0 1 2)
for name in "${systems[@]}"; do
    case $name in ours|tcn|dpcl|tfgridnetv2|dan) ;; *) die "--systems: unknown system '$name'" ;; esac
done
. "$recipe/../../utils/path.sh"
cd -- "$recipe"
shared=experiments/equal_time.yaml own=experiments/equal_time_ours.yaml
for count in "${talkers[@]}"; do
    set=dump/equal_time_$count/dev_${count}mix
    folders=(--num-spk "$count" --mixdir "mixtures/equal_time_$count" --datadir "data/equal_time_$count" --dumpdir "dump/equal_time_$count")
    $dry ./run.sh --config $shared --stop-stage 2 --nj 1 "${folders[@]}" "${options[@]+"${options[@]}"}"
    for seed in "${seeds[@]}"; do
        for system in "${systems[@]}"; do
            tag=equal_time_${system}_${count}_$seed
            runs+=("$system,$seed,$count=exp/$tag/score_dev_${count}mix/scores.tsv")
            [ ! -s "exp/$tag/score_dev_${count}mix/scores.tsv" ] || continue
            values=(--set "finetune.num_spk=[$count]" --set "finetune.seed=$seed" --set "finetune.budget_minutes=$minutes")
            if [ "$system" = ours ]; then
                $dry ./run.sh --config $own --tag "$tag" --stage 4 --nj 1 --listen 0 --test-sets "$set" "${values[@]}" \
                    "${folders[@]}" "${options[@]+"${options[@]}"}"
            else
                $dry python "$recipe/../../tools/bench/peers/run.py" train --config $shared --system "$system" --num-spk "$count" \
                    --dump dump/equal_time_$count --out "exp/$tag" --threads 1 "${values[@]}"
                $dry python "$recipe/../../tools/bench/peers/run.py" results --config $shared --exp "exp/$tag" --sets "$set" \
                    --label "read speech (Mini LibriSpeech)" "${values[@]}"
            fi
        done
    done
done
$dry python "$recipe/../../tools/experiments.py" scores exp/sweep_equal_time --runs "${runs[@]}"
exit
}
