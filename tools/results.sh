#!/usr/bin/env bash
# Results of a trained model on the test sets of the recipes that publish them, by one command.
set -euo pipefail
shopt -s inherit_errexit

usage() {
    cat <<'END'
Usage: tools/results.sh --librispeech DIR --commonvoice DIR [--model DIR] [--tag NAME] [--dry-run] [options of run.sh, e.g. --nj N]

Separates and scores the test mixtures of one to five talkers of egs/mini_librispeech_mixed and egs/commonvoice_2mix with
the model (default contrasep_lib/pretrained/best), number of talkers estimated, and puts the rows NAME (default: the
model's folder) into the results.json and RESULTS.md of both. Nothing is trained. The same command goes on after an
interruption.

Test speakers are for the last choice: what is compared before is compared on development speakers.
END
}

die() { echo "results.sh: $*; see tools/results.sh --help" >&2; exit 2; }

{  # a group: bash reads all of it before it runs, so the file may change meanwhile
root=$(dirname "${BASH_SOURCE[0]}")/..
root=$(CDPATH='' cd -- "$root" && pwd)
caller=$PWD librispeech='' commonvoice='' model=$root/contrasep_lib/pretrained/best tag='' dry='' options=()
while [ $# -gt 0 ]; do
    case $1 in
        --help|-h) usage; exit ;;
        --dry-run) dry=echo; shift; continue ;;
    esac
    case $1 in --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;; esac
    case $1 in
        --librispeech|--commonvoice|--model|--tag)
            [ $# -ge 2 ] || die "$1 needs a value"
            printf -v "${1#--}" '%s' "$2"; shift 2 ;;
        # run.sh knows whether an option has a value
        --*) options+=("$1"); shift; [[ ${1---} == --* ]] || { options+=("$1"); shift; } ;;
        *) die "unexpected '$1'" ;;
    esac
done
for name in librispeech commonvoice model; do
    [ -n "${!name}" ] || die "--$name DIR is needed"
    cd -- "$caller"
    [ -d "${!name}" ] || die "--$name ${!name}: no such folder"
    folder=$(CDPATH='' cd -- "${!name}" && pwd)
    printf -v "$name" '%s' "$folder"
done
[ -f "$model/config.yaml" ] || die "--model $model: no config.yaml there; name a released or unpacked model (docs/howto/training.md)"
# as it stands in the committed results
case $model in "$root"/*) model=../../${model#"$root"/} ;; esac
tag=${tag:-${model##*/}}
. "$root/utils/path.sh"
for recipe in mini_librispeech_mixed commonvoice_2mix; do
    corpus=$librispeech
    [ $recipe != commonvoice_2mix ] || corpus=$commonvoice
    cd -- "$root/egs/$recipe"
    $dry ./run.sh --config "$model/config.yaml" --model-dir "$model" --tag "$tag" --test-spk 1,2,3,4,5 --corpus "$corpus" \
        "${options[@]+"${options[@]}"}"
    $dry contrasep report --recipe-dir . --publish "$tag"
done
exit
}
