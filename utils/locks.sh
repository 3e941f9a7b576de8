# Locks of folders: who fills a folder is alone in it, who reads it keeps others from making it again.
# Sourced by recipe.sh and sweep.sh; functions and first values only.
#
# FOLDER/.lock is locked by flock as long as a run, or a job that outlived its run, has it open: nothing stays locked
# after a kill. It holds a line for each run that locked it: host, process, since when. Where flock does not work (no
# such program, a file system without locks) FOLDER/.owner with such a line stands in for it; the one of a dead process
# of this host is removed, the one of another host has to be removed by hand.

declare -A lock_of=() held=() shared=()  # folder -> descriptor; folder -> fill or read; folder -> may not be written to
flock_works=true
seconds_to_end=3  # a run that was just killed may take so long until its jobs are gone

# take FOLDER fill|read: lock it, or wait for who fills it; sets taken, false where it is only read by others and to fill
take() {
    local folder=$1 file=$1/.lock descriptor how=$2
    taken=true
    if [ -z "${lock_of[$folder]-}" ]; then
        # a link would have somebody else's file written to
        [ ! -w "$folder" ] || [ ! -L "$file" ] || rm -f "$file"
        # in a folder of several users the file may be another one's
        if [ -w "$folder" ] && { [ ! -e "$file" ] || [ -w "$file" ]; }; then
            exec {descriptor}<>"$file"
        elif [ -r "$file" ]; then
            exec {descriptor}<"$file"
            # who makes nothing here keeps nobody out; a network file system refuses to lock this for one alone
            [ -w "$folder" ] || shared[$folder]=true
        else
            # who may not write here cannot make it again, and finds it as its owner left it
            held[$folder]=read
            return
        fi
        lock_of[$folder]=$descriptor
    fi
    [ -z "${shared[$folder]-}" ] || how=read
    try_flock "$how" "${lock_of[$folder]}" --nonblock
    $flock_works || { take_owner "$@"; return; }
    if $taken; then
        note_holder "$2" "$folder"
        held[$folder]=$2
    fi
}

try_flock() {  # try_flock fill|read DESCRIPTOR [options]: sets taken, and flock_works to false where it does not
    local how=--shared status=0
    [ "$1" = read ] || how=--exclusive
    taken=true
    if $flock_works && command -v flock >/dev/null; then flock "$how" "${@:3}" "$2" 2>/dev/null || status=$?; else status=127; fi
    case $status in
        0) ;;
        1) taken=false ;;
        *) [ "$status" -le 128 ] || exit "$status"
           flock_works=false ;;
    esac
}

note_holder() {  # note_holder fill|read FOLDER: in .lock, for those who find it locked
    local line
    [ -w "$2/.lock" ] || return 0
    printf -v line '%s %s %(%Y-%m-%d %H:%M:%S)T' "$HOSTNAME" $$ -1
    # a disk may be full; who is locked out is told less then
    { if [ "$1" = fill ]; then echo "$line" >"$2/.lock"; else echo "$line" >>"$2/.lock"; fi; } 2>/dev/null || true
}

take_owner() {  # take_owner FOLDER fill|read: as take, without flock
    local folder=$1 host='' process='' line
    [ "${held[$folder]-}" != fill ] || return 0
    printf -v line '%s %s %(%Y-%m-%d %H:%M:%S)T' "$HOSTNAME" $$ -1
    while [ -f "$folder/.owner" ] || { [ "$2" = fill ] && ! claim "$folder/.owner" "$line"; }; do
        read -r host process _ <"$folder/.owner" 2>/dev/null || true
        if [ "$host" = "$HOSTNAME" ] && ! kill -0 "$process" 2>/dev/null; then
            rm -f "$folder/.owner"
        else
            taken=false
            return
        fi
    done
    held[$folder]=$2
}

claim() { (set -o noclobber && echo "$2" >"$1") 2>/dev/null; }  # claim FILE LINE: make a file that is not there yet

release_owners() {  # those of this run, as it ends
    local folder
    $flock_works || for folder in "${!held[@]}"; do [ "${held[$folder]}" != fill ] || rm -f "$folder/.owner"; done
}

# lock FOLDER: before it is known whether it has to be filled. Alone in it if nobody has it; else as a reader, as soon
# as nobody fills it. A run that fills other folders meanwhile does not wait: two could wait for each other.
lock() {
    local folder=$1 other said=false
    [ -z "${held[$folder]-}" ] || return 0
    take "$folder" fill
    $taken || take "$folder" read
    while ! $taken; do
        for other in "${held[@]}"; do [ "$other" != fill ] || die_in_use "$folder"; done
        if ! $said; then
            find_holder "$folder"
            log "  $folder: waiting for $holder, which fills it"
            said=true
        fi
        sleep 1
        take "$folder" fill
        $taken || take "$folder" read
    done
}

lock_to_fill() {  # lock_to_fill FOLDER: alone in it, or an error
    [ "${held[$1]-}" != fill ] || return 0
    take "$1" fill
    $taken || die_in_use "$1"
}

lock_to_read() {  # lock_to_read FOLDER: nobody makes it again before this run ends
    case ${held[$1]-} in
        read) ;;
        fill)
            ! $flock_works || take "$1" read
            $flock_works || rm -f "$1/.owner"
            held[$1]=read
            ;;
        *) [ ! -d "$1" ] || { lock "$1"; [ "${held[$1]}" = read ] || lock_to_read "$1"; } ;;
    esac
}

make_folder() {  # make_folder FOLDER
    local error
    error=$(mkdir -p -- "$1" 2>&1) || die "$1: ${error##*: }; name a folder that can be made"
}

lock_run() {  # lock_run FOLDER: the results of one run at a time
    local deadline=$((SECONDS + seconds_to_end))
    make_folder "$1"
    take "$1" fill
    while ! $taken && [ $SECONDS -le $deadline ]; do
        sleep 0.2
        take "$1" fill
    done
    $taken || die_in_use "$1"
}

find_holder() {  # find_holder FOLDER: sets holder and advice, by what is noted there and runs
    local file=$1/.lock descriptor=${lock_of[$1]-} host process since
    holder= advice=
    # this process is none of those that have it open
    if [ -n "$descriptor" ]; then
        exec {descriptor}>&-
        unset "lock_of[$1]"
    fi
    $flock_works || file=$1/.owner
    [ -r "$file" ] || { holder="another run" advice="wait until it has ended"; return; }
    while read -r host process since; do
        if [ "$host" != "$HOSTNAME" ]; then
            holder="process $process of $host since $since"
            advice="wait until it has ended, or end it there"
            $flock_works || advice+="; if it no longer runs, delete $file"
        elif kill -0 "$process" 2>/dev/null || [ -d "/proc/$process" ]; then
            holder="process $process since $since"
            advice="wait until it has ended, or end it: kill $process"
        fi
    done <"$file"
    [ -z "$holder" ] || return 0
    # jobs that outlived their run have the lock still open
    file=$(realpath "$file")
    process=$(find /proc/[0-9]*/fd -lname "$file" 2>/dev/null | sed -n 's,^/proc/\([0-9]*\)/.*,\1,p' | sort -nu | paste -sd' ' -) || true
    holder="${process:+process $process, }a job whose run was killed"
    # a run that may not write it, or that found the disk full, has left no note
    [ -s "$file" ] || holder=${process:+process $process}
    holder=${holder:-another run}
    advice="wait until it has ended${process:+, or end it: kill $process}"
}

die_in_use() {  # die_in_use FOLDER
    find_holder "$1"
    die "$1: in use by $holder; $advice"
}
