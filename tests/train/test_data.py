"""Items and batches: what they hold, and that they depend on nothing but (seed, epoch, number)."""

import dataclasses
import math
import multiprocessing

import numpy as np
import pytest
import torch

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.dumpset import DumpSet
from contrasep_lib.mix.level import active_level
from contrasep_lib.mix.options import MixOptions
from contrasep_lib.train.augment import pick_start
from contrasep_lib.train.data import train_dataset, valid_dataset
from contrasep_lib.train.iterator import EpochIterator
from contrasep_lib.train.options import TrainOptions

MIX = MixOptions()


def dynamic(folder, **options):
    return train_dataset([folder], TrainOptions(**{"segment_seconds": 0.5, **options}), MIX)


def batches(dataset, epoch, num_workers=0, **options):
    options = {"batch_size": 4, **options}
    return list(EpochIterator(dataset, num_workers=num_workers, **options).build_iter(epoch))


def assert_same(these, those):
    assert [ids for ids, _ in these] == [ids for ids, _ in those]
    for (_, this), (_, that) in zip(these, those):
        assert this.keys() == that.keys() and all(torch.equal(this[name], that[name]) for name in this)


def test_dynamic_items_depend_on_seed_epoch_and_number_alone(single_dump):
    options = {"num_spk": (1, 2, 3, 5), "speed": (0.9, 1.0, 1.1)}
    first = batches(dynamic(single_dump, **options), 3, batches=3)
    assert_same(first, batches(dynamic(single_dump, **options), 3, num_workers=2, batches=3))
    # measured in the other order of access: levels that are known already change nothing
    later = dynamic(single_dump, **options)
    batches(later, 7, batches=3)
    assert_same(first, batches(later, 3, batches=3))
    mixtures = [batch["mixture"] for _, batch in first]
    for other in (batches(dynamic(single_dump, **options), 4, batches=3),
                  batches(dynamic(single_dump, seed=1, **options), 3, batches=3)):
        assert not any(torch.equal(mixture, batch["mixture"]) for mixture, (_, batch) in zip(mixtures, other))


def test_batches_keep_the_contract(single_dump):
    ids, batch = batches(dynamic(single_dump, num_spk=(1, 2, 3)), 1, batch_size=12, batches=1)[0]
    count, max_spk, samples = batch["sources"].shape
    assert count == len(ids) == 12 and max_spk == 3
    assert batch["mixture"].shape == (12, samples) and batch["mixture"].dtype == torch.float32
    assert batch["speaker"].dtype == batch["num_spk"].dtype == batch["mixture_lengths"].dtype == torch.int64
    assert set(batch["num_spk"].tolist()) == {1, 2, 3}
    for row in range(12):
        num_spk, length = batch["num_spk"][row], batch["mixture_lengths"][row]
        assert (batch["speaker"][row, :num_spk] >= 0).all() and (batch["speaker"][row, num_spk:] == -1).all()
        assert len(set(batch["speaker"][row, :num_spk].tolist())) == num_spk
        assert not batch["sources"][row, num_spk:].any() and not batch["mixture"][row, length:].any()
        # PCM16 of each track is rounded by itself
        apart = batch["sources"][row].sum(0) - batch["mixture"][row]
        assert apart.abs().max() < 3 / 2**15
        peak = max(batch["mixture"][row].abs().max(), batch["sources"][row].abs().max())
        assert abs(peak - 0.9) < 1e-4


def test_gains_are_between_active_levels(single_dump):
    """Utterances of very different levels are brought to one active level, then +g and -g dB apart."""
    dataset = train_dataset([single_dump], TrainOptions(segment_seconds=None, num_spk=(2,)), MIX)
    dump, apart = DumpSet(single_dump), []
    for number in range(20):
        item = dataset[1, number]
        gains = []
        for key, source in zip(item["utt_id"].partition(":")[2].split("+"), item["sources"]):
            original = dump.mixture(key)
            scale = np.abs(source).max() / np.abs(original).max()
            gains.append(20 * math.log10(scale * math.sqrt(active_level(original, MIX.rate)[0])))
        apart.append(gains[0] - gains[1])
    assert 0 <= min(apart) and max(apart) <= 5.01 and np.std(apart) > 0.5


