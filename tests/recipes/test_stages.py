"""What stages hand to their programs, and which command runs these."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAGE_4 = """
set -euo pipefail
source "$1/utils/stages_model.sh"
log() { :; }
due() { is_due=false; [ "$1" != modularity ] || is_due=true; }
mark() { :; }
single_of() { if [ "$1" = own ]; then echo "${2}_single"; else echo "${2}_$1_single"; fi; }
contrasep() { printf '%s\n' "$@"; }
pretrains=false init_param= dumpdir="a dump" num_spk=2 own=own settings=(--config x) train_cmd=run
communities=exp model=exp on_change=clear finetune_data=$2 finetune_balance=($3)
run() { shift; "$@"; }
stage_4
"""


@pytest.mark.parametrize("data, balance, drawn", [
    ("dynamic", "", ["a dump/tr_single"]),
    ("dynamic", "own other", ["own=a dump/tr_single", "other=a dump/tr_other_single"]),
    ("fixed", "", None),
])
def test_the_solver_may_draw_from_what_finetuning_draws_from(data, balance, drawn):
    done = subprocess.run(["bash", "-c", STAGE_4, "stage", ROOT, data, balance], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    words = done.stdout.splitlines()
    assert words[words.index("--mixtures") + 1] == "a dump/tr_2mix"
    assert words[words.index("--singles") + 1] == "a dump/cv_single" and words[-2:] == ["--out", "exp"]
    if drawn is None:
        assert "--train-singles" not in words
    else:
        assert words[words.index("--train-singles") + 1 : words.index("--out")] == drawn


COMMANDS = r"""
set -euo pipefail
source "$1/utils/stages_model.sh"
source "$1/utils/stages_test.sh"
contrasep() { :; }
jobs_for() { echo 3; }
for name in train_cmd cuda_cmd separate_cmd; do eval "$name() { echo $name \"\$@\"; }; $name=$name"; done
settings=(--config x) dumpdir=dump model=exp exp=exp nj=3 num_nodes=1 ngpu=$2 separator=$3
train_phase pretrain tr cv
separate_set dump/JOB/tt
"""


@pytest.mark.parametrize("ngpu, separator, train, separate, gpu", [
    (0, "model", "train_cmd", "separate_cmd", 0),
    (2, "model", "cuda_cmd", "cuda_cmd", 1),
    (2, "oracle_ibm", "cuda_cmd", "separate_cmd", 0),
])
def test_what_needs_a_gpu_runs_by_cuda_cmd(ngpu, separator, train, separate, gpu):
    command = ["bash", "-c", COMMANDS, "stages", ROOT, str(ngpu), separator]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith(f"{train} --gpu {ngpu} --num-threads 3 exp/pretrain/log/train.log contrasep train ")
    # a job of an array takes one; the number of the job stands in the last word alone
    log = "exp/separate_tt/log/separate.JOB.log"
    assert second.startswith(f"{separate} --max-jobs-run 3 --gpu {gpu} --mark 1 JOB=1:3 {log} contrasep separate-set ")
    assert second.endswith(" --part JOB/3")


@pytest.mark.parametrize("stated", ["--num-threads 8", "--mem 4G --num-threads=8 --time 1:00:00"])
def test_a_command_states_the_threads_of_a_training(stated):
    """``--nj 32`` need not ask a cluster for 32 cores."""
    script = COMMANDS.replace("$name=$name", f"$name='$name {stated}'").replace("\nseparate_set", "\n: separate_set")
    script = script.replace("echo $name", "echo \\$OMP_NUM_THREADS $name")
    command = ["bash", "-c", script, "stages", ROOT, "0", "model"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"8 train_cmd {stated} --gpu 0 --num-threads 8 ") and "--processes 8\n" in done.stdout


@pytest.mark.parametrize("backend, expected", [(None, "local"), ("slurm", "slurm")])
def test_one_variable_says_where_jobs_run(backend, expected):
    script = "cmd_backend=$2; [ -n \"$2\" ] || unset cmd_backend; cd \"$1/egs/mini_2mix\"; . ./cmd.sh; export -p"
    command = ["bash", "-c", script, "cmd", ROOT, backend or ""]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if "_cmd=" in line]
    assert len(lines) == 4 and all(f"run.py --backend {expected} " in line for line in lines)
