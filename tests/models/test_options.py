"""Options of the model: what is refused and how, and that reading them imports nothing heavy."""

import subprocess
import sys
from pathlib import Path

import pytest

from contrasep_lib.config import as_key, build
from contrasep_lib.errors import ContrasepError
from contrasep_lib.models.options import ModelOptions

DECODER = {"decoder": "attractor", "objectives": {"deep_clustering": 1.0, "si_snr": 0.1}}
COUNTER = {"counter": "classifier", "objectives": {"deep_clustering": 1.0, "count": 0.1}}


@pytest.mark.parametrize(
    "values, says",
    [
        ({"backbone": "encoder"}, "granularity: backbone 'encoder' embeds nodes of frame, got 'tf'"),
        ({"backbone": {"layers": 0}}, "model.backbone.layers: expected a whole number from 1 to 100, got 0"),
        ({"backbone": {"width": 0}}, "model.backbone.width: expected a whole number from 1 to 8192, got 0"),
        ({"backbone": {"dropout": 1.0}}, "dropout: expected a number of at least 0 and less than 1, got 1.0"),
        ({"backbone": {"name": "blstm", "band": 8}}, "backbone: unknown key 'band'"),
        ({"backbone": {"name": "dual_path", "band": 0}}, "band: expected a whole number from 1 to 1024, got 0"),
        (
            {"backbone": {"name": "dual_path", "path": "attention", "width": 30}},
            "heads: expected 4 heads of even width, got a width of 30",
        ),
        (
            {"backbone": "transformer"},
            "backbone: unknown backbone 'transformer'; known: blstm, conv, dual_path, encoder",
        ),
        ({"embedding_dim": 1}, "embedding_dim: expected a whole number from 2 to 4096, got 1"),
        ({"projection": -1}, "projection: expected a whole number from 0"),
        ({"nodes": "projection"}, "nodes: expected 'embedding' without a projection head (projection: 0), got"),
        ({"nodes": "head", "projection": 4}, "nodes: expected one of embedding, projection, got 'head'"),
        ({"objectives": {"nt_xent": {"denominator": "simclr"}}}, "denominator: expected one of labelled, all, got"),
        ({"neighbours": -1}, "neighbours: expected a whole number from 0"),
        ({"remix_db": -1.0}, "remix_db: expected a number from 0 to 30, got -1"),
        ({"objectives": {}}, "objectives: expected at least one of count, cpc, deep_clustering, gap, masked, "),
        ({"objectives": {"infonce": 1.0}}, "objectives: unknown objective 'infonce'"),
        ({"objectives": {"supcon": 0.0}}, "objectives.supcon.weight: expected a number above 0 and at most 1e6"),
        ({"objectives": {"supcon": {"sampled_nodes": 3}}}, "sampled_nodes: expected a whole number from 4"),
        ({"objectives": {"supcon": {"temperature": 0.0}}}, "temperature: expected a number from 0.001 to 100, got 0.0"),
        (
            {"objectives": {"deep_clustering": {"temperature": 0.1}}},
            "objectives.deep_clustering: unknown key 'temperature'",
        ),
        (
            {"objectives": {"deep_clustering": 1.0, "si_snr": 0.1}},
            "objectives: si_snr teaches a decoder; choose one with model.decoder",
        ),
        (
            {"objectives": {"deep_clustering": 1.0, "count": 0.1}},
            "objectives: count teaches a counter; choose one with model.counter",
        ),
        ({"decoder": "attractor"}, "decoder: none of the objectives deep_clustering teaches it"),
        ({"counter": "classifier"}, "counter: none of the objectives deep_clustering teaches it"),
        ({**DECODER, "objectives": ["si_snr"]}, "expected one that shapes the embeddings in addition to si_snr"),
        ({**COUNTER, "objectives": ["count"]}, "expected one that shapes the embeddings in addition to count"),
        ({**DECODER, "granularity": "frame"}, "decoder: it needs granularity 'tf', got 'frame'"),
        ({**DECODER, "labels": "none"}, "labels: objective si_snr learns from sources"),
        ({**COUNTER, "labels": "none"}, "labels: objective count learns from sources"),
        ({**DECODER, "decoder": {"name": "attractor", "width": 0}}, "decoder.width: expected a whole number from 1"),
        ({**DECODER, "decoder": {"name": "attractor", "heads": 0}}, "decoder.heads: expected null or a whole"),
        (
            {**DECODER, "objectives": {"deep_clustering": 1, "si_snr": {"share": 0.0}}},
            "share: expected a number above 0 and at most 1, got 0.0",
        ),
        (
            {**COUNTER, "counter": {"name": "classifier", "count_max": 1}},
            "counter.count_max: expected a whole number from 2 to 100, got 1",
        ),
        ({"pretrain_objectives": ["si_snr"]}, "pretrain_objectives: si_snr teaches a decoder; choose one with"),
        (
            {**COUNTER, "pretrain_objectives": ["count"]},
            "pretrain_objectives: expected one that shapes the embeddings in addition to count",
        ),
        (
            {"centroids": {"oracle": 1.0}},
            "centroids: expected names among dominance, label_noise, soft, refined_oracle, kmeans",
        ),
        ({"centroids": {"soft": -1.0}}, "centroids.soft: expected a number above 0 and at most 1e6, got -1"),
        ({"centroids": {}}, "centroids: expected null or at least one of"),
        (
            {
                **DECODER,
                "backbone": {"name": "dual_path", "path": "attention", "width": 32},
                "decoder": {"name": "attractor", "width": 20},
            },
            "decoder.heads: expected 4 heads of even width, got a width of 20",
        ),
    ],
)
def test_refused(values, says):
    with pytest.raises(ContrasepError, match="^model") as error:
        build(ModelOptions, values, "model")
    assert says in str(error.value) and "\n" not in str(error.value)