def test_levels_are_shared_between_processes(single_dump):
    dataset = dynamic(single_dump)
    assert torch.isnan(dataset.levels).all()
    process = multiprocessing.get_context("fork").Process(target=dataset.__getitem__, args=((1, 0),))
    process.start()
    process.join()
    assert (~torch.isnan(dataset.levels)).sum() == 2


def test_speed_changes_pitch_and_speaker(single_dump):
    options = [TrainOptions(data="single", speed=(speed,), segment_seconds=None) for speed in (1.0, 1.25)]
    slow, fast = (train_dataset([single_dump], option, MIX) for option in options)
    length, shorter = len(slow[1, 2]["mixture"]), len(fast[1, 2]["mixture"])
    assert shorter == math.ceil(length / 1.25)
    spectrum = [np.abs(np.fft.rfft(d[1, 2]["mixture"], 1 << 16)) for d in (slow, fast)]
    assert spectrum[1].argmax() / spectrum[0].argmax() == pytest.approx(1.25, abs=0.02)
    options = TrainOptions(data="single", speed=(0.9, 1.1), segment_seconds=0.2)
    both = train_dataset([single_dump], options, MIX)
    assert {int(both[epoch, 0]["speaker"][0]) for epoch in range(1, 20)} == {0, 1}
    assert {int(both[epoch, 17]["speaker"][0]) for epoch in range(1, 20)} == {10, 11}


def test_parts_are_not_silent():
    rng = np.random.default_rng(0)
    signal = np.zeros((1, 40000))
    signal[0, 30000:34000] = rng.standard_normal(4000)
    for _ in range(50):
        start = pick_start(signal, 2000, rng)
        assert np.square(signal[0, start : start + 2000]).sum() > 0
    assert pick_start(signal, 40000, rng) == pick_start(signal, 50000, rng) == 0


@pytest.mark.parametrize("batches_per_epoch, accumulate", [(None, 1), (None, 4), (2, 1)])
def test_fixed_mixtures_drop_nothing(mixture_dumps, batches_per_epoch, accumulate):
    folders = list(mixture_dumps.values())
    dataset = train_dataset(folders, TrainOptions(data="fixed", segment_seconds=0.6), MIX)
    everything = sorted(key for folder in folders for key in DumpSet(folder).keys)
    iterator = EpochIterator(dataset, 3, batches_per_epoch, accumulate=accumulate)
    seen = [[ids for ids, _ in iterator.build_iter(epoch)] for epoch in range(1, 12)]
    if batches_per_epoch is None:
        assert all(sorted(sum(epoch, [])) == everything for epoch in seen) and seen[0] != seen[1]
        assert all(len(epoch) == 4 and max(map(len, epoch)) <= 3 for epoch in seen)
    else:
        flat = [key for epoch in seen for ids in epoch for key in ids]
        assert all(sorted(flat[start : start + 11]) == everything for start in range(0, 66, 11))
    lengths = {len(dataset[1, number]["mixture"]) for number in range(11)}
    assert max(lengths) == 4800 and min(lengths) == 1600
    assert {len(dataset[1, number]["sources"]) for number in range(11)} == {2, 3}


def test_fixed_mixtures_are_read_as_dumped(mixture_dumps):
    dataset = train_dataset([mixture_dumps[2]], TrainOptions(data="fixed", segment_seconds=None), MIX)
    dump = DumpSet(mixture_dumps[2])
    for number, key in enumerate(dump.keys):
        item = dataset[1, number]
        assert item["utt_id"] == key and np.array_equal(item["mixture"], dump.mixture(key))
        assert np.array_equal(item["sources"], dump.sources(key))
        assert [dataset.labels[name] for name in key.split("_")[:2]] == item["speaker"].tolist()


