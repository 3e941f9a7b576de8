#!/usr/bin/env bash
# compare.sh NAME CONFIG [CONFIG ..] [-- options of run.sh]: trains each configuration of this folder with each seed, and
# judges the embeddings of all, beside raw features, on mixtures of development speakers: table and
# exp/sweep_NAME/representations.tsv. The environment may change SEEDS (0,1,2), RAW ("spectrum mfcc"; what else,
# see tools/bench/representations.py --help) and MIXTURES (100).
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
cd -- "$here/.."
name=${1:?"usage: compare.sh NAME CONFIG [CONFIG ..] [-- options of run.sh]"}
shift
configs=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do configs+=("experiments/$1.yaml"); shift; done
shift $(($# > 0))
words=$(IFS=,; echo "${configs[*]}")
# data of their own: the recipe's mixtures stay as they are
../../utils/sweep.sh "config=$words" "pretrain.seed=${SEEDS:-0,1,2}" --name "$name" --stop-stage 3 --listen 0 --nj 1 --mixdir mixtures/experiments \
    --datadir data/experiments --dumpdir dump/experiments "$@"
. ./path.sh
models=()
while IFS=$'\t' read -r tag _; do models+=("exp/$tag/pretrain/model.pth"); done <"exp/sweep_$name/runs.tsv"
# shellcheck disable=SC2086
python ../../tools/bench/representations.py --model "${models[@]}" --untrained --raw ${RAW-spectrum mfcc} \
    --mixtures "${MIXTURES:-100}" \
    --dump dump/experiments/dev_2mix --tsv "exp/sweep_$name/representations.tsv"
