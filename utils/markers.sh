# Done markers: a step runs when its folder's .done does not hold what it would. Sourced by recipe.sh; functions only.
#
# FOLDER/.done holds the step and the key of all that it depends on, then size and name of each output, of tables and
# models also the POSIX checksum:
#     dump 3b1f..
#     34016 wav.1.ark
#     96:2861433610 wav.scp
# FOLDER/.begun holds the first line from the moment on that the folder is filled. Neither holds a time stamp.
# The .done of earlier steps are among the inputs, so a change anywhere upstream changes every later key.
# Functions here are called as commands of their own, never in a condition: there no error would end the run.

sha256() { if command -v sha256sum >/dev/null; then sha256sum "$@"; else shasum -a 256 "$@"; fi; }

declare -A stage_of=([sources]=0 [mixtures]=0 [data]=1 [dump]=2 [pretrain]=3 [finetune]=4 [modularity]=4 [separate]=5 [score]=6)
declare -A whole=()  # folders whose outputs were found, or made, by this run

# key_of STEP "VALUES" INPUTS..: hash of the configuration that the step reads (key_STEP of contrasep resolve),
# of values of the command line and of input files
key_of() {
    local configured=key_$1 input sum sums=
    for input in "${@:3}"; do
        if [[ $input = */.done ]]; then
            # as markers of earlier versions, which have no checksums, so that what they lead to stays valid
            sum=$({ head -n 1 "$input"; tail -n +2 "$input" | sed 's,^\([0-9]*\):[0-9]* ,\1 ,' | sort; } | sha256)
            sum="${sum%% *} .done"
        else
            sum=$(sha256 "$input" | sed 's, .*/, ,')
        fi
        sums+=$'\n'$sum
    done
    printf '%s\n' "${!configured} $2$sums" | sha256 | cut -d ' ' -f 1
}

# due STEP FOLDER clear|refuse "VALUES" INPUTS..: sets is_due, whether the step has to run; its folder is ready for it
# then, and locked until it is marked
due() {
    local step=$1 folder=$2 expected made lost
    check_inputs "${@:5}"
    make_folder "$folder"
    refuse_foreign "$folder"
    lock "$folder"
    expected=$(key_of "$step" "${@:4}")
    expected="$step $expected" is_due=false
    read_made "$folder"
    # either file says that the folder is a stage's
    [ -f "$folder/.begun" ] || [ -z "$made" ] || new_file "$folder/.begun" "$made"
    if [ "$made" = "$expected" ]; then
        lost=$(lost_outputs "$step" "$folder")
        if [ -z "$lost" ]; then
            log "  $folder is done"
            whole[$folder]=true
            lock_to_read "$folder"
            return
        fi
        lock_to_fill "$folder"
        log "  $folder: an output is missing or damaged: ${lost%%$'\n'*}; made again"
        rm -f "$folder/.done"
        # programs keep what is there
        (cd "$folder" && tr '\n' '\0' <<<"$lost" | xargs -0 rm -f --)
        # what it records is not known to be of this corpus without it
        [[ $'\n'$lost$'\n' != *$'\n'corpus.json$'\n'* ]] || rm -rf "$folder/wav"
    fi
    lock_to_fill "$folder"
    begin "$step" "$folder" "$3" "$expected"
    is_due=true
}

read_made() {  # read_made FOLDER: sets made, the step and key in its .done; others have files of this name too
    made=
    if [ -f "$1/.done" ]; then IFS= read -r made <"$1/.done" || true; fi
    [[ $made =~ ^[a-z]+\ [0-9a-f]{64}$ ]] || made=
}

refuse_foreign() {  # refuse_foreign FOLDER: one with files that no step made
    local made found
    read_made "$1"
    [ ! -f "$1/.begun" ] && [ -z "$made" ] || return 0
    # all that a kill leaves as a folder is begun is the note under its temporary name
    found=$(find "$1" -mindepth 1 -maxdepth 1 ! -name .begun.tmp ! -name .lock ! -name .owner -print -quit)
    [ -z "$found" ] || die "$1: not empty and not made by a stage; move it or name another"
}