def test_validation_is_the_same_in_every_epoch(single_dump, mixture_dumps):
    options = TrainOptions(segment_seconds=0.5, speed=(0.9, 1.1), num_spk=(2,))
    for folder, count in ((single_dump, 18), (mixture_dumps[2], 7)):
        dataset = valid_dataset([folder], options, MIX)
        assert_same(batches(dataset, 1, train=False), batches(dataset, 2, train=False, num_workers=1))
        assert sum(len(ids) for ids, _ in batches(dataset, 1, train=False)) == count
        assert len(batches(dataset, 1, train=False, batches=1)) == 1
        # never more than all of it
        assert sum(len(ids) for ids, _ in batches(dataset, 1, train=False, batches=50)) == count


def test_single_speakers_are_taken_once_in_a_pass(single_dump):
    dataset = train_dataset([single_dump], TrainOptions(data="single", segment_seconds=0.4), MIX)
    taken = [key for ids, batch in batches(dataset, 1) for key in ids]
    assert sorted(taken) == DumpSet(single_dump).keys
    ids, batch = batches(dataset, 1)[0]
    assert batch["sources"].shape[1] == 1 and torch.equal(batch["sources"][:, 0], batch["mixture"])


def test_wrong_sets_are_one_line(single_dump, mixture_dumps):
    with pytest.raises(ContrasepError, match="expected a set of single speakers for data 'dynamic', got one of mixt"):
        train_dataset([mixture_dumps[2]], TrainOptions(), MIX)
    with pytest.raises(ContrasepError, match="expected a set of mixtures for data 'fixed'"):
        train_dataset([single_dump], TrainOptions(data="fixed"), MIX)
    with pytest.raises(ContrasepError, match="8000 Hz, mix.rate is 16000 Hz"):
        train_dataset([single_dump], TrainOptions(), dataclasses.replace(MIX, rate=16000))
    with pytest.raises(ContrasepError, match="talkers in a mixture, the speakers of .*, got 7"):
        train_dataset([single_dump], TrainOptions(num_spk=(2, 7)), MIX)
    with pytest.raises(ContrasepError, match="cannot be shared by 5"):
        EpochIterator(dynamic(single_dump), 4, 3, world=5)


@pytest.mark.parametrize("options", [
    {"batch_size": 0}, {"num_spk": ()}, {"num_spk": (0,)}, {"speed": (3.0,)}, {"speed": (0.999,)},
    {"ema_decay": 1.0}, {"data": "fixed", "speed": (0.9,)}, {"batches_per_epoch": 3, "accumulate": 2},
    {"optim_conf": {"lr": 1.0}}, {"segment_seconds": 0.0}, {"budget_minutes": -1.0}, {"patience": -1},
    {"learning_rate": 0.0}, {"num_workers": -1}, {"probe": -1}, {"valid_batches": 0}, {"epochs": -1},
])
def test_wrong_options(options):
    with pytest.raises(ValueError):
        TrainOptions(**options)


def _share(rank, world, rendezvous, folder, queue):
    meeting = f"file://{rendezvous}"
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=world)
    dataset = train_dataset([folder], TrainOptions(data="single", segment_seconds=0.2), MIX)
    iterator = EpochIterator(
        dataset, 5, rank=torch.distributed.get_rank(), world=torch.distributed.get_world_size()
    )
    shares = [None] * world
    torch.distributed.all_gather_object(shares, [ids for ids, _ in iterator.build_iter(2)])
    if rank == 0:
        queue.put(shares)
    torch.distributed.destroy_process_group()


