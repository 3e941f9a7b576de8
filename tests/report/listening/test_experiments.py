"""Pages of experiments, by the command."""

import json
import re
import shutil

import numpy as np
import pytest

from contrasep_lib.counting.evidence import Evidence
from contrasep_lib.errors import ContrasepError
from contrasep_lib.report.listening.counted import keep_evidence, kept_qualities
from contrasep_lib.report.listening.experiments import experiment_content
from contrasep_lib.separate.separation import Separation


@pytest.fixture
def scored(mixed, config, contrasep, tmp_path):
    """``scored('a', 'oracle_ibm')``: exp/a, separated and scored; its page where ``html`` is given."""
    dump = mixed[3]

    def make(tag, separator, *options):
        exp = tmp_path / "exp" / tag
        settings = ["--config", config, "--set", f"separate.separator={separator}", "--set", "score.plots=0"]
        out, scores = exp / "separate_tt_2mix", exp / "score_tt_2mix"
        contrasep("separate-set", *settings, "--dump", dump, "--out", out, check=True)
        contrasep("separate-set", *settings, "--dump", dump, "--out", out, "--merge", 1, check=True)
        contrasep("score", *settings, "--dump", dump, "--separated", out, "--out", scores, check=True)
        return exp, contrasep(
            "report", *settings, "--exp", exp, "--recipe", "r_2mix", "--sets", dump, "--command", "run",
            "--label", "noise <b>of</b> nobody", *options, check=True,
        )

    return make


def rows_of(path):
    """The rows of the table of mixtures, as lists of texts."""
    table = re.search(r'id="mixtures">.*?</table>', path.read_text(encoding="utf-8"), flags=re.DOTALL)[0]
    rows = re.findall(r"<tr>\s*(<td.*?)</tr>", table, flags=re.DOTALL)
    cells = [re.findall(r"<td.*?</td>", row, flags=re.DOTALL) for row in rows]
    return [[re.sub("<[^>]*>", "", cell).strip() for cell in row] for row in cells]


def test_a_tag_has_a_page_and_several_stand_side_by_side(scored, contrasep, tmp_path):
    exp, done = scored("ibm", "oracle_ibm", "--html", "exp/ibm/listen.html")
    page = exp / "listen.html"
    assert "5 of 5 mixtures to hear" in done.stdout
    assert "To listen, with a browser: `listen.html`." in (exp / "RESULTS.md").read_text()
    text = page.read_text(encoding="utf-8")
    assert "noise &lt;b&gt;of&lt;/b&gt; nobody" in text and "<b>of</b>" not in text
    rows = rows_of(page)
    scores = [float(row[3]) for row in rows]
    assert len(rows) == 5 and scores == sorted(scores) and rows[0][1:3] == ["tt_2mix", "2"]
    # of each mixture: itself, two sources, two outputs
    assert text.count('<script type="text/plain" class="audio">') == 25 and text.count("Units of the mixture") == 5
    assert text.count("<b>output 1 for source 1</b>") + text.count("<b>output 2 for source 1</b>") == 5
    other, _ = scored("frame", "oracle_frame")
    assert not (other / "listen.html").exists() and "To listen" not in (other / "RESULTS.md").read_text()
    done = contrasep("report", exp, other, "--html", "both.html", "--mixtures", 2, "--sets", "dump/tt_2mix", check=True)
    both = tmp_path / "both.html"
    assert "2 of 5 mixtures to hear" in done.stdout and both.read_text().count("<template") == 2
    for row in rows_of(both):
        a, b, difference = (float(row[place]) for place in (3, 4, 7))
        assert difference == pytest.approx(b - a, abs=0.011) and a > b
    assert "frame minus ibm, paired over the mixtures" in both.read_text()
    # a second run gives the same bytes
    before = both.read_bytes()
    contrasep("report", exp, other, "--html", "both.html", "--mixtures", 2, check=True)
    assert both.read_bytes() == before


