#!/usr/bin/env bash
# How far apart the two frames of a positive pair should be: trainings that differ in nothing else, as sweeps.
set -euo pipefail
shopt -s inherit_errexit

usage() {
    cat <<'END'
Usage: positives.sh [--seeds 0 1 2] [--settings NAME ..] [--solvers kmeans network]
                    [--dry-run] [options of run.sh, e.g. --corpus DIR --nj N]

Makes the recipe's data with 100 mixtures of development speakers, then trains conf/positives.yaml (3,000 steps, 5 to 6
minutes of one core) for each setting and seed, and separates the development mixtures by k-means and by the modularity
network, the number of speakers given. The same command goes on after an interruption. Each sweep adds its rows to
experiments/positives.tsv.

Settings, by the samples that the two frames share (256 samples every 64):
  overlap75 overlap50 overlap25 overlap0   frames 1, 2, 3 or 4 apart
  near   32 to 128 ms apart, no common sample
  far    0.5 to 1.5 s apart
  other  in another recording
  any    anywhere, in the same recording or another
END
}

{  # a group: bash reads all of it before it runs, so the file may change meanwhile
recipe=$(dirname "${BASH_SOURCE[0]}")/..
recipe=$(CDPATH='' cd -- "$recipe" && pwd)
seeds=() settings=() solvers=() options=() dry=() list=options data="--set=mix.sets={tr: 80, cv: 20, dev: 100}"
while [ $# -gt 0 ]; do
    case $1 in
        --help|-h) usage; exit ;;
        --seeds) list=seeds ;;
        --settings) list=settings ;;
        --solvers) list=solvers ;;
        --dry-run) dry=(--dry-run) ;;
        --*) list=options; options+=("$1") ;;
        *) declare -n into=$list; into+=("$1") ;;
    esac
    shift
done
[ ${#seeds[@]} -gt 0 ] || seeds=(0 1 2)
[ ${#settings[@]} -gt 0 ] || settings=(any overlap75 overlap50 overlap25 overlap0 near far other)
[ ${#solvers[@]} -gt 0 ] || solvers=(kmeans network)
solvers=$(IFS=,; echo "${solvers[*]}")
. "$recipe/../../utils/path.sh"
common=(--config conf/positives.yaml "$data" "${options[@]+"${options[@]}"}")
[ ${#dry[@]} -gt 0 ] || "$recipe/run.sh" "${common[@]}" --extra-train --stage 0 --stop-stage 2
for seed in "${seeds[@]}"; do
    for setting in "${settings[@]}"; do
        lag=(--set model.objectives.nt_xent.positives=lag)
        case $setting in
            any|other) lag=() values=model.objectives.nt_xent.positives=$setting ;;
            overlap75) values='model.objectives.nt_xent.lag=[1,1]' ;;
            overlap50) values='model.objectives.nt_xent.lag=[2,2]' ;;
            overlap25) values='model.objectives.nt_xent.lag=[3,3]' ;;
            overlap0) values='model.objectives.nt_xent.lag=[4,4]' ;;
            near) values='model.objectives.nt_xent.lag=[4,16]' ;;
            far) values='model.objectives.nt_xent.lag=[63,188]' ;;
            *) echo "positives.sh: --settings: unknown setting '$setting'; see positives.sh --help" >&2; exit 2 ;;
        esac
        name=positives_$setting.$seed
        "$recipe/../../utils/sweep.sh" --recipe "$recipe" --name "$name" "${dry[@]+"${dry[@]}"}" "$values" "finetune.seed=$seed" \
            "modularity.solver=$solvers" --stage 3 --listen 0 --test-sets "$recipe/dump/dev_2mix" "${lag[@]+"${lag[@]}"}" "${common[@]}"
        [ ${#dry[@]} -gt 0 ] ||
            python "$recipe/experiments/positives_table.py" "$recipe/exp/sweep_$name" "$setting" "$seed" "$recipe/experiments/positives.tsv"
    done
done
exit
}
