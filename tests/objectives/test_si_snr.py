"""SI-SNR loss against its definition, its ceiling and its silent cases."""

import math

import pytest
import torch

from contrasep_lib.objectives.si_snr import negative_si_snr, si_snr_loss


def signals(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def naive(estimate, source):
    estimate, source = estimate - estimate.mean(), source - source.mean()
    target = (estimate @ source) / (source @ source) * source
    return 10 * math.log10(float(target @ target) / float((estimate - target) @ (estimate - target)))


def test_equals_its_definition_far_under_the_ceiling():
    source = signals(2, 3, 400)
    estimate = 0.3 * source + 0.2 * signals(2, 3, 400, seed=1) + 0.5
    values, heard = negative_si_snr(estimate, source, clamp_db=300.0)
    assert heard.all()
    for row in range(2):
        for k in range(3):
            assert -values[row, k].item() == pytest.approx(naive(estimate[row, k], source[row, k]), abs=1e-4)
    few = estimate[..., :30].requires_grad_()
    assert torch.autograd.gradcheck(lambda x: si_snr_loss(x, source[..., :30]), few)


def test_soft_ceiling():
    source = signals(1, 2, 800)
    assert si_snr_loss(source, source).item() == pytest.approx(-30, abs=1e-3)
    assert si_snr_loss(source, source, clamp_db=20).item() == pytest.approx(-20, abs=1e-3)
    at_ten = source + 10 ** (-0.5) * signals(1, 2, 800, seed=1)
    assert si_snr_loss(at_ten, source).item() == pytest.approx(-10, abs=0.7)


def test_scale_mean_and_padding_do_not_matter():
    source, noise = signals(2, 2, 500), signals(2, 2, 500, seed=1)
    estimate, lengths = source + noise, torch.tensor([500, 320])
    value = negative_si_snr(estimate, source, lengths)[0]
    assert torch.allclose(negative_si_snr(7 * estimate + 3, 0.2 * source - 1, lengths)[0], value, atol=1e-5)
    junk = torch.where(torch.arange(500) < lengths.view(2, 1, 1), estimate, torch.nan)
    assert torch.equal(negative_si_snr(junk, source, lengths)[0], value)
    cut = negative_si_snr(estimate[1:, :, :320], source[1:, :, :320])[0]
    assert torch.allclose(cut, value[1:])


def test_wrong_source_is_worse():
    source = signals(1, 2, 500)
    estimate = source + 0.1 * signals(1, 2, 500, seed=1)
    assert si_snr_loss(estimate, source) < si_snr_loss(estimate.flip(1), source) - 20


def test_silence_never_gives_nan():
    source = signals(2, 2, 100)
    source[0, 1] = 0
    estimate = torch.zeros(2, 2, 100, dtype=torch.float64).requires_grad_()
    values, heard = negative_si_snr(estimate, source)
    values.sum().backward()
    assert values.isfinite().all() and estimate.grad.isfinite().all()
    assert heard.tolist() == [[True, False], [True, True]] and values[0, 1] == 0
    assert si_snr_loss(estimate, source, valid=torch.zeros(2, 2, dtype=torch.bool)) == 0
    orthogonal = torch.stack([torch.ones(4), torch.tensor([1.0, -1, 1, -1])])[None]
    assert si_snr_loss(orthogonal, orthogonal.flip(1)).isfinite()


def test_absent_sources_are_left_out():
    source = signals(1, 3, 200)
    estimate, valid = source + signals(1, 3, 200, seed=1), torch.tensor([[True, True, False]])
    assert torch.allclose(
        si_snr_loss(estimate, source, valid=valid), si_snr_loss(estimate[:, :2], source[:, :2])
    )


def test_bad_arguments_are_reported():
    with pytest.raises(ValueError, match="expected one shape"):
        si_snr_loss(torch.zeros(1, 2, 9), torch.zeros(1, 3, 9))
    with pytest.raises(ValueError, match="clamp_db: expected a positive number"):
        si_snr_loss(torch.zeros(1, 2, 9), torch.zeros(1, 2, 9), clamp_db=0.0)
