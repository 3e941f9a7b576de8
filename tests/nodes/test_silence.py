"""Long silences: which frames are shown, against a walk over the frames, and values taken out and put back."""

import itertools

import pytest
import torch

from contrasep_lib.nodes import silence
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.nodes.silence import gather_frames, shown_frames, spread_frames

FEATURES = FeatureOptions(64, 32)
# power of frames: heard, silent with background, without
LEVELS = torch.tensor([1.0, 1e-5, 1e-9])


def walked(levels, frames, gap, pause):
    """Frames that are left when runs of 2 longer than ``gap`` go, then runs of 1 and 2 longer than ``pause``."""
    left = [(place, level) for place, level in enumerate(levels[:frames])]
    for bar, most in ((2, gap), (1, pause)):
        kept = []
        for silent, run in itertools.groupby(left, lambda frame: frame[1] >= bar):
            run = list(run)
            kept += [] if silent and len(run) > most else run
        left = kept
    return [place for place, _ in left]


def test_shown_frames_are_those_of_a_walk(monkeypatch):
    # two frames to a window
    monkeypatch.setattr(silence, "LONGEST_PAUSE", 2)
    monkeypatch.setattr(silence, "LONGEST_GAP", 1)
    generator, cut = torch.Generator().manual_seed(0), 0
    for _ in range(200):
        chance = torch.rand(3, generator=generator) ** 2
        runs = torch.multinomial(chance, 60, replacement=True, generator=generator).view(3, 20)
        levels = runs.repeat_interleave(2, dim=1)
        levels[:, torch.randint(40, (), generator=generator)] = 0
        levels[:, 0] = 0
        frames = torch.randint(1, 41, (3,), generator=generator)
        shown = shown_frames(LEVELS[levels], frames, FEATURES)
        expected = [walked(row.tolist(), count, 2, 4) for row, count in zip(levels, frames.tolist())]
        if shown is None:
            assert expected == [list(range(count)) for count in frames.tolist()]
            continue
        cut += 1
        assert [row.nonzero().flatten().tolist() for row in shown] == expected
        x = torch.randn(3, 40, 2, generator=generator)
        taken = gather_frames(x, shown)
        assert taken.shape[1] == max(len(places) for places in expected)
        for row, places in enumerate(expected):
            assert torch.equal(taken[row, : len(places)], x[row, places])
        assert torch.equal(spread_frames(taken, shown, 7.0), torch.where(shown.unsqueeze(-1), x, 7.0))
    assert 50 < cut < 190


@pytest.mark.parametrize("win, hop", [(64, 16), (64, 32), (256, 128)])
def test_the_longest_pause_is_a_length_of_time(win, hop):
    features, pause = FeatureOptions(win, hop), silence.LONGEST_PAUSE * win // hop
    for length, shows in ((pause, True), (pause + 1, False)):
        power = torch.cat([torch.ones(1, 5), torch.full((1, length), 1e-5), torch.ones(1, 5)], dim=1)
        shown = shown_frames(power, torch.tensor([power.shape[1]]), features)
        assert (shown is None) == shows
    assert shown.sum() == 10


def test_a_recording_of_zeros_is_shown():
    assert shown_frames(torch.zeros(1, 1000), torch.tensor([1000]), FEATURES) is None


def test_gradients_reach_what_is_put_back():
    shown = torch.tensor([[True, False, True], [False, True, False]])
    part = torch.randn(2, 2, 4, requires_grad=True)
    spread_frames(part, shown).sum().backward()
    assert part.grad[0].eq(1).all() and part.grad[1, 0].eq(1).all() and part.grad[1, 1].eq(0).all()
