# Done markers: a step runs when its folder's .done does not hold what it would. Sourced by recipe.sh; functions only.
#
# FOLDER/.done holds the step and the key of all that it depends on, then size and name of each output:
#     dump 3b1f..
#     34016 wav.1.ark
# FOLDER/.begun holds the first line from the moment on that the folder is filled. Neither holds a time stamp.
# The .done of earlier steps are among the inputs, so a change anywhere upstream changes every later key.

sha256() { if command -v sha256sum >/dev/null; then sha256sum "$@"; else shasum -a 256 "$@"; fi; }

# key_of STEP "VALUES" INPUTS..: hash of the configuration that the step reads (key_STEP of contrasep resolve),
# of values of the command line and of input files
key_of() {
    local configured=key_$1 input
    for input in "${@:3}"; do
        [ -f "$input" ] || die "$input: not there; run the earlier stage that makes it first"
    done
    {
        echo "${!configured} $2"
        [ $# -le 2 ] || sha256 "${@:3}" | sed 's, .*/, ,'
    } | sha256 | cut -d ' ' -f 1
}

# due STEP FOLDER clear|refuse "VALUES" INPUTS..: whether the step has to run; its folder is ready for it then
due() {
    local step=$1 folder=$2 expected made lost name
    expected=$(key_of "$step" "${@:4}") || exit
    expected="$step $expected" made=$(head -n 1 "$folder/.done" 2>/dev/null) || true
    # either file says that the folder is a stage's; others have files of this name too
    [ -f "$folder/.begun" ] || [[ ! $made =~ ^[a-z]+\ [0-9a-f]{64}$ ]] || echo "$made" >"$folder/.begun" || exit
    if [ "$made" = "$expected" ]; then
        lost=$(lost_outputs "$step" "$folder") || exit
        if [ -z "$lost" ]; then
            log "  $folder is done"
            return 1
        fi
        log "  $folder: an output is missing or damaged: $(head -n 1 <<<"$lost"); made again"
        rm -f "$folder/.done" || exit
        # programs keep what is there
        while read -r name; do rm -f "$folder/$name" || exit; done <<<"$lost"
    fi
    begin "$step" "$folder" "$3" "$expected"
}

# begin STEP FOLDER clear|refuse FIRST_LINE: what an interrupted run left is kept, what other settings made is removed
# or refused; a folder that no step made is always refused
begin() {
    local folder=$2 begun=
    mkdir -p "$folder" || exit
    if [ -f "$folder/.begun" ]; then
        begun=$(<"$folder/.begun")
    # all that a kill in the last line leaves is the note under its temporary name
    elif [ -n "$(ls -A "$folder" | grep -vxF .begun.tmp)" ]; then
        die "$folder: not empty and not made by a stage; move it or name another"
    fi
    if [ -n "$begun" ] && [ "$begun" != "$4" ]; then
        # earlier versions wrote a hash alone; what they trained is not thrown away
        [ "$3" = clear ] && { [[ $begun = *" "* ]] || ! is_training "$1"; } ||
            die "$folder: made with other settings or by another version; delete it, or name another folder"
        [ ! -f "$folder/.done" ] || log "  $folder: made with other settings or by another version; made again"
        rm -f "$folder/.done" || exit
        # the note of what was begun goes last, so that a kill leaves a folder known as a stage's
        find "$folder" -mindepth 1 -maxdepth 1 ! -name .begun -exec rm -rf {} + || exit
    fi
    echo "$4" | new_file "$folder/.begun.tmp" && mv "$folder/.begun.tmp" "$folder/.begun" || exit
}

# new_file FILE: what comes in, in a file of its own: what is there is removed first, so that a link is not followed
new_file() { rm -f "$1" && (set -o noclobber && cat >"$1"); }

mark() {  # mark FOLDERS..: each is done as it was begun
    local folder
    for folder; do
        { cat "$folder/.begun"; outputs_of "$(cut -d ' ' -f 1 "$folder/.begun")" "$folder"; } |
            new_file "$folder/.done.tmp"
        mv "$folder/.done.tmp" "$folder/.done"
    done
}

is_training() { [[ $1 = pretrain || $1 = finetune ]]; }  # is_training STEP

outputs_of() {  # outputs_of STEP FOLDER: size and name of each output, sorted; logs and hidden files are none
    local outputs=(! -name '.*')
    # what training leaves beside it may be deleted
    ! is_training "$1" || outputs=(-name model.pth)
    # outputs may be moved to another disk, with a link in their place
    (cd "$2" && find -L . -path ./log -prune -o -type f "${outputs[@]}" -exec wc -c {} +) |
        sed -n 's,^ *\([0-9]*\) \./,\1 ,p' | sort
}

lost_outputs() {  # lost_outputs STEP FOLDER: names of those in .done that are not there, or of another size
    comm -23 <(tail -n +2 "$2/.done" | sort) <(outputs_of "$1" "$2") | cut -d ' ' -f 2-
}
