"""Granularities and oracle masks against their definitions."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch

from contrasep_lib.config import create, names, options_class
from contrasep_lib.errors import ContrasepError
from contrasep_lib.nodes.granularity import Frame, TimeFrequency
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.nodes.stft import stft
from contrasep_lib.oracles.base import Scene, oracle_options, oracle_title, separator_of
from contrasep_lib.oracles.irm import IdealRatioMask
from contrasep_lib.oracles.psm import PhaseSensitiveMask
from contrasep_lib.separate.options import SeparateOptions

FEATURES = FeatureOptions(64, 16)
ALL_HEARD = dataclasses.replace(FEATURES, silence_db=300.0)


MASKS = ("frame", "ibm", "irm", "psm")


def separate(name, mixture, sources, features=FEATURES):
    return create(options_class("oracle", name)()).separate(Scene(mixture, sources, features))


def oracle_outputs(name, mixture, sources, features):
    return separate(name, mixture, sources, features).outputs


def talkers(count, samples=1600, seed=0):
    rng = np.random.default_rng(seed)
    sources = rng.standard_normal((count, samples)).astype(np.float32) * 0.1
    return sources.sum(axis=0), sources


@pytest.mark.parametrize("num_spk", [1, 2, 3, 5])
@pytest.mark.parametrize("name", ["frame", "ibm", "irm"])
def test_outputs_add_up_to_the_mixture(name, num_spk):
    mixture, sources = talkers(num_spk)
    mixture[400:800] = 0  # silent nodes take part in the sum too
    outputs = oracle_outputs(name, mixture, sources, FEATURES)
    assert outputs.shape == sources.shape and outputs.dtype == np.float32
    np.testing.assert_allclose(outputs.sum(axis=0), mixture, atol=1e-6)


@pytest.mark.parametrize("name", MASKS)
def test_one_talker_is_returned_as_it_is(name):
    mixture, sources = talkers(1)
    np.testing.assert_allclose(oracle_outputs(name, mixture, sources, ALL_HEARD)[0], mixture, atol=1e-6)


@pytest.mark.parametrize("name", MASKS)
def test_talkers_that_never_overlap_are_separated(name):
    _, sources = talkers(2, 1600)
    sources[0, 800:] = 0
    sources[1, :800] = 0
    outputs = oracle_outputs(name, sources.sum(axis=0), sources, ALL_HEARD)
    inner = np.r_[0:700, 900:1600]  # frames across the seam hold both
    np.testing.assert_allclose(outputs[:, inner], sources[:, inner], atol=1e-6)


def test_ideal_binary_mask_by_definition():
    mixture, sources = talkers(3)
    spectra = stft(torch.from_numpy(sources).double(), FEATURES).abs().numpy()
    separation = separate("ibm", mixture, sources, ALL_HEARD)
    assert separation.shape == spectra.shape[1:]
    louder = spectra.argmax(axis=0)
    np.testing.assert_array_equal(separation.assignment.argmax(axis=1).reshape(louder.shape), louder)
    assert set(np.unique(separation.assignment)) == {0.0, 1.0}


def test_ties_go_to_the_lower_index():
    signal = torch.randn(1, 1, 800, dtype=torch.double)
    for kind in (Frame, TimeFrequency):
        assert (kind(FEATURES).targets(signal.expand(1, 3, 800)) == 0).all()


@pytest.mark.parametrize("kind", [Frame, TimeFrequency])
def test_silent_nodes(kind):
    granularity = kind(FEATURES)
    x = torch.randn(1, 3200, dtype=torch.double)
    x[:, 1600:] *= 10 ** (-60 / 20)
    nodes = granularity.nodes(x)
    by_frame = nodes.valid.reshape(nodes.shape if len(nodes.shape) == 2 else (*nodes.shape, 1))
    # 3200 samples are 200 frames and 3 more of padding; the seam is at 100
    assert by_frame[5:95].double().mean() > 0.9 and not by_frame[110:].any()
    assert not granularity.nodes(torch.zeros(1, 400)).valid.any()
    one_hot = torch.nn.functional.one_hot(torch.zeros(1, nodes.power.shape[1], dtype=torch.long), 4).double()
    mask = granularity.mask(one_hot, nodes)
    torch.testing.assert_close(mask.sum(dim=1), torch.ones_like(mask[:, 0]))
    torch.testing.assert_close(mask[0, :, 150], torch.full_like(mask[0, :, 150], 0.25))


def test_ratio_masks_by_definition():
    spectra = torch.tensor([[[[3 + 4j, 0j]], [[0 + 5j, 0j]]]])
    irm = IdealRatioMask.shares(spectra, spectra.sum(dim=1))
    torch.testing.assert_close(irm[0, :, 0], torch.tensor([[0.5, 0.5], [0.5, 0.5]]))
    s = torch.tensor([[[[1 + 0j]], [[-3 + 0j]], [[4j]]]])
    psm = PhaseSensitiveMask.shares(s, s.sum(dim=1))
    # the mixture is -2 + 4j of power 20: shares -2/20, 6/20, 16/20, the first clipped to 0
    torch.testing.assert_close(psm.flatten(), torch.tensor([0.0, 0.3, 0.8]))


def test_mixture_is_copied():
    mixture, sources = talkers(3)
    np.testing.assert_array_equal(oracle_outputs("mixture", mixture, sources, FEATURES), [mixture] * 3)


def test_bad_calls_are_refused():
    mixture, sources = talkers(2)
    with pytest.raises(ContrasepError, match="1599 samples"):
        oracle_outputs("ibm", mixture, sources[:, :-1], FEATURES)
    with pytest.raises(ValueError, match="^separator: unknown separator 'ibm'; known: model, oracle_frame"):
        SeparateOptions("ibm")
    with pytest.raises(ValueError, match="^separator: unknown oracle 'ibn'; did you mean 'ibm'"):
        SeparateOptions("oracle_ibn")
    with pytest.raises(ValueError, match="unknown separator 'oracle_mixture'"):
        SeparateOptions("oracle_mixture")


def test_every_oracle_is_a_separator_with_a_title_of_its_own():
    members = names("oracle")
    assert set(MASKS) | {"mixture"} <= set(members)
    for name in members:
        assert oracle_options(separator_of(name)) == options_class("oracle", name)()
        assert SeparateOptions(separator_of(name)).separator == separator_of(name)
    assert len(set(map(oracle_title, members))) == len(members)
    assert oracle_title("of_a_plugin") == "oracle, of_a_plugin"


def test_naming_an_oracle_imports_no_torch():
    code = (
        "import sys\nfrom contrasep_lib.separate.options import SeparateOptions\n"
        "from contrasep_lib.score.options import ScoreOptions\n"
        "SeparateOptions('oracle_psm'), ScoreOptions()\nprint({'torch', 'numpy', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
