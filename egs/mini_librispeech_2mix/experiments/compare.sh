#!/usr/bin/env bash
# Trains settings with several seeds by utils/sweep.sh, and judges their embeddings on mixtures of development speakers.
set -euo pipefail
shopt -s inherit_errexit

usage() {
    cat <<'END'
Usage: compare.sh NAME CONFIG[,CONFIG ..] [KEY=V1,V2 ..] [--phase P] [--raw NAME ..] [--partitions NAME=YAML ..] -- [options]

Each configuration of this folder is trained with each combination of values and each seed, stages 0 to 3 (pretrain) or 4 (finetune) of the recipe.
Then tools/experiments.py judges all of them: exp/sweep_NAME/judged.tsv. The same command goes on after an interruption.

  --phase P           pretrain or finetune: the training that differs, and whose model is judged (finetune)
  --raw NAME ..       features without training too (spectrum mfcc random resemblyzer)
  --counts K,K ..     judge numbers of speakers instead: exp/sweep_NAME/counted.tsv, by tools/experiments.py count
  --partitions ..     values of the section modularity (default: k-means, and the modularity network on Qn)

Options, behind --:
  --recipe DIR        folder of the recipe (this one's); e.g. egs/wsj0_2mix, with --judge-set cv_2mix
  --seeds 0,1,2       of the trainings
  --judge-set NAME    dumped set of mixtures that are judged (dev_2mix)
  --mixtures N        of it, evenly spread (100)
  --dry-run           print the commands, run nothing
  all others          go to run.sh: --corpus DIR, --extra-train, --set SECTION.KEY=VALUE, ..
END
}

die() { echo "compare.sh: $*; see compare.sh --help" >&2; exit 2; }

{  # a group: bash reads all of it before it runs, so the file may change meanwhile
here=$(dirname "${BASH_SOURCE[0]}")
here=$(CDPATH='' cd -- "$here" && pwd)
tools=$here/../../../tools utils=$here/../../../utils
case ${1-} in ''|-*) usage; exit $(($# == 0 ? 2 : 0)) ;; esac
[ $# -ge 2 ] || die "expected NAME and CONFIG"
name=$1 configs=() keys=() raw=() partitions=() phase=finetune list=none counts=
for config in ${2//,/ }; do
    [ -f "$here/$config.yaml" ] || die "$here/$config.yaml: no such configuration"
    configs+=("$here/$config.yaml")
done
shift 2
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    case $1 in
        --phase) [ $# -ge 2 ] || die "$1 needs a value"; phase=$2; shift ;;
        --counts) [ $# -ge 2 ] || die "$1 needs a value"; counts=$2; shift ;;
        --raw) list=raw ;;
        --partitions) list=partitions ;;
        *) case $list in
               raw) raw+=("$1") ;;
               partitions) partitions+=("$1") ;;
               none) keys+=("$1") ;;
           esac ;;
    esac
    shift
done
shift $(($# > 0))
recipe=$here/.. seeds=0,1,2 set=dev_2mix mixtures=100 options=() dry=()
while [ $# -gt 0 ]; do
    case $1 in
        --help|-h) usage; exit ;;
        --dry-run) dry=(--dry-run) ;;
        --recipe|--seeds|--judge-set|--mixtures)
            [ $# -ge 2 ] || die "$1 needs a value"
            case $1 in --recipe) recipe=$2 ;; --seeds) seeds=$2 ;; --judge-set) set=$2 ;; --mixtures) mixtures=$2 ;; esac
            shift ;;
        *) options+=("$1") ;;
    esac
    shift
done
[ -d "$recipe" ] || die "--recipe $recipe: no such folder"
recipe=$(CDPATH='' cd -- "$recipe" && pwd)
. "$utils/path.sh"
case $phase in pretrain) stop=3 ;; finetune) stop=4 ;; *) die "--phase: expected pretrain or finetune, got '$phase'" ;; esac
words=$(IFS=,; echo "${configs[*]}")
# data of their own: the recipe's mixtures stay as they are
"$utils/sweep.sh" --recipe "$recipe" --name "$name" "${dry[@]+"${dry[@]}"}" "config=$words" "${keys[@]+"${keys[@]}"}" "$phase.seed=$seeds" \
    --stop-stage $stop --listen 0 --nj 1 --mixdir mixtures/experiments --datadir data/experiments --dumpdir dump/experiments \
    "${options[@]+"${options[@]}"}"
[ ${#dry[@]} -eq 0 ] || exit 0
# entries of dumped sets are relative to the recipe
cd -- "$recipe"
if [ -n "$counts" ]; then
    part=${set%_*}
    for count in ${counts//,/ }; do
        tree=mixtures/numbers/$count to=numbers/${part}_${count}mix
        options=(--config "${configs[0]}")
        contrasep make-lists "${options[@]}" --sources mixtures/experiments/sources --num-spk "$count" --sets "$part" --out "$tree"
        contrasep mix "${options[@]}" --list "$tree/$part.txt" --sources "mixtures/experiments/sources/$part" --out "$tree/$part"
        contrasep prepare-data --sources "mixtures/experiments/sources/$part" --list "$tree/$part.txt" --mixtures "$tree/$part" --out "data/$to"
        contrasep dump "${options[@]}" --data "data/$to" --out "dump/$to"
        contrasep dump "${options[@]}" --data "data/$to" --out "dump/$to" --merge
    done
    python "$tools/experiments.py" count "exp/sweep_$name" --phase "$phase" --data data/experiments --dump dump/experiments \
        --part "$part" --numbers dump/numbers --mixtures $((mixtures / 2))
    exit
fi
python "$tools/experiments.py" judge "exp/sweep_$name" --phase "$phase" --dump "dump/experiments/$set" --mixtures "$mixtures" \
    ${raw[@]+--raw "${raw[@]}"} ${partitions[@]+--partitions "${partitions[@]}"}
exit
}
