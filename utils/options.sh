# Options of every recipe: usage, first values, parsing, checks. Sourced by recipe.sh; functions and first values only.

usage() {
    cat <<EOF
Usage: run.sh [options]        (underscores in option names do as well as dashes)

  --stage N            first stage (default 0)
  --stop-stage N       last stage (default 6)
      0 corpus and mixtures   1 data directories   2 dump to ark   3 pretraining
      4 finetuning            5 separation         6 scores
  --config FILE,..     configuration (default ${configs[*]}), the recipe's own or the toolkit's; of several files, or
                       where it is repeated, later ones over earlier ones; the recipe's conf/data.yaml stands under all
  --set SECTION.KEY=V  replace one value of the configuration; may be repeated
  --refuse-unread      a --set that nothing in the configuration reads is an error, not a warning
  --separator NAME     model, mixture, or oracle_NAME (contrasep list oracles)
  --num-spk K          talkers per mixture (default $num_spk)
  --test-spk K,L       counts of talkers of the test sets, which stages 0 to 2 make and 5 and 6 score,
                       all with one model (default ${test_spk:-that of --num-spk})
  --nj N               parallel jobs (default: the number of cores)
  --ngpu N             GPUs for stages 3 to 5, of each machine (default 0; oracles need none)
  --num-nodes N        machines that train together in stages 3 and 4, a job of cuda_cmd or train_cmd each (default 1)
  --tag NAME           name of the experiment (default: from the configuration)
  --model-tag NAME     experiment whose model is used (default: the one that differs in nothing
                       but modularity, separate and score; with --tag, that tag)
  --model-dir DIR      folder of an experiment, of this or another recipe, whose model and modularity
                       network separate; nothing is trained
  --print-tag          print the name of the experiment, and run nothing
  --init-param FILE    model.pth whose weights training begins with
  --budget-minutes M   time for stages 3 to 6: training stops after 3/4 of it, of which 1/3 is pretraining's
                       where there is any; the rest is for separation and scores
  --skip-train         leave stages 3 and 4 out
  --test-sets A,B      dumped sets that are separated and scored, of any counts of talkers
                       (default: the test sets of dump; others' e.g. ../wsj0_3mix/dump/tt_3mix)
  --listen N           mixtures on the page to listen to that stage 6 writes, exp/TAG/listen.html (default $listen; 0: no page)
  --corpus DIR         local copy of the corpus, instead of a download
  --corpus-dir NAME=DIR
                       local copy of the corpus NAME, this recipe's or another one's that pretrain.balance or
                       finetune.balance names; may be repeated; also --NAME DIR
  --mix-lists DIR      folder of the mixtures' lists, of a corpus that has lists of its own
  --activlev NAME      levels of the sources: published (with such lists), p56 or rms
  --noise WORDS        noise in mixtures, in lists and on the fly: a folder of recordings, or babble, white, pink, brown, speech;
                       several by commas
  --snr LOW,HIGH       its ratio, dB (default 0,15)
  --rt60 LOW,HIGH      rooms around the talkers, seconds, e.g. 0.2,0.6
  --download-dir DIR   where downloads go (default downloads)
  --extra-train        also train on the corpus's extra utterances
  --mixdir DIR         mixtures   (default mixtures)
  --datadir DIR        data dirs  (default data)
  --dumpdir DIR        dumps      (default dump)
  --expdir DIR         results    (default exp)

Folders are relative to the recipe; those to read may also be relative to where you are.
A training writes train.log and images/learning_curves.png to exp/TAG/pretrain and exp/TAG/finetune, and its curves
for TensorBoard: tensorboard --logdir exp
EOF
}

die() { echo "$recipe/run.sh: $*" >&2; exit 2; }
log() { printf '%(%H:%M:%S)T %s\n' -1 "$*"; }

to_read() {  # to_read FOLDER: as it is, or relative to the caller
    if [[ $1 != /* ]] && [ -d "$caller/$1" ]; then (cd "$caller/$1" && pwd); else printf '%s\n' "$1"; fi
}

caller=$PWD
recipe_dir=. recipe= own= label= configs=(conf/default.yaml) config_given=false num_spk=2 own_num_spk=2 test_spk=
stage=0 stop_stage=6 nj= ngpu=0 num_nodes=1 tag= model_tag= model_dir= init_param= skip_train=false print_tag=false refuse_unread=false
download_dir= extra_train=false own_lists=false own_mixtures=false mix_lists= noise= snr= rt60= test_sets= budget_minutes= listen=20
mixdir=mixtures datadir=data dumpdir=dump expdir=exp
overrides=()
declare -A corpus_dirs=() corpus_words=()  # corpus -> its folder, and the option that names it
command_line="./run.sh"
recipe_options=0  # options up to --- are the recipe's own, not the user's

parse_options() {  # parse_options ARGUMENTS..
    local name value variable corpus folder
    while [ $# -gt 0 ]; do
        corpus=
        name=${1%%=*}
        name=${name//_/-}
        case $1 in
            ---) end_recipe_options; shift; continue ;;
            --*=*) value=${1#*=}; set -- "$name" "$value" "${@:2}" ;;
        esac
        [ "$recipe_options" != done ] || add_word "$name"
        case $name in
            --help|-h) usage; exit 0 ;;
            --skip-train) skip_train=true; shift; continue ;;
            --extra-train) extra_train=true; shift; continue ;;
            --refuse-unread) refuse_unread=true; shift; continue ;;
            --own-lists) own_lists=true; shift; continue ;;
            --own-mixtures) own_mixtures=true; shift; continue ;;
            --print-tag) print_tag=true; shift; continue ;;
            --stage|--stop-stage|--config|--set|--separator|--num-spk|--test-spk|--nj|--ngpu|--num-nodes|--tag|--model-tag|--model-dir|--init-param|--corpus|--corpus-dir|--download-dir|\
            --budget-minutes|--noise|--snr|--rt60|--mix-lists|--activlev|--test-sets|--listen|--mixdir|--datadir|--dumpdir|--expdir|--recipe-dir|--label) ;;
            *)
                corpus=${name#--}
                corpus=${corpus//-/_}
                folder=$(recipe_of "$corpus")
                [[ $name = --* && -n $folder ]] || die "unknown option '$1'; see run.sh --help"
                ;;
        esac
        [ $# -ge 2 ] || die "$name needs a value; see run.sh --help"
        value=$2
        [ "$recipe_options" != done ] || add_word "$value"
        shift 2
        [ -z "$corpus" ] || { name_corpus "$corpus" "$value" "$name $value"; continue; }
        case $name in
            --set) overrides+=(--set "$value") ;;
            --separator) overrides+=(--set "separate.separator=$value") ;;
            --activlev) overrides+=(--set "mix.active_level=$value") ;;
            --config) $config_given || configs=(); config_given=true; configs+=("$value") ;;
            --corpus) name_corpus "$own" "$value" "--corpus $value" ;;
            --corpus-dir) name_corpus "${value%%=*}" "${value#*=}" "--corpus-dir $value" ;;
            *) variable=${name#--}; printf -v "${variable//-/_}" '%s' "$value" ;;
        esac
    done
}

add_word() {  # add_word WORD: to the command that is printed
    local quoted
    printf -v quoted '%q' "$1"
    command_line+=" $quoted"
}

end_recipe_options() {  # what follows is the user's
    recipe_options=done config_given=false own_num_spk=$num_spk
    recipe=${recipe_dir##*/}
    own=${recipe%_*mix*}
}

name_corpus() {  # name_corpus CORPUS DIR WORDS: a local copy, as the WORDS of an option name it
    [[ $3 != "--corpus-dir "* || $3 = *?=?* ]] || die "--corpus-dir: expected NAME=DIR, got '$2'"
    local folder
    folder=$(recipe_of "$1")
    [ "$1" = "$own" ] || [ -n "$folder" ] || die "$3: no recipe ../$1_Nmix prepares the corpus '$1'"
    corpus_dirs[$1]=$2 corpus_words[$1]=$3
}

check_options() {  # what the words alone show
    local name count counts=,
    # cores that this process may use; getconf has those of the machine, nproc also heeds OMP_NUM_THREADS
    [ -n "$nj" ] || nj=$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc 2>/dev/null || getconf _NPROCESSORS_ONLN) || die "--nj: the number of cores is not known; name a number of jobs"
    for name in stage stop_stage nj ngpu num_nodes num_spk listen; do
        [[ ${!name} =~ ^(0|[1-9][0-9]{0,8})$ ]] || die "--${name//_/-}: expected a whole number, got '${!name}'"
    done
    [ "$nj" -ge 1 ] && [ "$nj" -le 1024 ] || die "--nj: expected 1 to 1024 jobs, got $nj"
    [ "$num_nodes" -ge 1 ] && [ "$num_nodes" -le 1024 ] || die "--num-nodes: expected 1 to 1024 machines, got $num_nodes"
    [ "$num_spk" -ge 1 ] || die "--num-spk: expected at least 1 talker, got 0"
    [[ ,$test_spk, =~ ^(,[1-9][0-9]{0,2})+,$ || -z $test_spk ]] || die "--test-spk: expected counts of talkers, e.g. 2,3, got '$test_spk'"
    for count in ${test_spk//,/ }; do
        [[ $counts != *,$count,* ]] || die "--test-spk: the same count twice in '$test_spk'"
        counts+=$count,
    done
    [ -z "$test_spk" ] || ! $own_mixtures ||
        die "--test-spk: the mixtures are finished and have one count; test other counts by --test-sets, e.g. ../libri3mix/dump/tt_3mix"
    [ -z "$test_spk" ] || ! $own_lists ||
        die "--test-spk: this corpus has a list for each count; test other counts by --test-sets, e.g. ../wsj0_3mix/dump/tt_3mix"
    [ "$stage" -le "$stop_stage" ] || die "--stage $stage lies after --stop-stage $stop_stage"
    [[ $budget_minutes =~ ^([0-9]*[1-9][0-9]*([.][0-9]+)?|[0-9]+[.][0-9]*[1-9][0-9]*)?$ ]] ||
        die "--budget-minutes: expected a positive number, got '$budget_minutes'"
    for name in tag model_tag; do
        [[ ${!name} =~ ^[A-Za-z0-9._=-]*$ ]] || die "--${name//_/-}: expected letters, digits and ._=-, got '${!name}'"
    done
}

surround() {  # options of noise and rooms, as settings of mixtures in lists and on the fly
    local word section kinds= folder= words=()
    IFS=, read -r -a words <<<"$noise"
    for word in ${words[@]+"${words[@]}"}; do
        case $word in
            babble|white|pink|brown|speech) kinds+=", $word" ;;
            *)
                [ -z "$folder" ] || die "--noise: expected one folder at most, got '$folder' and '$word'"
                folder=$(to_read "$word")
                [ -d "$folder" ] || die "--noise $word: no such folder, and none of babble, white, pink, brown, speech"
                kinds+=", folder"
                ;;
        esac
    done
    for word in snr rt60; do
        [[ ${!word} =~ ^(-?[0-9]+([.][0-9]+)?,-?[0-9]+([.][0-9]+)?)?$ ]] || die "--$word: expected LOW,HIGH, got '${!word}'"
    done
    for section in mix finetune; do
        if [ -n "$noise" ]; then
            overrides+=(--set "$section.noise.kinds=[${kinds#, }]" --set "$section.noise.folder=${folder:-null}")
        fi
        [ -z "$snr" ] || overrides+=(--set "$section.noise.snr=[$snr]")
        [ -z "$rt60" ] || overrides+=(--set "$section.room.rt60=[$rt60]")
    done
}

check_places() {  # files and folders that were named, from the recipe's folder
    local name
    if [ -n "$init_param" ]; then
        [[ $init_param = /* ]] || [ ! -f "$caller/$init_param" ] || init_param=$(cd "$caller" && realpath "$init_param")
        [ -f "$init_param" ] || die "--init-param $init_param: no such file; name a model.pth"
    fi
    if [ -n "$model_dir" ]; then
        [ -z "$model_tag$init_param" ] || die "--model-dir: a model that is there; --model-tag and --init-param do not go with it"
        model_dir=$(to_read "$model_dir")
        [ -f "$model_dir/finetune/model.pth" ] || die "--model-dir $model_dir: no finetune/model.pth in it; name the folder of a trained experiment"
        skip_train=true
    fi
    for name in "${!corpus_dirs[@]}"; do
        corpus_dirs[$name]=$(to_read "${corpus_dirs[$name]}")
        [ -d "${corpus_dirs[$name]}" ] || die "${corpus_words[$name]}: no such folder; name the folder that holds the corpus"
    done
    [ -z "$mix_lists" ] || mix_lists=$(to_read "$mix_lists")
    surround
}
