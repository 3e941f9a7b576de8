# What slurm_node.sh and sge_node.sh share: options, daemons, waiting. Sourced by them; functions and first values only.

program=$(basename "$0") user=$(id -un)
die() { echo "$program: $2" >&2; exit "$1"; }  # die STATUS WORDS

parse_options() {  # parse_options NAME ARGUMENTS..: sets action, dir, cpus, install
    dir=/tmp/contrasep-$1-$user cpus=$(getconf _NPROCESSORS_ONLN) install=false action=${2:-}
    shift; [ $# -eq 0 ] || shift
    while [ $# -gt 0 ]; do
        case $1 in
            --install) install=true; shift; continue ;;
            --dir|--cpus) [ $# -ge 2 ] || die 2 "$1 needs a value; see $program --help" ;;
            *) die 2 "unknown option '$1'; see $program --help" ;;
        esac
        if [ "$1" = --cpus ]; then cpus=$2; else dir=$2; fi
        shift 2
    done
    [[ $cpus =~ ^[1-9][0-9]*$ ]] || die 2 "--cpus: expected a whole number of at least 1, got '$cpus'"
    # it stands in configurations, whose words nobody quotes
    [[ $dir =~ ^/[A-Za-z0-9/._-]+$ ]] || die 2 "--dir: expected an absolute path of letters, digits and /._-, got '$dir'"
    # programs of the user's run what is written there
    [ ! -e "$dir" ] || [ -O "$dir" ] || die 2 "--dir $dir: belongs to somebody else; name another folder"
    PATH=$PATH:/usr/sbin:/sbin
}

pid_of() {  # pid_of DAEMON: of the one that we started, where it runs; a number that another program got since is none
    local pid
    pid=$(cat "$dir/$1.pid" 2>/dev/null) && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$1" ] && echo "$pid"
}

wait_for() {  # wait_for SECONDS COMMAND..: until it succeeds
    local tries=$(($1 * 10))
    until "${@:2}"; do
        [ $((tries -= 1)) -gt 0 ] || return 1
        sleep 0.1
    done
}

ended() { ! kill -0 "$1" 2>/dev/null; }

end_daemons() {  # end_daemons NAMES..
    local name pid pids=()
    for name; do pid=$(pid_of "$name") || continue; pids+=("$pid"); done
    [ ${#pids[@]} -gt 0 ] || return 0
    kill "${pids[@]}" 2>/dev/null || true
    for pid in "${pids[@]}"; do wait_for 10 ended "$pid" || kill -9 "$pid" 2>/dev/null || true; done
}

free_port() {  # free_port FIRST: the first from there on where nobody listens
    local port=$1
    while (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
    echo "$port"
}

need() {  # need "PACKAGES" PROGRAMS..: are the programs there, or can they be installed?
    local name missing=false
    for name in "${@:2}"; do command -v "$name" >/dev/null || missing=true; done
    $missing || return 0
    $install || die 3 "$1: not installed; add --install as root, or install them"
    # jobs of a site are submitted by its own programs
    ! command -v "${*: -1}" >/dev/null || die 3 "$1: ${*: -1} is there already and others are missing; install them by hand beside it"
    [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null || die 3 "$1: not installed, and only root on Debian or Ubuntu can --install them"
    mkdir -p "$dir"
    # shellcheck disable=SC2086  # several packages
    { timeout 300 apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $1; } >"$dir/install.log" 2>&1 ||
        die 3 "$1: cannot be installed; see $dir/install.log"
}

act() {  # act: the action, with functions start, stop and status of the program
    case $action in
        # a start that fails leaves nothing that runs
        start) trap stop EXIT; start; trap - EXIT ;;
        stop|status) $action ;;
        -h|--help) usage ;;
        *) die 2 "expected start, stop or status, got '$action'; see $program --help" ;;
    esac
}
