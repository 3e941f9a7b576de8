#!/usr/bin/env bash
# Trains ours and ESPnet's systems from random weights for the same time of one core, and scores development mixtures.
set -euo pipefail
shopt -s inherit_errexit

usage() {
    cat <<'END'
Usage: equal_time.sh [--systems ours tcn dpcl tfgridnetv2 dan] [--talkers 2 3] [--seeds 0 1 2] [--minutes 60]
                     [--name NAME] [--dry-run] [options of run.sh, e.g. --corpus DIR --extra-train]

A system is trained for each number of talkers and each seed on mixtures of the same single speakers, its peers by
tools/bench/peers/run.py, sizes small. All scores are of the same 100 mixtures of development speakers, the number of talkers given:
exp/sweep_NAME/judged.tsv. The same command goes on after an interruption; what is scored is not trained again.
Default: ours, tcn, dpcl, both numbers, three seeds; the configuration experiments/equal_time.yaml, of --name (equal_time).
END
}

die() { echo "equal_time.sh: $*; see equal_time.sh --help" >&2; exit 2; }

{  # a group: bash reads all of it before it runs, so the file may change meanwhile
recipe=$(dirname "${BASH_SOURCE[0]}")/..
recipe=$(CDPATH='' cd -- "$recipe" && pwd)
found='' systems=() talkers=() seeds=() options=() runs=() minutes=60 name=equal_time dry='' list=options
while [ $# -gt 0 ]; do
    case $1 in
        --help|-h) usage; exit ;;
        --systems) list=systems ;;
        --talkers) list=talkers ;;
        --seeds) list=seeds ;;
        --minutes) [ $# -ge 2 ] || die "$1 needs a value"; minutes=$2; list=options; shift ;;
        --name) [ $# -ge 2 ] || die "$1 needs a value"; name=$2; list=options; shift ;;
        --dry-run) dry=echo ;;
        --corpus)
            [ $# -ge 2 ] || die "$1 needs a value"
            # run.sh is called from the recipe's folder
            [ ! -d "$2" ] || { found=$(CDPATH='' cd -- "$2" && pwd); set -- "$1" "$found" "${@:3}"; }
            list=options options+=("$1" "$2"); shift ;;
        --*) list=options; options+=("$1") ;;
        *) declare -n into=$list; into+=("$1") ;;
    esac
    shift
done
[ ${#systems[@]} -gt 0 ] || systems=(ours tcn dpcl)
[ ${#talkers[@]} -gt 0 ] || talkers=(2 3)
[ ${#seeds[@]} -gt 0 ] || seeds=(0 1 2)
for system in "${systems[@]}"; do
    case $system in ours|tcn|dpcl|tfgridnetv2|dan) ;; *) die "--systems: unknown system '$system'" ;; esac
done
. "$recipe/../../utils/path.sh"
cd -- "$recipe"
shared=experiments/$name.yaml
[ -f "$shared" ] || die "--name: no $shared"
for count in "${talkers[@]}"; do
    set=dump/${name}_$count/dev_${count}mix
    folders=(--num-spk "$count" --mixdir "mixtures/${name}_$count" --datadir "data/${name}_$count" --dumpdir "dump/${name}_$count")
    $dry ./run.sh --config "$shared" --stop-stage 2 --nj 1 "${folders[@]}" "${options[@]+"${options[@]}"}"
    for seed in "${seeds[@]}"; do
        for system in "${systems[@]}"; do
            tag=${name}_${system}_${count}_$seed
            runs+=("$system,$seed,$count=exp/$tag/score_dev_${count}mix/scores.tsv")
            [ ! -s "exp/$tag/score_dev_${count}mix/scores.tsv" ] || continue
            values=(--set "finetune.num_spk=[$count]" --set "finetune.seed=$seed" --set "finetune.budget_minutes=$minutes")
            if [ "$system" = ours ]; then
                $dry ./run.sh --config "$shared,experiments/equal_time_ours.yaml" --tag "$tag" --stage 4 --nj 1 --listen 0 --test-sets "$set" "${values[@]}" \
                    "${folders[@]}" "${options[@]+"${options[@]}"}"
            else
                $dry python "$recipe/../../tools/bench/peers/run.py" train --config "$shared" --system "$system" --num-spk "$count" \
                    --dump "dump/${name}_$count" --out "exp/$tag" --threads 1 "${values[@]}"
                $dry python "$recipe/../../tools/bench/peers/run.py" results --config "$shared" --exp "exp/$tag" --sets "$set" \
                    --label "read speech (Mini LibriSpeech)" "${values[@]}"
            fi
        done
    done
done
$dry python "$recipe/../../tools/experiments.py" scores "exp/sweep_$name" --runs "${runs[@]}"
exit
}
