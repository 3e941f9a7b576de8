#!/usr/bin/env bash
# How ours, Conv-TasNet and deep clustering fall with noise and in rooms, each trained with both for the same time of one core.
set -euo pipefail
shopt -s inherit_errexit

usage() {
    cat <<'END'
Usage: noise.sh --test-noise DIR|KIND [--mixtures N] [options of equal_time.sh, e.g. --seeds 0 --minutes 30 --corpus DIR --extra-train]

equal_time.sh with noisy_time.yaml and two talkers, then tools/bench/degradation.py on N (default 30) mixtures of development
speakers, the number given: exp/sweep_noisy_time/degradation.tsv and .png.
END
}

die() { echo "noise.sh: $*; see noise.sh --help" >&2; exit 2; }

{  # a group: bash reads all of it before it runs, so the file may change meanwhile
here=$(dirname "${BASH_SOURCE[0]}")
here=$(CDPATH='' cd -- "$here" && pwd)
noise='' mixtures=30 options=() dry=''
while [ $# -gt 0 ]; do
    case $1 in
        --help|-h) usage; exit ;;
        --test-noise) [ $# -ge 2 ] || die "$1 needs a value"; noise=$2; shift ;;
        --mixtures) [ $# -ge 2 ] || die "$1 needs a value"; mixtures=$2; shift ;;
        --dry-run) dry=echo; options+=("$1") ;;
        *) options+=("$1") ;;
    esac
    shift
done
[ -n "$noise" ] || die "--test-noise is needed"
[ ! -d "$noise" ] || noise=$(CDPATH='' cd -- "$noise" && pwd)
"$here/equal_time.sh" --name noisy_time --talkers 2 "${options[@]+"${options[@]}"}"
. "$here/../../../utils/path.sh"
cd -- "$here/.."
models=(exp/noisy_time_*_2_*)
$dry python "$here/../../../tools/bench/degradation.py" --set dump/noisy_time_2/dev_2mix --noise "$noise" --mixtures "$mixtures" --given \
    --config experiments/noisy_time.yaml,experiments/equal_time_ours.yaml --model "${models[@]}" \
    --tsv exp/sweep_noisy_time/degradation.tsv --plot exp/sweep_noisy_time/degradation.png
exit
}
