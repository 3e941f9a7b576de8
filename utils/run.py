#!/usr/bin/env python3
"""Run jobs on this machine or a cluster, with the interface of Kaldi's run.pl, slurm.pl and queue.pl.

    run.py [options] JOB=1:4 exp/log/mix.JOB.log PROGRAM ARGUMENT.JOB ...
    run.py [options] exp/log/train.log PROGRAM ...

Each number of the range takes the place of JOB (any name) in the log's name and in the arguments. A log begins with
the command and the host, and ends with the status and the time. Exit status: 0 when all jobs succeeded, 1 when some
failed, 2 for a wrong call. SIGINT, SIGTERM and SIGHUP end all that was started, and then run.py.

  --backend NAME      local (default), slurm or sge
  --max-jobs-run N    most jobs at once (default: local one per processor, else no limit)
  --retries N         run a failed job up to N more times; its log holds all attempts
  --mark N            JOB stands in the last N arguments alone, see below
  --end-with-parent   end when the calling process ends
  --mem 4G, --gpu 1, --num-threads 2, --num-nodes 1, --time 1:00:00
                      what a job needs; memory is per thread. The configuration turns them, and further options
                      that it names, into flags of sbatch or qsub; no effect on this machine
  --config FILE       configuration of the cluster, in the format of Kaldi's slurm.conf
                      (default: conf/BACKEND.conf of the current folder, else the toolkit's)

Where JOB is replaced:
  without --mark, as in Kaldi: everywhere, within words and folders too (JOB=1:2 makes JOBS/x.JOB.log 1S/x.1.log);
  with --mark N: in the last component of the log's path and in the last N arguments, as a whole word, that is between
  characters other than letters, digits and _. A folder of the user named JOB stays as it is. Example:
      run.py --mark 1 JOB=1:4 JOBS/log/mix.JOB.log contrasep mix --list /a/JOB/list --part JOB/4
"""

import sys

if __name__ == "__main__":
    # what a job of a cluster runs needs little of the program
    if sys.argv[1:2] == ["--worker"]:
        from jobs.worker import main as work

        sys.exit(work(sys.argv[2:]))
    from jobs.main import main

    sys.exit(main(sys.argv[1:], __doc__))
