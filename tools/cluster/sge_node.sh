#!/usr/bin/env bash
# A Grid Engine of one node, this machine, for tests.
set -euo pipefail

usage() {
    cat <<'END'
Usage: sge_node.sh start|stop|status [options]

Starts sge_qmaster and sge_execd of the distribution's packages on this machine, as a cluster of one node with one
queue (test) and one parallel environment (smp), and prints the lines that make Grid Engine's commands use it:

    eval "$(tools/cluster/sge_node.sh start)"       # export SGE_ROOT=DIR/root ..
    cmd_backend=sge egs/mini_2mix/run.sh --config conf/toy.yaml
    tools/cluster/sge_node.sh stop

  --dir DIR     configuration, state and logs (default /tmp/contrasep-sge-USER); nothing outside it is changed
  --cpus N      processors that jobs may take (default: those of the machine)
  --install     install gridengine-master, -exec and -client by apt-get where they are missing (needs root)

Where it runs, 'start' prints the lines alone. Status 0: it runs; 1: it does not; 2: wrong call; 3: Grid Engine's
programs are missing. For tests alone: users are not kept apart.
END
}

. "$(dirname "${BASH_SOURCE[0]}")/node.sh"
parse_options sge "$@"
host=$(hostname)
common=$dir/root/default/common
[ ! -f "$dir/ports" ] || . "$dir/ports"
export SGE_ROOT=$dir/root SGE_CELL=default SGE_QMASTER_PORT=${SGE_QMASTER_PORT:-} SGE_EXECD_PORT=${SGE_EXECD_PORT:-}

# the queue's line has no state while its node answers
ready() { qstat -f -q test 2>/dev/null | grep -q '^test@.* lx-[a-z0-9]* *$'; }
running() { pid_of sge_qmaster >/dev/null && pid_of sge_execd >/dev/null && ready; }

configure_master() {  # before it starts
    local name
    rm -rf "$dir/root" "$dir/qmaster" "$dir/spool" "$dir/exec" "$dir"/*.pid
    mkdir -p "$common" "$dir/qmaster/job_scripts" "$dir/spool" "$dir/exec" "$dir/conf"
    for name in bin lib util utilbin; do ln -s "/var/lib/gridengine/$name" "$dir/root/$name"; done
    SGE_QMASTER_PORT=$(free_port $((16000 + RANDOM % 16000)))
    SGE_EXECD_PORT=$(free_port $((SGE_QMASTER_PORT + 1)))
    printf 'SGE_QMASTER_PORT=%s\nSGE_EXECD_PORT=%s\n' "$SGE_QMASTER_PORT" "$SGE_EXECD_PORT" >"$dir/ports"
    cat >"$common/bootstrap" <<END
Version: 6.2
admin_user              none
default_domain          none
ignore_fqdn             true
spooling_method         berkeleydb
spooling_lib            libspoolb
spooling_params         $dir/spool
binary_path             /usr/sbin
qmaster_spool_dir       $dir/qmaster
security_mode           none
listener_threads        2
worker_threads          2
scheduler_threads       1
END
    echo "$host" >"$common/act_qmaster"
    [ "$host" = localhost ] || echo "$host localhost" >"$common/host_aliases"
    /usr/share/gridengine/scripts/init_cluster "$dir/root" default "$dir/spool" "$user" >"$dir/init.log" 2>&1
}

configure_cluster() {  # by the running master
    local limit limits=
    # comments and continued lines are not read again
    qconf -sconf | grep -v -e '^#' -e '^ ' | sed -e 's/\\$//' \
        -e "s,^\(execd_spool_dir\) .*,\1 $dir/exec," -e 's,^\(min_[ug]id\) .*,\1 0,' -e 's,^\(gid_range\) .*,\1 20000-20999,' \
        -e 's,^\(mailer\) .*,\1 /bin/true,' -e 's,^\(execd_params\) .*,\1 ENABLE_ADDGRP_KILL=true,' \
        -e 's,^\(reporting_params\) .*,\1 accounting=true reporting=false accounting_flush_time=00:00:00 joblog=false sharelog=00:00:00,' \
        >"$dir/conf/global"
    qconf -Mconf "$dir/conf/global"
    qconf -ssconf | sed -e 's/^\(schedule_interval\) .*/\1 0:0:1/' -e 's/^\(flush_submit_sec\|flush_finish_sec\) .*/\1 1/' >"$dir/conf/sched"
    qconf -Msconf "$dir/conf/sched"
    qconf -as "$host"
    printf 'group_name @allhosts\nhostlist %s\n' "$host" >"$dir/conf/hosts"
    qconf -Ahgrp "$dir/conf/hosts"
    cat >"$dir/conf/smp" <<END
pe_name smp
slots 999
user_lists NONE
xuser_lists NONE
start_proc_args NONE
stop_proc_args NONE
allocation_rule \$pe_slots
control_slaves FALSE
job_is_first_task TRUE
urgency_slots min
accounting_summary FALSE
qsort_args NONE
END
    qconf -Ap "$dir/conf/smp"
    for limit in rt cpu fsize data stack core rss vmem; do limits+="s_$limit INFINITY"$'\n'"h_$limit INFINITY"$'\n'; done
    cat >"$dir/conf/queue" <<END
qname test
hostlist @allhosts
seq_no 0
load_thresholds NONE
suspend_thresholds NONE
nsuspend 1
suspend_interval 00:05:00
priority 0
min_cpu_interval 00:05:00
processors UNDEFINED
qtype BATCH INTERACTIVE
ckpt_list NONE
pe_list smp
rerun FALSE
slots $cpus
tmpdir /tmp
shell /bin/sh
prolog NONE
epilog NONE
shell_start_mode posix_compliant
starter_method NONE
suspend_method NONE
resume_method NONE
terminate_method NONE
notify 00:00:60
owner_list NONE
user_lists NONE
xuser_lists NONE
subordinate_list NONE
complex_values NONE
projects NONE
xprojects NONE
calendar NONE
initial_state default
$limits
END
    qconf -Aq "$dir/conf/queue"
}

# the daemons name these files themselves, by what they take for the host's name
keep_pids() { cp "$dir/qmaster/qmaster.pid" "$dir/sge_qmaster.pid" && cat "$dir"/exec/*/execd.pid >"$dir/sge_execd.pid"; } 2>/dev/null

answers() { qconf -sh >/dev/null 2>&1; }

start() {
    if ! running; then
        need "gridengine-master gridengine-exec gridengine-client" sge_qmaster sge_execd qsub qstat
        stop
        configure_master
        sge_qmaster >&2
        wait_for 30 answers || die 1 "the master does not answer after 30 s; see $dir/qmaster/messages"
        configure_cluster >"$dir/conf.log" 2>&1 || die 1 "cannot be configured; see $dir/conf.log"
        sge_execd >&2
        wait_for 10 keep_pids || die 1 "sge_execd does not start; see $dir/exec"
        wait_for 60 running || die 1 "not ready after 60 s; see $dir/qmaster/messages and $dir/exec"
    fi
    for name in SGE_ROOT SGE_CELL SGE_QMASTER_PORT SGE_EXECD_PORT; do echo "export $name=${!name}"; done
}

stop() {
    ! running || qdel -u "$user" >/dev/null 2>&1 || true
    end_daemons sge_execd sge_qmaster
}

status() {
    running || { echo "not running"; exit 1; }
    qstat -f
}

act
