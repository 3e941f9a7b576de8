# Where jobs run, sourced by every recipe's cmd.sh: local (this machine), slurm or sge (Grid Engine).
# This line alone is to be changed, here or before the line of a recipe's cmd.sh; or for one run: cmd_backend=slurm ./run.sh
cmd_backend=${cmd_backend:-local}

# Each has the interface of Kaldi's: COMMAND [options] JOB=1:N LOG.JOB.log PROGRAM ...; see run.py --help.
# A site's options are in conf/slurm.conf and conf/sge.conf; what one kind of job needs may be added here, e.g. --time 8:00:00.
# A training takes --nj threads; --num-threads 8 in train_cmd or cuda_cmd states another number.
run_jobs="run.py --backend $cmd_backend --end-with-parent"
export data_cmd="$run_jobs"      # stages 0 to 2: mixing, dumping
export train_cmd="$run_jobs"     # stages 3 and 4 without a GPU
export cuda_cmd="$run_jobs"      # stages 3 to 5 with --ngpu, but for the modularity network, which takes no GPU
export separate_cmd="$run_jobs"  # stages 5 and 6