check_inputs() {  # check_inputs FILES..: they are there, and with a .done all that it lists
    local input folder step lost
    for input; do
        [ -f "$input" ] || die "$input: not there; run the earlier stage that makes it first"
        folder=${input%/*}
        [[ $input = */.done && -z ${whole[$folder]-} ]] || continue
        lock_to_read "$folder"
        read -r step _ <"$input" || true
        [ -n "${step:+${stage_of[$step]-}}" ] || continue
        lost=$(lost_outputs "$step" "$folder")
        [ -z "$lost" ] || die "$folder/${lost%%$'\n'*}: missing or damaged; run stage ${stage_of[$step]} again"
        whole[$folder]=true
    done
}

# begin STEP FOLDER clear|refuse FIRST_LINE: what an interrupted run left is kept, what other settings made is removed
# or refused
begin() {
    local folder=$2 begun=
    [ ! -f "$folder/.begun" ] || begun=$(<"$folder/.begun")
    if [ -n "$begun" ] && [ "$begun" != "$4" ]; then
        # earlier versions wrote a hash alone; what they trained is not thrown away
        [ "$3" = clear ] && { [[ $begun = *" "* ]] || ! is_training "$1"; } ||
            die "$folder: made with other settings or by another version; delete it, or name another folder"
        [ ! -f "$folder/.done" ] || log "  $folder: made with other settings or by another version; made again"
        rm -f "$folder/.done"
        # the note of what was begun goes last, so that a kill leaves a folder known as a stage's
        find "$folder" -mindepth 1 -maxdepth 1 ! -name .begun ! -name .lock ! -name .owner -exec rm -rf {} +
    fi
    new_file "$folder/.begun" "$4"
}

# new_file FILE TEXT: under a temporary name first, in a file of its own: what is there is removed, so that a link is
# not followed
new_file() {
    local error
    error=$(rm -f "$1.tmp" && set -o noclobber && { printf '%s\n' "$2" >"$1.tmp" && mv -f "$1.tmp" "$1"; } 2>&1) ||
        die "$1: cannot be written (${error##*: }); make room or name another folder, then run the same command again"
}

mark() {  # mark FOLDERS..: each is done as it was begun
    local folder step begun outputs
    for folder; do
        begun=$(<"$folder/.begun")
        step=${begun%% *}
        outputs=$(outputs_of "$step" "$folder")
        new_file "$folder/.done" "$begun${outputs:+$'\n'$outputs}"
        whole[$folder]=true
        lock_to_read "$folder"
    done
}

is_training() { [[ $1 = pretrain || $1 = finetune ]]; }  # is_training STEP

# outputs_of STEP FOLDER: size and name of each output, sorted; logs and hidden files are none. What is small, or a
# model, has its checksum: the size alone would not tell a changed name or number
outputs_of() {
    local outputs=(! -name '.*')
    local bulk=('(' -name '*.ark' ! -name 'stats.*' ! -name 'global_*' ')' -o -name '*.wav' -o -name '*.flac' -o -name '*.png')
    # what training leaves beside it may be deleted
    ! is_training "$1" || outputs=(-name model.pth)
    # outputs may be moved to another disk, with a link in their place
    (cd "$2" && find -L . -path ./log -prune -o -type f "${outputs[@]}" '(' '(' "${bulk[@]}" ')' -exec wc -c {} + -o -exec cksum {} + ')') |
        sed -n -e 's,^\([0-9][0-9]*\) \([0-9][0-9]*\) \./,\2:\1 ,p' -e 's,^ *\([0-9]*\) \./,\1 ,p' | sort -k 2
}

lost_outputs() {  # lost_outputs STEP FOLDER: names of those in .done that are not there, or of another size or checksum
    # whoever wrote a .done may have named anything; what is lost is removed, and no output lies elsewhere
    { outputs_of "$1" "$2"; echo; tail -n +2 "$2/.done"; } | awk '
        listed { name = substr($0, index($0, " ") + 1); if (!($0 in found) && name !~ /^\/|(^|\/)\.\.(\/|$)/) print name; next }
        $0 == "" { listed = 1; next }
        # markers of earlier versions have sizes alone
        { found[$0]; sub(/:[0-9]+ /, " "); found[$0] }'
}
