"""Options of the model: what is refused and how, and that reading them imports nothing heavy."""

import subprocess
import sys
from pathlib import Path

import pytest

from contrasep_lib.config import build
from contrasep_lib.errors import ContrasepError
from contrasep_lib.models.options import ModelOptions

ATTRACTOR = {"granularity": "attractor", "objectives": {"affinity": 1.0, "si_snr": 0.1}}


@pytest.mark.parametrize(
    "values, told",
    [
        ({"backbone": "encoder"}, "granularity: the encoder embeds frames, so 'frame' wanted with it, got 'tf'"),
        ({"layers": 0}, "layers: at least 1 wanted, got 0"),
        ({"width": 0}, "width: at least 1"),
        ({"embedding_dim": 1}, "embedding_dim: at least 2"),
        ({"projection": -1}, "projection: at least 0"),
        ({"sampled_nodes": 3}, "sampled_nodes: at least 4"),
        ({"neighbours": -1}, "neighbours: at least 0"),
        ({"dropout": 1.0}, "dropout: at least 0 and under 1 wanted, got 1.0"),
        ({"backbone": "dual_path", "path": "attention", "width": 30}, "heads: 4 heads of even width wanted, got a width of 30"),
        ({"objectives": {}}, "objectives: at least one of"),
        (
            {"objectives": {"infonce": 1.0}},
            "objectives: names among affinity, whitened, supcon, nt_xent, si_snr, count wanted, got 'infonce'",
        ),
        ({"objectives": {"supcon": 0.0}}, "objectives.supcon: a positive weight wanted, got 0.0"),
        ({"objectives": {"affinity": 1.0, "si_snr": 0.1}}, "of granularity 'attractor' learns from"),
        ({"granularity": "attractor"}, "and nowhere else, got 'attractor' and affinity"),
        ({"granularity": "attractor", "objectives": {"si_snr": 0.1}}, "one that shapes the embeddings wanted beside si_snr"),
        ({**ATTRACTOR, "labels": "none"}, "labels: the decoder learns from sources"),
        ({**ATTRACTOR, "decoder_width": 0}, "decoder_width: at least 1"),
        ({**ATTRACTOR, "centroids": {"oracle": 1.0}}, "centroids: names among dominance, noise, soft, solver, found wanted"),
        ({**ATTRACTOR, "centroids": {"soft": -1.0}}, "centroids.soft: a positive frequency wanted"),
        ({**ATTRACTOR, "centroids": {}}, "centroids: null or at least one of"),
        (
            {**ATTRACTOR, "backbone": "dual_path", "path": "attention", "width": 32, "decoder_width": 20},
            "heads: 4 heads of even width wanted, got a decoder_width of 20",
        ),
        ({**ATTRACTOR, "decoder_share": 0.0}, "decoder_share: expected a share over 0 up to 1, got 0.0"),
        ({"temperature": 0.0}, "temperature: between 0.001 and 100 wanted, got 0.0"),
        ({"remix_db": -1.0}, "remix_db: between 0 and 30 dB wanted"),
    ],
)
def test_refused(values, told):
    with pytest.raises(ValueError) as error:
        ModelOptions(**values)
    assert told in str(error.value)
    with pytest.raises(ContrasepError, match="model: "):
        build(ModelOptions, values, "model")


def test_read_from_yaml_values():
    options = build(ModelOptions, {"objectives": {"supcon": 1, "affinity": 0.5}, "backbone": "conv"}, "model")
    assert options.objectives == {"supcon": 1.0, "affinity": 0.5}
    with pytest.raises(ContrasepError, match="one of encoder, conv, blstm, dual_path"):
        build(ModelOptions, {"backbone": "transformer"}, "model")


def test_imports_stay_light():
    script = """
import sys
import contrasep_lib.models.options
assert "torch" not in sys.modules and "espnet2" not in sys.modules
import contrasep_lib.embedding.backbones.spectral, contrasep_lib.embedding.backbones.encoder, contrasep_lib.embedding.heads
import contrasep_lib.embedding.inputs, contrasep_lib.nodes.labels, contrasep_lib.objectives
assert not [name for name in sys.modules if name.startswith("espnet")]
import contrasep_lib.models.espnet_model
taken = [name for name in sys.modules if name.startswith("espnet") and "." in name]
assert sorted(taken) == ["espnet2.train", "espnet2.train.abs_espnet_model"], taken
assert "torchaudio" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).resolve().parents[2], check=True)