def test_spectrograms_are_those_of_the_set(scored, mixed):
    from contrasep_lib.io.dumpset import DumpSet, SeparatedSet

    exp, _ = scored("ibm", "oracle_ibm")
    dump = DumpSet(mixed[3])
    content = experiment_content([exp], 20, [mixed[3]])
    assert [choice.row for choice in content.choices][0] == 0
    choice = content.choices[0]
    scene = choice.load()
    outputs = SeparatedSet(exp / "separate_tt_2mix").outputs(choice.name)
    np.testing.assert_array_equal(scene.tracks[0].samples, dump.mixture(choice.name))
    for number, source in enumerate(dump.sources(choice.name)):
        of_source, of_output = scene.tracks[1 + 2 * number : 3 + 2 * number]
        np.testing.assert_array_equal(of_source.samples, source)
        place = int(of_output.title.split()[1]) - 1
        np.testing.assert_array_equal(of_output.samples, outputs[place])
        assert of_source.colour == of_output.colour == number and "SI-SNRi" in of_output.note
    [found] = scene.communities
    assert set(np.unique(found.colours)) <= {-1, 0, 1} and sorted(found.names) == [0, 1]
    [evidence] = scene.evidence
    assert (evidence.chosen, evidence.given, evidence.true) == (2, True, 2)


def test_errors_are_one_line(scored, contrasep, tmp_path):
    exp, _ = scored("ibm", "oracle_ibm")
    for words, says in (
        ([exp], "folders are shown by --html FILE"),
        ([], "expected folders and --html FILE, --exp or --recipe-dir"),
        ([tmp_path / "none", "--html", "a.html"], "expected exp/TAG with score_SET/scores.tsv"),
    ):
        done = contrasep("report", *words)
        assert done.returncode in (1, 2) and done.stderr.count("\n") == 1 and says in done.stderr, done.stderr
    exp = shutil.copytree(exp, tmp_path / "far/away/ibm")
    done = contrasep("report", exp, "--html", "a.html")
    assert done.returncode == 1 and "add --sets DUMPDIR/tt_2mix" in done.stderr and done.stderr.count("\n") == 1
    contrasep("report", exp, "--html", "a.html", "--sets", "dump/tt_2mix", check=True)


def test_scores_of_other_outputs_are_refused(scored, mixed):
    exp, _ = scored("ibm", "oracle_ibm")
    table = exp / "score_tt_2mix/scores.tsv"
    table.write_text(table.read_text().replace("\t1,2\t", "\t1,9\t").replace("\t2,1\t", "\t9,1\t"))
    [choice] = experiment_content([exp], 1, [mixed[3]]).choices
    with pytest.raises(ContrasepError, match=r"scores\.tsv: .* scores of other outputs than the 2 in .*stage 6 again"):
        choice.load()


def evidence(quality):
    return Evidence(1, 0.0, 0.0, quality, 0.1, 0.02, 0.0, (1.0,), float("nan"), 0.0, 0.0, 0.0)


def test_evidence_of_the_counts_is_kept(tmp_path):
    def separate(key, mixture):
        found = (evidence(0.123456789), evidence(0.5)) if key == "a" else ()
        return Separation(mixture[None], np.zeros((1, 1)), (1,), False, evidence=found)

    path = keep_evidence(tmp_path, "tt", [(key, np.zeros(4)) for key in "ab"], separate)
    assert json.loads(path.read_text()) == {"a": {"qualities": [[0.123457, 0.1, 0.02], [0.5, 0.1, 0.02]]}}
    assert kept_qualities(tmp_path, "tt", "a") == [(0.123457, 0.1, 0.02), (0.5, 0.1, 0.02)]
    assert kept_qualities(tmp_path, "tt", "b") == kept_qualities(tmp_path, "other", "a") == []
    path.write_text('{"a": {"qualities": [[1, 2]]}}')
    with pytest.raises(ContrasepError, match=r"evidence\.json: 'a': expected rows of three numbers"):
        kept_qualities(tmp_path, "tt", "a")
