"""Sweeps: which runs a command line asks for, and table and plot of their results."""

import itertools
import json
import subprocess
import sys

import matplotlib.image
import pytest

from contrasep_lib.errors import ContrasepError
from contrasep_lib.report.compare import write_comparison
from contrasep_lib.report.sweep import last_error, read_outcomes, write_sweep
from contrasep_lib.report.sweep_plan import folder_name, plan_sweep, split_values
from contrasep_lib.report.sweep_plot import axis_key, error_lengths, wants_log
from contrasep_lib.score.means import mean_columns
from contrasep_lib.score.options import ScoreOptions

COMMAND = "utils/sweep.sh words"


# ---------------------------------------------------------------- which runs


@pytest.mark.parametrize("text, values", [
    ("0.1,0.5,1.0", ["0.1", "0.5", "1.0"]),
    ("[1, 2],[3]", ["[1, 2]", "[3]"]),
    ("{a: 1, b: [2, 3]},{}", ["{a: 1, b: [2, 3]}", "{}"]),
    ("'a,b',\"c,]\",[\"x,y]\", 2]", ["'a,b'", '"c,]"', '["x,y]", 2]']),
    ("don't,won't", ["don't", "won't"]),
    ("'',null", ["''", "null"]),
    (" 1 , 2 ", ["1", "2"]),
    ("x", ["x"]),
    ("", []),
])
def test_commas_separate_outside_of_brackets_and_quotes(text, values):
    assert split_values(text) == values


@pytest.mark.parametrize("text", ["[1, 2", "{a: 1", "'a,b", "[1, {a: 2], 3", "1,,2", "1,", ",", "1,a\nb", "a\tb"])
def test_values_that_cannot_be_distinguished(text):
    with pytest.raises(ContrasepError):
        split_values(text)


@pytest.mark.parametrize("words, says", [
    ([], "no KEY=VALUE,VALUE to sweep over"),
    (["--nj", "2"], "no KEY=VALUE,VALUE to sweep over"),
    (["model.temperature="], "model.temperature=: no values; write model.temperature=VALUE,VALUE"),
    (["model.temperature"], "expected KEY=VALUE,VALUE or an option, got 'model.temperature'"),
    (["=1,2"], "expected KEY=VALUE,VALUE or an option, got '=1,2'"),
    (["temperature=1,2"], "temperature: expected SECTION.KEY=VALUE,VALUE or config=FILE,FILE"),
    (["modle.temperature=1"], "unknown section 'modle'; did you mean 'model'"),
    (["model.projektion=1"], "unknown key 'projektion'; did you mean 'projection'"),
    (["separate.separator=oracle_ibm,,mixture"], "a value is empty"),
    (["features.hop=[1"], "features.hop='[1': ']' is missing"),
    (["features.hop=a: b: c"], "features.hop='a: b: c' is not valid YAML"),
    (["features.hop=32,64,32"], "features.hop: value '32' named twice"),
    (["features.hop=32", "features.hop=64"], "features.hop: named twice"),
    (["features.hop=32", "--nj"], "--nj needs a value"),
    (["features.hop=32", "--tag", "x"], "--tag: every run of a sweep has a tag of its own"),
    (["features.hop=32", "--print_tag", "x"], "--print-tag: a sweep finds the tags by itself"),
    (["config=a.yaml,b.yaml", "--config", "c.yaml"], "--config c.yaml: 'config' is swept over; leave the option out"),
    (["features.hop=32", "--set", "features.hop=64"], "'features.hop' is swept over"),
    (["separate.separator=mixture", "--separator=model"], "'separate.separator' is swept over"),
])
def test_wrong_calls_name_the_fix(contrasep, words, says):
    done = contrasep("sweep-plan", "--words", *words)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("contrasep sweep-plan: ") and done.stderr.count("\n") == 1
    assert says in done.stderr


def test_a_name_that_is_no_folder_name():
    with pytest.raises(ContrasepError, match="--name: expected letters, digits"):
        plan_sweep(["features.hop=32"], ".", "a/b")


def test_the_product_of_all_keys(tmp_path):
    words = ["--set", "mix.seed=1", "separate.count=given,estimated", "--skip-train", "model.width=8,[9]", "--nj=2"]
    sweep = plan_sweep(words, tmp_path)
    assert (
        sweep.name == "separate.count_model.width" and sweep.folder == tmp_path / "exp/sweep_separate.count_model.width"
    )
    assert [tuple(run.values.values()) for run in sweep.runs] == [
        ("given", "8"), ("given", "[9]"), ("estimated", "8"), ("estimated", "[9]")]
    passed = ("--set", "mix.seed=1", "--skip-train", "--nj=2")
    assert sweep.runs[1].options == (*passed, "--set", "separate.count=given", "--set", "model.width=[9]")
    other = plan_sweep([*words, "--exp_dir=x", "--expdir", "elsewhere"], tmp_path, "mine")
    assert other.folder == tmp_path / "elsewhere/sweep_mine"


