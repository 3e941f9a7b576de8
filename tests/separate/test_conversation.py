"""Who talks in a recording, by planted voices; a window store; separation that goes on after a kill."""

import dataclasses

import numpy as np
import pytest
import torch

from contrasep_lib.errors import ContrasepError
from contrasep_lib.nodes.nodeset import NodeSet
from contrasep_lib.separate.conversation import Heard, decide
from contrasep_lib.separate.conversation_windows import communities, starts_of
from contrasep_lib.separate.voices import Blocks, VoiceSpace
from contrasep_lib.separate.window_store import WindowStore

DIM = 12


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def world():
    """A space fitted to planted talkers, and what draws points of further ones."""
    rng = np.random.default_rng(0)
    within = np.diag(np.linspace(0.2, 0.05, DIM) ** 2)
    axes = np.linalg.qr(rng.standard_normal((DIM, DIM)))[0]

    def talker():
        return unit(np.ones(DIM) / 2 + 0.35 * rng.standard_normal(DIM))

    def points(mean, count):
        return unit(mean + rng.standard_normal((count, DIM)) @ np.sqrt(within) @ axes)

    return VoiceSpace.fit([points(talker(), 12) for _ in range(200)]), talker, points


def conversation(world, means, turns, seed=0, per_window=27):
    """Blocks of windows, and the talker of each block; ``turns`` are talker and seconds, a pair for overlap."""
    _, _, points = world
    rows, halves, who = [], [], []
    for talker, count in turns:
        alone = np.isscalar(talker)
        pair = [talker, talker] if alone else talker
        both = np.stack([points(means[each], count) for each in pair], axis=1)
        rows.append(0.95 * both[:, 0] if alone else 0.8 * unit(both.mean(axis=1)))
        halves.append(np.zeros_like(both) if alone else 0.9 * both)
        who += [talker if alone else -1] * count
    mean, halves = np.concatenate(rows), np.concatenate(halves)
    windows = [
        Blocks(np.arange(len(part)), mean[part], np.ones(len(part)), halves[part])
        for part in np.array_split(np.arange(len(mean)), -(-len(mean) // per_window))
    ]
    return windows, np.array(who)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_talkers_are_counted_and_kept(world, count):
    space, talker, _ = world
    means = [talker() for _ in range(count)]
    rng = np.random.default_rng(count)
    turns = [(int(rng.integers(count)), int(rng.integers(2, 8))) for _ in range(70)]
    windows, who = conversation(world, means, turns)
    found = decide(windows, space)
    assert found.count == count
    labels = np.concatenate(found.talkers)
    table = np.array([[np.sum((labels == a) & (who == b)) for b in range(count)] for a in range(count)])
    assert table.max(axis=1).sum() > 0.97 * len(who) and len(set(table.argmax(axis=1))) == count
    # in order of first appearance, and the same again
    assert [int(np.flatnonzero(labels == each)[0]) for each in range(count)] == sorted(
        int(np.flatnonzero(labels == each)[0]) for each in range(count)
    )
    np.testing.assert_array_equal(labels, np.concatenate(decide(windows, space).talkers))


def test_who_is_not_heard_in_a_window_is_not_there(world):
    space, talker, _ = world
    means = [talker() for _ in range(3)]
    windows, _ = conversation(world, means, [(0, 30), (1, 24), (0, 27), ((0, 1), 10), (0, 17), (2, 27), (0, 27)])
    found = decide(windows, space)
    assert found.count == 3
    assert [found.present(number) for number in range(6)] == [[0], [0, 1], [0], [0, 1], [2], [0]]
    starts = starts_of(windows, found)
    assert [len(each) for each in starts] == [len(found.present(number)) for number in range(len(windows))]
    np.testing.assert_allclose(np.linalg.norm(np.concatenate(starts), axis=1), 1, atol=1e-6)


def test_little_evidence_makes_no_talker_unless_the_number_is_given(world):
    space, talker, _ = world
    means = [talker() for _ in range(3)]
    windows, _ = conversation(world, means, [(0, 60), (2, 2), (1, 60)] * 2)
    assert decide(windows, space).count == 2
    for number in (1, 2, 3, 5):
        assert decide(windows, space, number).count == number


def test_talkers_who_always_talk_together(world):
    space, talker, _ = world
    means = [talker(), talker()]
    windows, _ = conversation(world, means, [((0, 1), 80)])
    found = decide(windows, space)
    assert found.count == 2 and all(found.present(number) == [0, 1] for number in range(len(windows)))
    halves = np.concatenate(found.halves)
    assert (halves[:, 0] != halves[:, 1]).mean() > 0.9


def test_a_speaker_encoder_tells_apart_whom_the_model_cannot(world):
    space, talker, points = world
    means = [talker() for _ in range(3)]
    # the model has one voice for two of them, the encoder three voices
    windows, who = conversation(world, [means[0], means[0], means[1]], [(0, 8), (1, 6), (2, 7)] * 8)
    assert decide(windows, space).count == 2
    edges = np.cumsum([len(each.mass) for each in windows])[:-1]
    vectors = np.split(np.stack([points(means[each], 1)[0] for each in who]), edges)
    found = decide(windows, space, None, Heard(vectors, space))
    assert found.count == 3
    assert np.mean(np.concatenate(found.talkers) == who) > 0.97
    # blocks of several talkers are not heard by it, and stay with the model's voices
    windows, who = conversation(world, means, [((0, 1), 80)])
    vectors = [np.zeros((len(each.mass), DIM)) for each in windows]
    assert decide(windows, space, None, Heard(vectors, space)).count == 2


def test_nothing_that_is_heard(world):
    none = Blocks(np.zeros(0, np.int64), np.zeros((0, DIM)), np.zeros(0), np.zeros((0, 2, DIM)))
    assert decide([none], world[0]).count == 1
    assert decide([none], world[0], None, Heard([np.zeros((0, DIM))], world[0])).count == 1


def test_blocks_of_nodes():
    rng = np.random.default_rng(0)
    axes = np.eye(4)
    # a block of one talker, one of two, one of almost nobody
    z = np.concatenate([np.tile(axes[0], (50, 1)), np.repeat(axes[:2], 25, axis=0), np.tile(axes[2], (50, 1))])
    z = unit(z + 0.05 * rng.standard_normal(z.shape)).astype(np.float32)
    weight = np.concatenate([np.ones(100), np.full(50, 1e-3)]).astype(np.float32)
    nodes = NodeSet(*(torch.from_numpy(x)[None] for x in (z, weight, weight > 0)), (150,))
    blocks = Blocks.of(nodes, 50)
    assert blocks.number.tolist() == [0, 1] and blocks.pure.tolist() == [True, False]
    assert not blocks.halves[0].any()
    order = blocks.halves[1].argmax(axis=1).argsort()
    np.testing.assert_allclose(blocks.halves[1][order], axes[:2], atol=0.05)
    labels, centroids = communities(nodes, torch.eye(4)[:2])
    assert labels[0, :50].eq(0).all() and labels[0, 75:100].eq(1).all() and centroids.shape == (1, 2, 4)


def test_a_space_there_and_back(world, tmp_path):
    space = world[0]
    space.save(tmp_path / "voices.json", "abc")
    read = VoiceSpace.load(tmp_path / "voices.json", "abc")
    for field in dataclasses.fields(space):
        np.testing.assert_allclose(getattr(read, field.name), getattr(space, field.name), atol=1e-6)
    assert VoiceSpace.load(tmp_path / "none.json", "abc") is None
    with pytest.raises(ContrasepError, match="other weights"):
        VoiceSpace.load(tmp_path / "voices.json", "def")
    (tmp_path / "voices.json").write_text('{"mean": [1]}')
    with pytest.raises(ContrasepError, match="no voice space"):
        VoiceSpace.load(tmp_path / "voices.json", "abc")
    with pytest.raises(ValueError, match="three talkers"):
        VoiceSpace.fit([np.ones((3, 2))])


def test_a_store_keeps_windows_of_one_key(tmp_path):
    store = WindowStore(tmp_path / "w", "one")
    store.save_seen(3, {"a": np.arange(4)})
    store.save_outputs(3, {"outputs": np.ones((2, 5), np.float32)})
    again = WindowStore(tmp_path / "w", "one")
    assert again.seen(3)["a"].tolist() == [0, 1, 2, 3] and again.outputs(3)["outputs"].shape == (2, 5)
    assert again.seen(4) is None
    # a file that was cut, or holds objects, counts as none
    file = next((tmp_path / "w").glob("*.out.npz"))
    file.write_bytes(file.read_bytes()[:50])
    assert again.outputs(3) is None
    np.savez(tmp_path / "w" / "000005.seen.npz", a=np.array([{}], object))
    assert again.seen(5) is None
    # other samples, model or options: nothing of it is used, and files of others stay
    (tmp_path / "w" / "note.txt").write_text("mine")
    other = WindowStore(tmp_path / "w", "two")
    assert other.seen(3) is None and (tmp_path / "w" / "note.txt").exists()
    other.remove()
    assert not (tmp_path / "w").exists()
    temporary = WindowStore(None, "x")
    temporary.save_seen(0, {"a": np.zeros(1)})
    temporary.close()
    assert not temporary.folder.exists()


def test_an_hour_of_drifting_voices_makes_no_further_talkers(world):
    space, talker, _ = world
    rng = np.random.default_rng(3)
    means = [talker() for _ in range(2)]
    parts, truth = [], []
    for _ in range(12):
        moved = [unit(mean + 0.02 * rng.standard_normal(DIM)) for mean in means]
        windows, who = conversation(world, moved, [(int(rng.integers(2)), int(rng.integers(3, 9))) for _ in range(40)])
        parts += windows
        truth.append(who)
    found = decide(parts, space)
    labels, who = np.concatenate(found.talkers), np.concatenate(truth)
    assert found.count == 2 and len(labels) > 2000
    assert max((labels == who).mean(), (labels != who).mean()) > 0.97
