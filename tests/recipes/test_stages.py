"""What stage 4 hands to its programs."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAGE_4 = """
set -euo pipefail
source "$1/utils/stages_model.sh"
log() { :; }
due() { [ "$1" = modularity ]; }
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