def test_stages_0_to_2_get_folders_of_their_own_only_where_they_depend_on_a_value():
    def folders(*words):
        options = plan_sweep(words, ".").runs[0].options
        return {
            name: options[options.index(name) + 1] for name in ("--mixdir", "--datadir", "--dumpdir") if name in options
        }

    # a dump holds audio, which serves every framing
    assert folders("model.width=8,16", "separate.count=given", "features.hop=32") == {}
    assert folders("dump.shard=32,64", "model.width=8") == {"--dumpdir": "dump/dump.shard=32"}
    assert folders("dump.shard=1", "dump.audio=flac") == {"--dumpdir": "dump/dump.shard=1_dump.audio=flac"}
    assert folders("mix.seed=3", "dump.shard=32") == {
        "--mixdir": "mixtures/mix.seed=3", "--datadir": "data/mix.seed=3", "--dumpdir": "dump/mix.seed=3_dump.shard=32"}
    assert folders("dump.shard=32", "--dumpdir", "mine") == {"--dumpdir": "mine"}
    assert folders("corpus.espeak={train_voices: 3}", "--data_dir=x", "--datadir=x", "--mixdir", "y") == {
        "--mixdir": "y", "--dumpdir": "dump/corpus.espeak=-train_voices--3-"}
    assert folder_name({"config": "conf/a.yaml", "mix.seed": "1"}) == "config=a_mix.seed=1"


def test_configurations_share_folders_unless_they_differ_in_what_these_hold(tmp_path):
    for name, text in {
        "a": "model: {width: 8}",
        "b": "{model: {width: 9}, features: {hop: 32}}",
        "c": "dump: {shard: 32}",
        "d": "mix: {seed: 5}",
    }.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    options = plan_sweep(["config=a.yaml,b.yaml,none.yaml"], tmp_path).runs[1].options
    assert options == ("--config", "b.yaml")
    options = plan_sweep(["config=a.yaml,c.yaml"], tmp_path).runs[0].options
    assert options == ("--config", "a.yaml", "--dumpdir", "dump/config=a")
    options = plan_sweep([f"config={tmp_path / 'a.yaml'},d.yaml"], tmp_path).runs[1].options
    assert options[2:] == ("--mixdir", "mixtures/config=d", "--datadir", "data/config=d", "--dumpdir", "dump/config=d")
    # an override makes them equal
    options = plan_sweep(["config=a.yaml,d.yaml", "--set", "mix.seed=1"], tmp_path).runs[1].options
    assert options == ("--set", "mix.seed=1", "--config", "d.yaml")