def test_two_processes_share_each_batch(tmp_path, single_dump):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    processes = [
        context.Process(target=_share, args=(rank, 2, tmp_path / "rendezvous", single_dump, queue))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    first, second = queue.get(timeout=50)
    for process in processes:
        process.join()
    dataset = train_dataset([single_dump], TrainOptions(data="single", segment_seconds=0.2), MIX)
    whole = [ids for ids, _ in batches(dataset, 2, batch_size=5)]
    assert len(first) == len(second) == len(whole) == 4
    for left, right, both in zip(first, second, whole):
        assert left and right and not set(left) & set(right) and sorted(left + right) == sorted(both)


def test_numbers_of_speakers_have_to_be_known(single_dump):
    with pytest.raises(ContrasepError, match=r"num_spk: expected numbers of speakers, e.g. \[1, 2, 3\], got null"):
        dynamic(single_dump, num_spk=None)


def test_the_log_says_how_a_batch_is_shared_and_what_changes(single_dump):
    def words(batch_size, world, batches=None, train=True):
        dataset = dynamic(single_dump)
        return EpochIterator(dataset, batch_size, batches, train=train, world=world).in_words("train")

    assert words(4, 1) == []
    assert words(6, 2, 3) == ["train: batches of 6 items, 3 for each of 2 training processes"]
    assert words(7, 3, 3) == ["train: batches of 7 items, 2 to 3 for each of 3 training processes"]
    # 18 utterances are five batches of three or four items, which four processes cannot share
    assert words(4, 2) == ["train: batches of 4 items, 1 to 2 for each of 2 training processes"]
    shares, changed = words(4, 4)
    assert shares == "train: batches of 5 items, 1 to 2 for each of 4 training processes"
    assert changed == (
        "train: 4 batches in place of 5, for each process has an item of each; they are larger than batch_size says, 4"
    )


def test_mixtures_in_a_row_have_the_same_speakers_and_other_utterances(single_dump):
    dataset = dynamic(single_dump, num_spk=(2, 3), repeats=2)
    rows = [dataset[key] for key in dataset.keys(1, 24)]
    for one, two in zip(rows[::2], rows[1::2]):
        assert one["speaker"].tolist() == two["speaker"].tolist()
        assert not set(one["utt_id"].partition(":")[2].split("+")) & set(two["utt_id"].partition(":")[2].split("+"))
    assert len({tuple(row["speaker"].tolist()) for row in rows}) > 6
    assert dynamic(single_dump, num_spk=(2, 3), repeats=2)[1, 5]["utt_id"] == rows[5]["utt_id"]
    with pytest.raises(ValueError, match="repeats: expected data 'dynamic'"):
        TrainOptions(data="single", repeats=2)


@pytest.mark.parametrize("items, batch_size, accumulate, world, batches", [
    (50, 16, 4, 1, 4), (18, 8, 4, 1, 4), (18, 2, 4, 1, 12), (18, 4, 4, 2, 8), (18, 2, 4, 4, 4), (18, 2, 1, 4, 4),
])
def test_steps_take_whole_accumulations(single_dump, items, batch_size, accumulate, world, batches):
    dataset = train_dataset([single_dump], TrainOptions(data="single", segment_seconds=0.2), MIX)
    dataset.utterances = (dataset.utterances * 3)[:items]
    iterator = EpochIterator(dataset, batch_size, accumulate=accumulate, world=world)
    assert iterator.batches == batches and batches % accumulate == 0
    assert len(sum(iterator.plan(1), [])) * world >= items - world * batches


@pytest.mark.parametrize("accumulate, world", [(20, 1), (4, 8), (19, 1)])
def test_a_set_that_is_too_small_for_a_step(single_dump, accumulate, world):
    dataset = train_dataset([single_dump], TrainOptions(data="single", segment_seconds=0.2), MIX)
    with pytest.raises(ContrasepError, match=f"18 items are too few for steps of {accumulate} batches"):
        EpochIterator(dataset, 8, accumulate=accumulate, world=world)


def test_the_largest_mixture_is_known(single_dump, mixture_dumps):
    assert train_dataset([single_dump], TrainOptions(num_spk=(1, 3, 2)), MIX).most == 3
    assert train_dataset([single_dump], TrainOptions(data="single"), MIX).most == 1
    folders = list(mixture_dumps.values())
    assert train_dataset(folders, TrainOptions(data="fixed"), MIX).most == 3
    assert valid_dataset(folders, TrainOptions(num_spk=(1, 2)), MIX).most == 3
