"""Further framings of a mixture: what they are clustered and averaged to."""

import dataclasses

import numpy as np
import pytest
import torch

from contrasep_lib.config import build, create
from contrasep_lib.models.options import ModelOptions
from contrasep_lib.models.separation import SeparationModel
from contrasep_lib.oracles.base import Scene, oracle_options
from contrasep_lib.separate.clustering_state import ClusteringState
from contrasep_lib.separate.model_separator import ModelSeparator
from contrasep_lib.separate.options import SeparateOptions
from tests.separate.planted import FEATURES, modularity_options, separator_of, talkers


@pytest.mark.parametrize("shifts", [2, 4])
def test_further_framings_give_the_mean_of_their_masks(shifts):
    separator = separator_of("kmeans")
    separator.options = dataclasses.replace(separator.options, shifts=shifts)
    mixture, sources = talkers(2)
    separator.model.sources = torch.from_numpy(sources)
    separation = separator.separate("utt", mixture, 2)
    oracle, ideal = create(oracle_options("oracle_ibm")), np.zeros_like(sources)
    for shift in range(0, FEATURES.hop, FEATURES.hop // shifts):
        behind = np.pad(sources, ((0, 0), (shift, 0)))
        ideal += oracle.separate(Scene(behind.sum(axis=0), behind, FEATURES)).outputs[:, shift:] / shifts
    error = [[np.square(out - best).mean() for out in separation.outputs] for best in ideal]
    assert max(min(row) for row in error) < 0.02 * np.square(ideal).mean()
    np.testing.assert_allclose(separation.outputs.sum(axis=0), mixture, atol=1e-5)
    # all else is of the first framing
    one = separator_of("kmeans")
    one.model.sources = torch.from_numpy(sources)
    first = one.separate("utt", mixture, 2)
    assert separation.shape == first.shape and separation.assignment.shape == first.assignment.shape
    assert separation.modularity == pytest.approx(first.modularity, abs=1e-3)


def test_one_speaker_needs_one_framing(monkeypatch):
    separator = separator_of("network")
    separator.options = dataclasses.replace(separator.options, shifts=4)
    mixture, sources = talkers(1)
    separator.model.sources = torch.from_numpy(sources)
    monkeypatch.setattr(separator, "_further", None)
    np.testing.assert_allclose(separator.separate("utt", mixture, 1).outputs, mixture[None], atol=1e-5)


def test_windows_of_known_communities_take_further_framings_too(rng):
    torch.manual_seed(0)
    tree = {
        "granularity": "tf", "backbone": {"name": "dual_path", "layers": 1, "width": 8, "band": 8}, "embedding_dim": 4,
        "decoder": {"name": "attractor", "layers": 1, "width": 8},
        "objectives": {"deep_clustering": 1.0, "si_snr": 0.1},
    }
    model = SeparationModel(build(ModelOptions, tree, "model"), FEATURES).eval()
    modularity = modularity_options(solver="kmeans")
    samples = (0.1 * rng.standard_normal(3000)).astype(np.float32)
    centroids = torch.nn.functional.normalize(torch.randn(1, 2, 4), dim=-1)
    found = {}
    for shifts in (1, 2):
        options = SeparateOptions("model", shifts=shifts)
        separator = ModelSeparator(model, ClusteringState.from_options(modularity), modularity, options)
        with torch.inference_mode():
            nodes, seen = separator.analyse(samples)
            labels = (nodes.z @ centroids.transpose(1, 2)).argmax(-1)
            made = separator.of_communities(nodes, seen, labels, centroids, samples, "", True)
            other = separator.analyse(np.pad(samples, (16, 0)))[1]
            behind = model.decode(other, centroids, 3016)
        found[shifts] = made.outputs, behind[0, :, 16:].numpy()
    np.testing.assert_allclose(found[2][0], (found[1][0] + found[1][1]) / 2, atol=1e-5)
    np.testing.assert_allclose(found[2][0].sum(axis=0), samples, atol=1e-5)
    assert np.abs(found[2][0] - found[1][0]).max() > 1e-5
