# A program that ends with all that it started. Sourced by recipe.sh and sweep.sh; functions and first values only.

least_files=64  # open ones that a process has to be allowed
seconds_to_leave=15  # for jobs to end by themselves, e.g. to take what they queued back

# guarded NAME COMMAND..: run it as a group of processes of its own. SIGINT, SIGTERM and SIGHUP end the group, and this
# process with status 128 + signal once it is gone. So does a kill that nothing can catch, of this process or of the
# command: a process that waits for it ends what is left of the group.
guarded() {
    local status=0
    guarded_name=$1
    allow_files
    set -m  # each job is a group
    coproc WATCH { watch_process; }
    alive=${WATCH[1]}
    # a terminal stops groups in its background that use it
    (set +m; exec {alive}>&-; trap '' TTIN TTOU; "${@:2}") &
    group=$!
    trap 'end_by INT 2' INT
    trap 'end_by TERM 15' TERM
    trap 'end_by HUP 1' HUP
    trap 'kill -STOP -- "-$group"; kill -STOP $$; kill -CONT -- "-$group"' TSTP
    echo "$group" >&"$alive"
    wait_for_group
    while [ "$status" -gt 128 ] && kill -0 "$group" 2>/dev/null; do
        sleep 0.1
        wait_for_group
    done
    trap '' INT TERM HUP TSTP
    set +m
    end_group
    [ "$status" -le 128 ] || echo "$guarded_name: a program was killed by signal $((status - 128)); the same command goes on from there" >&2
    exit "$status"
}

allow_files() {  # bash says in two lines that there are too few, wherever that comes to pass
    local allowed
    allowed=$(ulimit -S -n)
    [ "$allowed" = unlimited ] || [ "$allowed" -ge $least_files ] || ulimit -S -n $least_files 2>/dev/null || {
        echo "$guarded_name: expected at least $least_files open files to be allowed, got $allowed; raise the limit (ulimit -n)" >&2
        exit 1
    }
}

wait_for_group() {  # sets status; a signal to this process ends the waiting, too
    status=0
    wait "$group" 2>/dev/null || status=$?
}

end_by() {  # end_by NAME NUMBER: as this signal came
    trap '' INT TERM HUP TSTP
    set +m
    end_group
    echo "$guarded_name: ended by SIG$1; the same command goes on from there" >&2
    exit $((128 + $2))
}

end_group() {  # all of it, jobs that outlived who started them among them; returns when it is gone
    # the shell would tell of each job that a signal ended
    { end_processes; wait "$group" || true; } 2>/dev/null
    # the watcher has nothing left to do
    echo done >&"$alive" 2>/dev/null || true
}

end_processes() {
    local tries=0
    # A shell tells of a program that a signal ended before it. So the run's own is told first, the others all at once.
    if leader_lives; then
        kill -TERM "$group" 2>/dev/null || true
        kill -CONT "$group" 2>/dev/null || true
        while [ $tries -lt 20 ] && leader_lives; do
            tries=$((tries + 1))
            sleep 0.05
        done
    fi
    tries=0
    while group_lives; do
        case $tries in
            0) kill_group STOP; kill_group TERM; kill_group CONT ;;
            $((seconds_to_leave * 10))) kill_group KILL ;;
            # in the kernel, where nothing ends it
            $((seconds_to_leave * 20))) return ;;
        esac
        tries=$((tries + 1))
        sleep 0.1
    done
}

kill_group() {  # kill_group NAME
    kill "-$1" -- "-$group" 2>/dev/null || true
}

leader_lives() {  # its id is not given away while a process of its group is listed
    local state
    kill -0 -- "-$group" 2>/dev/null || return 1
    state=$(ps -o stat= -p "$group") || return 1
    [[ $state != Z* ]]
}

group_lives() {  # is there a process of the group that has not ended? Ended ones stay listed until they are asked for
    local members
    kill -0 -- "-$group" 2>/dev/null || return 1
    members=$(ps -A -o pgid= -o stat= | awk -v group="$group" '$1 == group && $2 !~ /^Z/') || return 0
    [ -n "$members" ]
}

watch_process() {  # in a group of its own; the pipe that it reads ends with the process that writes to it
    local word=
    set +m
    trap '' INT TERM HUP TSTP
    read -r group || return 0
    read -r word || true
    [ "$word" = done ] || end_processes
}
