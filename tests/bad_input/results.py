"""What stages 5 and 6 wrote, read again."""

import json
from pathlib import Path

from contrasep_lib.report.listening.counted import kept_qualities
from contrasep_lib.report.results import read_results, read_system
from contrasep_lib.score.tables import read_evidence, read_rows
from tests.bad_input.kinds import kind, put

FAMILY = "Results"
TABLE, RESULTS = "exp/a/score_tt/scores.tsv", "exp/a/results.json"
COLUMNS = "utt\tspeakers\tnum_spk\toutputs\tcount_given\tpermutation\n"
SET = {"n": 1, "num_spk": 2, "speakers": 2, "count_accuracy": None, "oracle": {}}
TREE = {
    "recipe": "r", "config": "c.yaml", "granularity": None, "separator": "s", "supervision": "none", "num_spk": 2,
    "label": "l", "sets": {"tt": SET},
}


def rows(content):
    put(TABLE, content)
    return lambda: read_rows(TABLE)


def results(tree):
    put(RESULTS, tree if isinstance(tree, str) else json.dumps(tree))
    return lambda: read_results(RESULTS)


@kind(FAMILY, "scores that are not there", TABLE, "not there; run stage 6 first")
def no_scores(folder):
    return lambda: read_rows(TABLE)


@kind(FAMILY, "a truncated table of scores", TABLE, "truncated, the last line has no newline")
def truncated(folder):
    return rows(COLUMNS + "a\tb")


@kind(FAMILY, "a table without a column", TABLE, "column 'speakers' missing")
def no_column(folder):
    return rows("utt\nk\n")


@kind(FAMILY, "a field too few", f"{TABLE}:2", "expected 6 fields, got 2")
def fields(folder):
    return rows(COLUMNS + "a\tb\n")


@kind(FAMILY, "a number that is none", f"{TABLE}:2", "num_spk: ")
def number(folder):
    return rows(COLUMNS + "a\tb_c\ttwo\t2\t1\t1,2\n")


@kind(FAMILY, "evidence without a column", "evidence.tsv", "column 'num_spk_given' missing; run stage 5 again")
def evidence(folder):
    put("evidence.tsv", "utt\nk\n")
    return lambda: read_evidence("evidence.tsv")


@kind(FAMILY, "results that are not JSON", RESULTS, "cannot be read")
def no_json(folder):
    return results("[" * 100_000)


@kind(FAMILY, "results without a key", RESULTS, "key 'recipe' missing")
def no_key(folder):
    return results([])


@kind(FAMILY, "results whose sets are no mapping", RESULTS, "key 'sets': expected a mapping")
def sets(folder):
    return results({**TREE, "sets": [1]})


@kind(FAMILY, "a score in words", RESULTS, "set 'tt': key 'si_snri': got <b>high</b>")
def score(folder):
    return results({**TREE, "sets": {"tt": {**SET, "si_snri": "<b>high</b>"}}})


@kind(FAMILY, "an oracle in words", RESULTS, "key 'oracle': expected numbers")
def oracle(folder):
    return results({**TREE, "sets": {"tt": {**SET, "oracle": {"ibm": "high"}}}})


@kind(FAMILY, "a system that does not say what it is", "system.json", "key 'separator' missing or of another type")
def system(folder):
    put("system.json", "{}")
    return lambda: read_system("system.json")


@kind(FAMILY, "evidence of counts of another form", "exp/a/score_tt/evidence.json", "expected rows of three numbers")
def evidence_of_counts(folder):
    put("exp/a/score_tt/evidence.json", '{"k": {"qualities": [[1, 2]]}}')
    return lambda: kept_qualities("exp/a", "tt", "k")


def separated(outputs):
    put("out/x.json", json.dumps({"outputs": outputs, "num_spk": 1, "seconds": 1, "windows": []}))
    return "report", "out", "--html", "page.html"


@kind(FAMILY, "a separated recording whose outputs lie elsewhere", "out/x.json", "expected names of files beside it")
def outputs_elsewhere(folder):
    return separated(["../secret.wav"])


@kind(FAMILY, "a separated recording without an output", "out/x_spk1.wav", "cannot be read")
def no_output(folder):
    return separated(["x_spk1.wav"])


@kind(FAMILY, "a folder to listen to that holds nothing separated", "out", "no separated recordings")
def nothing_separated(folder):
    put("out/x.json", "{}")
    return "report", "out", "--html", "page.html"


@kind(FAMILY, "an experiment without scores to compare", "exp/b", "expected exp/TAG with score_SET/scores.tsv")
def no_experiment(folder):
    Path("exp/a").mkdir(parents=True)
    return "compare", "exp/b", "exp/a"
