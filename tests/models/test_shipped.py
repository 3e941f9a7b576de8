"""The models of the package give what they gave when `shipped.npz` was written, and need no ESPnet.

    python tests/models/test_shipped.py      writes shipped.npz again, for models that have changed on purpose
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from contrasep_lib.decode.attractor import centroids_of
from contrasep_lib.models.checkpoint import load_model
from contrasep_lib.nodes.granularity import apply_mask

ROOT = Path(__file__).resolve().parents[2]
PRETRAINED = ROOT / "contrasep_lib" / "pretrained"
REFERENCE = Path(__file__).parent / "shipped.npz"
MODELS = sorted(path.parents[1].name for path in PRETRAINED.glob("*/finetune/model.pth"))
# of nodes and of samples, every so many
NODES, SAMPLES = 101, 13


def voice(pitch, rng, seconds=1.2, rate=8000):
    """Harmonics of a wandering pitch under three formants, in syllables: ``(samples,)``, of power 1."""
    time = np.arange(int(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.08 * np.sin(2 * np.pi * rng.uniform(2, 4) * time))) / rate
    formants = [(rng.uniform(300, 800), 1.0), (rng.uniform(1000, 2200), 0.5), (rng.uniform(2400, 3300), 0.25)]
    sound = np.zeros(len(time))
    for k in range(1, int(3800 / pitch)):
        level = sum(gain * np.exp(-(((k * pitch - centre) / 150) ** 2)) for centre, gain in formants) + 0.02 / k
        sound += level * np.sin(k * phase + rng.uniform(0, 6))
    sound *= np.clip(np.sin(2 * np.pi * rng.uniform(1.5, 3) * time + rng.uniform(0, 6)) + 0.3, 0, None)
    return sound / np.sqrt(np.mean(sound**2))


def outputs_of(name):
    """Embeddings, weights, chances of counts and outputs of a model for a mixture of two and one of three."""
    rng, found = np.random.default_rng(7), {}
    model = load_model(PRETRAINED / name / "finetune" / "model.pth")
    for pitches in ((110, 215), (95, 160, 240)):
        sources = torch.tensor(np.stack([0.05 * voice(pitch, rng) for pitch in pitches]), dtype=torch.float32)[None]
        with torch.no_grad():
            nodes, analysis = model.analyse(sources.sum(1))
            assign = torch.nn.functional.one_hot(model.granularity.targets(sources), len(pitches)).float()
            if model.decoder is None:
                mask = model.granularity.mask(assign, model.granularity.nodes_of(analysis.spectrum))
                audio = apply_mask(mask, analysis.spectrum, sources.shape[-1], model.features)
            else:
                centroids = centroids_of(nodes.z, assign, nodes.weight * nodes.valid)
                audio = model.decode(analysis, centroids, sources.shape[-1])
            key = f"{name}/{len(pitches)}"
            found |= {f"{key}/z": nodes.z[0, ::NODES], f"{key}/weight": (nodes.weight * nodes.valid)[0, ::NODES]}
            found[f"{key}/audio"] = audio[0, :, ::SAMPLES]
            if model.counter is not None:
                found[f"{key}/count"] = model.count(nodes, analysis)[0]
    return {key: value.numpy() for key, value in found.items()}


@pytest.mark.parametrize("name", MODELS)
def test_outputs_are_those_of_before(name):
    with np.load(REFERENCE) as reference:
        expected = {key: reference[key] for key in reference.files if key.startswith(f"{name}/")}
    found = outputs_of(name)
    assert found.keys() == expected.keys() and len(found) >= 6
    for key, value in found.items():
        np.testing.assert_allclose(value, expected[key], atol=1e-5, err_msg=key)
    # an untrained model would not: the reference says something
    assert np.ptp(expected[f"{name}/2/z"], axis=0).min() > 0.1


def test_separation_needs_no_espnet():
    script = """
import sys
import numpy as np
from contrasep_lib.separate import shipped
loaded = shipped.load_separator("masks")
separator = loaded.separator
noise = np.random.default_rng(0).standard_normal(2000).astype(np.float32)
assert len(separator.separate("x", noise, 2).outputs) == 2
assert not [name for name in sys.modules if name.partition(".")[0] in ("espnet", "espnet2", "torchaudio")]
"""
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


if __name__ == "__main__":
    np.savez_compressed(REFERENCE, **{key: value for name in MODELS for key, value in outputs_of(name).items()})
