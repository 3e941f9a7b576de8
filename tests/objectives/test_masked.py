"""Masked reconstruction: which frames are masked, known values, what learns, and the edges."""

import pytest
import torch

from contrasep_lib.errors import ContrasepError
from contrasep_lib.nodes.draws import Draws
from contrasep_lib.objectives.masked import Masked, masked_frames, reconstruction_loss
from contrasep_lib.objectives.options import MaskedOptions
from tests.objectives.self_supervised import model, step


def runs(row):
    """Lengths of the runs of True."""
    return [len(part) for part in "".join("1" if value else "0" for value in row.tolist()).split("0") if part]


@pytest.mark.parametrize("share, span", [(0.15, 7), (0.5, 3), (0.05, 20)])
def test_spans_cover_about_the_share(share, span):
    frames = torch.full((30,), 3000)
    frames[0] = 40
    masked = masked_frames(frames, 3000, share, span, Draws(0, range(30)))
    assert masked[1:].float().mean().item() == pytest.approx(share, rel=0.1)
    assert not masked[0, 40:].any() and masked.any(1).all()
    assert all(min(runs(row)) >= span for row in masked)


def test_short_utterances_keep_something_to_see():
    frames = torch.tensor([0, 1, 2, 3, 13, 14])
    masked = masked_frames(frames, 14, 0.01, 7, Draws(3, range(6)))
    assert masked.sum(1).tolist()[:4] == [0, 0, 1, 1]
    # half of the frames at most for a span, which stands in one piece
    assert [runs(row) for row in masked[4:]] == [[6], [7]]


def test_the_loss_of_a_known_case():
    found, level = torch.zeros(2, 3, 2), torch.tensor([[[1.0, 3.0], [9.0, 9.0], [0.0, 0.0]], [[8.0, 8.0]] * 3])
    masked = torch.tensor([[True, False, True], [False] * 3])
    # frames of 2 and 0; the second utterance has none
    assert reconstruction_loss(found, level, masked).item() == pytest.approx(1.0)
    assert reconstruction_loss(found, level, masked & False).item() == 0


@pytest.mark.parametrize("granularity, backbone", [
    ("frame", {"name": "blstm", "layers": 1, "width": 8}),
    ("frame", {"name": "gcn", "layers": 2, "width": 8, "neighbours": 3}),
    ("tf", {"name": "conv", "layers": 2, "width": 6}),
])
def test_equals_its_definition_and_reaches_every_weight(granularity, backbone):
    net = model(granularity, backbone)
    objective = Masked.from_options(MaskedOptions(), net)
    given = step(net, [1600, 900])
    loss, stats, counted = objective(given)
    masked = masked_frames(given.analysis.frames, given.analysis.level.shape[1], 0.15, 7, step(net, [1600, 900]).draws)
    level = given.analysis.level
    z = net.units_of(net.backbone.hidden(torch.where(masked.unsqueeze(-1), 0.0, level), given.analysis.frames))
    found = torch.einsum("fd,btfd->btf", objective.weight, z.expand(-1, -1, 33, -1)) + objective.bias
    each = [(found - level)[row][masked[row]].abs().mean() for row in range(2)]
    assert loss.item() == pytest.approx(torch.stack(each).mean().item(), rel=1e-5) and counted == 2
    assert 0 < stats["masked_share"] < 0.5
    loss.backward()
    for name, parameter in [*net.backbone.named_parameters(), *objective.named_parameters()]:
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_what_is_masked_is_not_seen():
    net = model()
    objective = Masked.from_options(MaskedOptions(share=0.3), net)
    given = step(net, [1600])
    masked = masked_frames(given.analysis.frames, given.analysis.level.shape[1], 0.3, 7, step(net, [1600]).draws)
    seen = []
    hidden = net.backbone.hidden
    net.backbone.hidden = lambda x, frames: seen.append(x) or hidden(x, frames)
    objective(given)
    assert not seen[0][masked].any() and torch.equal(seen[0][~masked], given.analysis.level[~masked])


def test_the_gradient_is_that_of_differences():
    net = model()
    objective = Masked.from_options(MaskedOptions(), net)
    given = step(net, [800])
    weight = net.backbone.output.weight
    objective(given)[0].backward()
    # a step draws anew, so each value has a step of its own
    values = []
    for shift in (1e-2, -1e-2):
        with torch.no_grad():
            weight[0, 0] += shift
            values.append(float(objective(step(net, [800]))[0]))
            weight[0, 0] -= shift
    assert float(weight.grad[0, 0]) == pytest.approx((values[0] - values[1]) / 2e-2, rel=0.05, abs=1e-4)


def test_learns():
    net = model()
    objective = Masked.from_options(MaskedOptions(share=0.3), net)
    optimiser = torch.optim.Adam([*net.parameters(), *objective.parameters()], 0.02)
    losses = []
    for _ in range(30):
        loss = objective(step(net, [900, 900]))[0]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_silence_and_a_single_frame_teach_nothing_wrong():
    net = model()
    objective = Masked.from_options(MaskedOptions(), net)
    for lengths, zeros in (([1], False), ([400], True), ([1, 900], False)):
        loss, _, _ = objective(step(net, lengths, zeros=zeros))
        loss.backward()
        assert loss.isfinite() and all(part.grad is None or part.grad.isfinite().all() for part in net.parameters())


def test_what_it_cannot_do_is_refused():
    with pytest.raises(ContrasepError, match=r"objectives.masked: expected a backbone over spectra, got 'encoder'"):
        Masked.from_options(MaskedOptions(), model(backbone={"name": "encoder", "layers": 2, "width": 8}))
    for values in ({"share": 0.0}, {"share": 1.0}, {"span": 0}):
        with pytest.raises(ValueError, match=next(iter(values))):
            MaskedOptions(**values)
