#!/usr/bin/env bash
# A Slurm of one node, this machine, for tests.
set -euo pipefail

usage() {
    cat <<'END'
Usage: slurm_node.sh start|stop|status [options]

Starts slurmctld, slurmd and munged of the distribution's packages on this machine, as a cluster of one node,
and prints the line that makes Slurm's commands use it:

    eval "$(tools/cluster/slurm_node.sh start)"       # export SLURM_CONF=DIR/slurm.conf
    cmd_backend=slurm egs/mini_2mix/run.sh --config conf/toy.yaml
    tools/cluster/slurm_node.sh stop

  --dir DIR     configuration, state and logs (default /tmp/contrasep-slurm-USER); nothing outside it is changed
  --cpus N      processors that jobs may take (default: those of the machine)
  --install     install slurm-wlm and munge by apt-get where they are missing (needs root)

Where it runs, 'start' prints the line alone. Status 0: it runs; 1: it does not; 2: wrong call; 3: Slurm's
programs are missing. For tests alone: users are not kept apart, memory is not enforced.
END
}

. "$(dirname "${BASH_SOURCE[0]}")/node.sh"
parse_options slurm "$@"
export SLURM_CONF=$dir/slurm.conf

ready() { [[ $(sinfo --noheader --format=%t 2>/dev/null) = @(idle|mix|alloc|comp)* ]]; }
running() { pid_of munged >/dev/null && pid_of slurmctld >/dev/null && pid_of slurmd >/dev/null && ready; }

configure() {
    local host memory
    host=$(hostname -s)
    memory=$(awk '/^MemTotal/ {print int($2 / 1024)}' /proc/meminfo)
    mkdir -p "$dir/state" "$dir/spool"
    chmod 755 "$dir"
    [ -s "$dir/munge.key" ] || (umask 077 && head -c 1024 /dev/urandom >"$dir/munge.key")
    cat >"$SLURM_CONF" <<END
ClusterName=contrasep
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(free_port $((16000 + RANDOM % 8000)))
SlurmdPort=$(free_port $((24000 + RANDOM % 8000)))
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
# what works without systemd and control groups
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
# a task of a second should not wait for the scheduler's rounds
SchedulerParameters=sched_interval=5,batch_sched_delay=0,sched_min_interval=0,bf_interval=5
EpilogMsgTime=0
# the message of an epilog makes the controller look for the next job at once; without one it looks every second
Epilog=/bin/true
KillWait=5
ReturnToService=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=$memory State=UNKNOWN
PartitionName=test Nodes=$host Default=YES MaxTime=INFINITE State=UP
END
}

start() {
    if ! running; then
        need "slurm-wlm munge" munged slurmctld slurmd sbatch
        stop
        configure
        munged --socket "$dir/munge.socket" --key-file "$dir/munge.key" --pid-file "$dir/munged.pid" \
            --log-file "$dir/munged.log" --seed-file "$dir/munged.seed" --num-threads 1 >&2
        slurmctld >&2
        slurmd >&2
        wait_for 30 running || die 1 "not ready after 30 s; see the logs in $dir"
    fi
    echo "export SLURM_CONF=$SLURM_CONF"
}

stop() {
    ! running || scancel --user="$user" || true
    end_daemons slurmd slurmctld munged
    # jobs of an earlier start are not taken up again
    rm -rf "$dir/state" "$dir/spool"
}

status() {
    running || { echo "not running"; exit 1; }
    sinfo
}

act