def test_planning_is_light():
    code = (
        "import sys\nfrom contrasep_lib.report.sweep_plan import plan_sweep\n"
        "plan_sweep(['model.width=8,16'], '.')\n"
        "heavy = {'torch', 'scipy', 'numpy', 'matplotlib'} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------- what came of them


def means(score, estimated=False, ibm=12.0):
    """A set's scores as results.json holds them."""
    scores = [column.name for column in mean_columns(ScoreOptions())]
    made = dict.fromkeys(scores) | {f"{name}_ci95": None for name in scores}
    names = ("si_snri_count_estimated", "si_snri_penalised") if estimated else ("si_snri", "sdri")
    for name in ("si_snr", *names):
        made |= {name: score, f"{name}_ci95": [score - 1, score + 0.5]}
    return made | {
        "n": 4, "num_spk": 2, "speakers": 5, "count_accuracy": 0.75 if estimated else None,
        "oracle": {"frame": 4.0, "ibm": ibm, "irm": 11.0, "psm": 13.0},
    }


def finished(sweep, outcomes):
    """Leave what utils/sweep.sh and run.sh leave: outcomes are means, lists of sets, or the text of an error."""
    lines = []
    (sweep.folder / "log").mkdir(parents=True)
    for number, outcome in enumerate(outcomes, 1):
        tag = f"t{number}"
        lines.append(f"{tag}\t{int(isinstance(outcome, str))}\n")
        (sweep.folder / "log" / f"run.{number}.err").write_text(outcome if isinstance(outcome, str) else "a warning\n")
        if isinstance(outcome, dict):
            results = {
                "recipe": "toy",
                "config": "c.yaml",
                "granularity": "tf",
                "separator": "model",
                "supervision": "none",
                "num_spk": 2,
                "label": "noise",
                "sets": outcome if "tt" in outcome else {"tt": outcome},
            }
            (sweep.exp / tag).mkdir()
            (sweep.exp / tag / "results.json").write_text(json.dumps(results))
    (sweep.folder / "runs.tsv").write_text("".join(lines))


def table_rows(page):
    lines = [line for line in page.splitlines() if line.startswith("|") and "---" not in line]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_table_plot_and_results_of_a_numeric_key(tmp_path):
    sweep = plan_sweep(["model.temperature=0.1,1,10"], tmp_path)
    finished(sweep, [means(3.0), means(5.25), means(4.0)])
    write_sweep(sweep, "toy", COMMAND)
    page = (sweep.folder / "RESULTS.md").read_text()
    assert "# toy: sweep model.temperature" in page and COMMAND in page and "error" not in page
    assert "## tt: 4 mixtures of 2 speakers (5 speakers in all), noise" in page
    rows = table_rows(page)
    assert rows[0] == ["model.temperature", "tag", "supervision", "count", "SI-SNRi", "SDRi", "bound"]
    assert rows[2] == ["1", "t2", "none", "given", "5.25 [4.25, 5.75]", "5.25 [4.25, 5.75]", "12.00"]
    results = json.loads((sweep.folder / "results.json").read_text())
    assert results["swept"] == {"model.temperature": [0.1, 1, 10]} and results["recipe"] == "toy"
    assert [run["sets"]["tt"]["si_snri"] for run in results["runs"]] == [3.0, 5.25, 4.0]
    assert matplotlib.image.imread(sweep.folder / "sweep.png").std() > 0.05


def test_same_inputs_same_bytes(tmp_path):
    sweep = plan_sweep(["model.temperature=0.1,1", "separate.count=given,estimated"], tmp_path)
    finished(sweep, [means(3.0), means(5.0, True), "no luck\n", means(2.0, True)])
    made = []
    for _ in range(2):
        write_sweep(sweep, "toy", COMMAND)
        made.append([(sweep.folder / name).read_bytes() for name in ("results.json", "sweep.png", "RESULTS.md")])
    assert made[0] == made[1] and str(tmp_path).encode() not in made[0][0]


def test_failed_missing_and_coming_runs_are_rows(tmp_path):
    sweep = plan_sweep(["model.width=8,16,32,64,128"], tmp_path)
    error = "checking:  50%|#\rcontrasep train: a | b\tis wrong; fix it\n\nrun.py: 1 of 1 jobs failed, log is in x\n"
    finished(sweep, [means(3.0), error, None, {"tt": {"n": 1}}])
    write_sweep(sweep, "toy", COMMAND)
    page = (sweep.folder / "RESULTS.md").read_text()
    assert "runs: 5, 4 of them without results" in page
    lines = [line for line in page.splitlines() if line.startswith(("| 16 ", "| 32 ", "| 64 ", "| 128 "))]
    assert "contrasep train: a \\| b is wrong; fix it" in lines[0] and "run.py" not in page
    assert "no t3/results.json; let the sweep run up to stage 6" in lines[1]
    assert "key 'num_spk' missing; run stage 6 of this tag again" in lines[2]
    assert lines[3] == "| 128 | - | - | - | not run yet | - | - | - |"
    runs = json.loads((sweep.folder / "results.json").read_text())["runs"]
    assert [run["error"] is None for run in runs] == [True, False, False, False, False]
    # as sweeps up to stage 3 or 4 leave their runs
    (tmp_path / "exp/t3/pretrain").mkdir(parents=True)
    (tmp_path / "exp/t3/pretrain/.done").touch()
    write_sweep(sweep, "toy", COMMAND)
    assert "trained, not scored; let the sweep run up to stage 6" in (sweep.folder / "RESULTS.md").read_text()
    assert runs[1]["sets"] is None and runs[1]["tag"] == "t2"


def test_a_failed_run_does_not_show_the_results_of_an_earlier_one(tmp_path):
    sweep = plan_sweep(["model.width=8,16"], tmp_path)
    finished(sweep, [means(3.0), means(4.0)])
    write_sweep(sweep, "toy", COMMAND)
    (sweep.folder / "runs.tsv").write_text("t1\t1\nt2\t1\n")
    (sweep.folder / "log/run.1.err").write_text("")
    (sweep.folder / "log/run.2.err").unlink()
    write_sweep(sweep, "toy", COMMAND)
    assert not (sweep.folder / "sweep.png").exists()
    rows = table_rows((sweep.folder / "RESULTS.md").read_text())
    assert rows == [
        ["model.width", "tag", "supervision", "error"],
        ["8", "t1", "-", "exit status 1"],
        ["16", "t2", "-", "exit status 1"],
    ]


def test_estimated_counts_have_their_own_columns(tmp_path):
    sweep = plan_sweep(["separate.count=given,estimated"], tmp_path)
    finished(sweep, [means(6.0), means(5.0, estimated=True)])
    write_sweep(sweep, "toy", COMMAND)
    header, given, estimated = table_rows((sweep.folder / "RESULTS.md").read_text())
    assert header[3:] == ["count", "SI-SNRi", "SDRi", "SI-SNRi, count estimated", "SI-SNRi, penalised", "bound"]
    assert given[3] == "given" and given[6:8] == ["-", "-"]
    assert estimated[3] == "estimated, accuracy 75.0 %" and estimated[4] == "-" and estimated[7].startswith("5.00")


def test_each_test_set_has_its_table(tmp_path):
    sweep = plan_sweep(["model.width=8,16"], tmp_path)
    finished(sweep, [{"tt": means(6.0), "tt_dev": means(7.0)}, {"tt": means(5.0)}])
    write_sweep(sweep, "toy", COMMAND)
    page = (sweep.folder / "RESULTS.md").read_text()
    assert page.index("## tt: ") < page.index("## tt_dev: ")
    assert "tt_dev not scored" in page and page.count("| 16 |") == 2


SHAPES = {
    "log axis": ["pretrain.learning_rate=0.1,0.001"],
    "lines": ["model.width=8,16", "model.granularity=tf,frame"],
    "lines over the second key": ["model.granularity=tf,frame", "model.width=8,16"],
    "grouped bars": ["model.granularity=tf,frame", "separate.count=given,estimated"],
    "three keys": ["model.width=8,16", "model.layers=1,2", "separate.count=given,estimated"],
    "long names": ["model.objectives={affinity: 1.0, supcon: 0.5, nt_xent: 0.25},{affinity: 1.0, supcon: 2.0}"],
    "truth values": ["modularity.binary=true,false"],
    "one value": ["model.width=8"],
    "a date": ["config=2024-01-01,.nan"],
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bounds", ["one bound", "bounds of their own"])
def test_every_shape_of_sweep_is_drawn(tmp_path, shape, bounds):
    sweep = plan_sweep(SHAPES[shape], tmp_path)
    ibm = itertools.count(11) if bounds != "one bound" else itertools.repeat(12.0)
    finished(sweep, [means(3.0 + number, estimated=number % 2, ibm=next(ibm)) for number in range(len(sweep.runs) - 1)]
             + ([means(2.0)] if len(sweep.runs) == 1 else ["failed\n"]))
    write_sweep(sweep, "toy", COMMAND)
    assert matplotlib.image.imread(sweep.folder / "sweep.png").std() > 0.05


def test_choices_of_the_plot():
    assert axis_key({"a": ["x", "y"], "b": [1, 2.5]}) == "b"
    assert axis_key({"a": ["x", "y"], "b": [1]}) == "a"
    assert axis_key({"a": ["x"], "b": [True, False]}) == "b"
    assert axis_key({"a": ["x"]}) == "a"
    assert wants_log([0.001, 1]) and not wants_log([1, 30]) and not wants_log([0, 100]) and not wants_log([-1, 1])
    # an interval that leaves the mean out gives no negative bar
    assert error_lengths({"x": 2.0, "x_ci95": [2.5, 3.0]}, "x") == (0.0, 1.0)
    assert error_lengths({"x": 2.0, "x_ci95": None}, "x") == (0.0, 0.0)


def test_outcomes_that_cannot_be_read(tmp_path):
    sweep = plan_sweep(["model.width=8"], tmp_path)
    with pytest.raises(ContrasepError, match="runs.tsv: not there"):
        write_sweep(sweep, "toy", COMMAND)
    finished(sweep, [means(1.0), means(2.0)])
    with pytest.raises(ContrasepError, match="2 runs, planned are 1"):
        write_sweep(sweep, "toy", COMMAND)
    (sweep.folder / "runs.tsv").write_text("t1\t0\nt2\n")
    with pytest.raises(ContrasepError, match="runs.tsv:2: expected a tag, a tab and a status"):
        read_outcomes(sweep.folder)


def test_the_job_runners_count_is_a_last_resort(tmp_path):
    path = tmp_path / "err"
    path.write_text("run.py: 1 of 1 jobs failed, log is in x\n")
    assert last_error(path, 1).startswith("run.py: ")


def test_a_recipes_comparison_leaves_sweeps_out(tmp_path):
    sweep = plan_sweep(["model.width=8"], tmp_path)
    finished(sweep, [means(1.0)])
    write_sweep(sweep, "toy", COMMAND)
    page = write_comparison(tmp_path).read_text()
    assert "| t1 | model |" in page and "sweep" not in page
