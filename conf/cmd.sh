# Where jobs run: sourced by every recipe's cmd.sh.
# Each command has the interface of Kaldi's: PROGRAM [options] JOB=1:N LOG.JOB.log COMMAND ...
# A group's own cluster is named here, or in the cmd.sh of one recipe.
export data_cmd="run.py"      # stages 0 to 2: mixing, dumping
export train_cmd="run.py"     # stages 3 and 4
export separate_cmd="run.py"  # stages 5 and 6