def test_a_decoder_takes_from_the_backbone_what_it_does_not_say():
    wide = {"name": "dual_path", "band": 8, "path": "attention", "width": 32, "heads": 2, "dropout": 0.1}
    options = build(ModelOptions, {**DECODER, "backbone": wide}, "model").full_decoder()
    assert (options.band, options.path, options.heads, options.dropout) == (8, "attention", 2, 0.1)
    own = {"name": "attractor", "band": 2, "path": "rnn"}
    options = build(ModelOptions, {**DECODER, "backbone": wide, "decoder": own}, "model").full_decoder()
    assert (options.band, options.path, options.heads) == (2, "rnn", 2)
    options = build(ModelOptions, {**DECODER, "backbone": "conv"}, "model").full_decoder()
    assert (options.band, options.path, options.heads, options.dropout) == (4, "rnn", 4, 0.0)
    assert build(ModelOptions, {}, "model").full_decoder() is None


def test_a_trained_model_is_the_same_whatever_it_learned_by():
    one = build(ModelOptions, DECODER, "model")
    other = build(
        ModelOptions,
        {
            "backbone": {"dropout": 0.5},
            "decoder": {"name": "attractor", "band": 4, "dropout": 0.2},
            "centroids": {"soft": 1.0},
            "objectives": {"supcon": 1.0, "si_snr": {"share": 0.5}},
            "negatives": "batch",
            "seed": 7,
            "remix_db": 1.0,
            "pretrain_objectives": ["nt_xent"],
        },
        "model",
    )
    assert one.trained() == other.trained()
    for values in (COUNTER, {}, {**DECODER, "backbone": "conv"}, {**DECODER, "node_weight": "uniform"}):
        assert build(ModelOptions, values, "model").trained() != one.trained()


def test_pretraining_may_learn_something_else():
    values = {**DECODER, "pretrain_objectives": {"nt_xent": {"temperature": 0.2}}}
    options = build(ModelOptions, values, "model")
    assert list(options.objectives_of("finetune")) == ["deep_clustering", "si_snr"]
    assert list(options.objectives_of("pretrain")) == ["nt_xent"]
    assert options.objectives_of("pretrain")["nt_xent"].temperature == 0.2
    same = build(ModelOptions, DECODER, "model")
    assert same.objectives_of("pretrain") == same.objectives_of("finetune") == same.objectives
    assert as_key(same).keys() == as_key(options).keys() - {"pretrain_objectives"}


def test_imports_stay_light():
    script = """
import sys
from contrasep_lib.config import load_config
import contrasep_lib.models.options
load_config(sys.argv[1])
assert "torch" not in sys.modules and "espnet2" not in sys.modules
import contrasep_lib.models.checkpoint
assert not [name for name in sys.modules if name.startswith("espnet")]
import contrasep_lib.train.espnet_model
taken = [name for name in sys.modules if name.startswith("espnet") and "." in name]
assert sorted(taken) == ["espnet2.train", "espnet2.train.abs_espnet_model"], taken
assert "torchaudio" not in sys.modules
"""
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", script, "conf/attractor_many.yaml"], cwd=root, check=True)
