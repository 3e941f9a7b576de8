"""Several corpora together: shares against expectation, nothing dropped, and the same on any number of processes."""

import collections
import dataclasses

import numpy as np
import pytest
import torch

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.dumpset import DumpSet
from contrasep_lib.mix.options import MixOptions
from contrasep_lib.train.balance import PERIOD, Balance
from contrasep_lib.train.data import train_dataset, valid_dataset
from contrasep_lib.train.iterator import EpochIterator
from contrasep_lib.train.options import TrainOptions

CORPORA = ("wsj0", "audiomnist")
MIX = MixOptions()


@pytest.fixture(scope="module")
def pooled(single_dump, digits_dump):
    """``pooled(balance, data)``: training data of both corpora."""

    def make(balance, data="single", corpora=CORPORA, dataset=train_dataset, **options):
        options = TrainOptions(data=data, balance=balance, segment_seconds=0.3, **options)
        return dataset([single_dump, digits_dump], options, MIX, corpora)

    return make


def batches(dataset, epoch, num_workers=0, **options):
    return list(EpochIterator(dataset, 4, num_workers=num_workers, **options).build_iter(epoch))


def assert_same(these, those):
    assert [ids for ids, _ in these] == [ids for ids, _ in those]
    for (_, this), (_, that) in zip(these, those):
        assert all(torch.equal(this[name], that[name]) for name in this)


def corpus_of(utt_id):
    return "audiomnist" if "audiomnist" in utt_id else "wsj0"


@pytest.mark.parametrize("shares, slots", [
    ([0.5, 0.5], [1, 1]), ([0.7, 0.3], [7, 3]), ([2, 1, 1], [2, 1, 1]), ([1.0], [1]), ([1, 2], [333, 667]),
    ([1e-9, 1.0], [1, PERIOD - 1]), ([1 / 3] * 3, [334, 333, 333]),
])
def test_blocks_hold_shares_exactly(shares, slots):
    balance = Balance(shares, [0])
    assert balance.slots.tolist() == slots
    corpora, numbers = balance.draw(0, 3 * sum(slots))
    for start in range(0, len(corpora), sum(slots)):
        assert np.bincount(corpora[start : start + sum(slots)], minlength=len(slots)).tolist() == slots
    for corpus in range(len(slots)):
        assert numbers[corpora == corpus].tolist() == list(range(3 * slots[corpus]))


def test_any_part_is_found_without_those_before():
    balance = Balance([0.62, 0.27, 0.11], [3, 4])
    whole = balance.draw(0, 1000)
    for start, count in ((0, 1), (99, 2), (100, 100), (437, 311), (999, 1)):
        for part, all_of_it in zip(balance.draw(start, count), whole):
            assert np.array_equal(part, all_of_it[start : start + count])
    assert not np.array_equal(whole[0], Balance([0.62, 0.27, 0.11], [3, 5]).draw(0, 1000)[0])


@pytest.mark.parametrize("balance", [{"wsj0": 0.5, "audiomnist": 0.5}, {"wsj0": 3, "audiomnist": 1}])
def test_shares_of_single_speakers_are_as_stated(pooled, single_dump, digits_dump, balance):
    dataset = pooled(balance)
    assert len(dataset) == 18 + 21
    keys = [key for epoch in range(1, 41) for key in dataset.keys(epoch, 12)]
    taken = {
        name: [dataset.utterances[number][1] for _, number in keys if corpus_of(dataset.utterances[number][1]) == name]
        for name in CORPORA
    }
    total = sum(balance.values())
    for name, folder in zip(CORPORA, (single_dump, digits_dump)):
        assert len(taken[name]) == 480 * balance[name] / total
        # nothing is dropped: each corpus goes through passes of its own, whatever an epoch holds
        everything = DumpSet(folder).keys
        for start in range(0, len(taken[name]) - len(everything) + 1, len(everything)):
            assert sorted(taken[name][start : start + len(everything)]) == everything
        assert taken[name][: len(everything)] != taken[name][len(everything) : 2 * len(everything)]
    assert len(set(keys)) == len(keys), "an item is never drawn twice in the same way"


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_shares_of_dynamic_mixtures_are_as_stated(pooled, share):
    dataset = pooled({"wsj0": share, "audiomnist": 1 - share}, "dynamic", num_spk=(2,))
    counts = collections.Counter()
    for number in range(400):
        ids = dataset[1, number]["utt_id"].partition(":")[2].split("+")
        # all talkers of a mixture are of one corpus
        assert len({corpus_of(utt_id) for utt_id in ids}) == 1
        counts[corpus_of(ids[0])] += 1
    assert abs(counts["wsj0"] - 400 * share) < 4 * (400 * share * (1 - share)) ** 0.5


@pytest.mark.parametrize("data", ["single", "dynamic"])
def test_items_depend_on_seed_epoch_and_number_alone(pooled, data):
    balance = {"audiomnist": 0.3, "wsj0": 0.7}
    first = batches(pooled(balance, data), 3, batches=4)
    assert_same(first, batches(pooled(balance, data), 3, num_workers=2, batches=4))
    # the order of names in the file says nothing
    assert_same(first, batches(pooled(dict(reversed(balance.items())), data), 3, batches=4))
    for other in (batches(pooled(balance, data), 4, batches=4), batches(pooled(balance, data, seed=1), 3, batches=4)):
        assert [ids for ids, _ in other] != [ids for ids, _ in first]


def test_training_processes_share_what_one_would_take(pooled):
    dataset = pooled({"wsj0": 0.5, "audiomnist": 0.5})
    whole = EpochIterator(dataset, 6, 5).plan(2)
    shares = [EpochIterator(dataset, 6, 5, rank=rank, world=2).plan(2) for rank in range(2)]
    assert [sorted(left + right) for left, right in zip(*shares)] == [sorted(batch) for batch in whole]
    # a process does not always have the same corpus
    first = {corpus_of(dataset.utterances[number][1]) for batch in shares[0] for _, number in batch}
    assert first == set(CORPORA)


def test_a_corpus_alone(single_dump, digits_dump, pooled):
    alone = TrainOptions(data="single", balance={"audiomnist": 1.0}, segment_seconds=0.3)
    dataset = train_dataset([digits_dump], alone, MIX, ["audiomnist"])
    taken = [dataset.utterances[number][1] for _, number in dataset.keys(1, len(dataset))]
    assert sorted(taken) == DumpSet(digits_dump).keys


def test_no_balance_takes_all_utterances_alike(pooled):
    """As ever: one pass over all sets, and names of corpora change nothing."""
    named, unnamed = pooled(None), pooled(None, corpora=())
    assert named.keys(1, 39) == unnamed.keys(1, 39)
    assert sorted(number for _, number in named.keys(1, 39)) == list(range(39))
    assert_same(batches(named, 1, batches=2), batches(unnamed, 1, batches=2))


def test_validation_has_the_shares_from_its_beginning(pooled):
    dataset = pooled({"wsj0": 0.75, "audiomnist": 0.25}, dataset=valid_dataset, speed=(0.9, 1.1))
    keys = dataset.keys(0, 39)
    names = [corpus_of(dataset.utterances[number][1]) for _, number in keys]
    # 18 of wsj0 last for 24 items, the others come after
    for count in (4, 8, 24):
        assert abs(names[:count].count("wsj0") - 0.75 * count) <= 1
    assert sorted(keys) == [(0, number) for number in range(39)]
    assert dataset.keys(0, 10) == keys[:10]
    assert_same(batches(dataset, 1, train=False), batches(dataset, 2, train=False, num_workers=1))


def test_speakers_of_corpora_are_classes_of_their_own(pooled):
    dataset = pooled({"wsj0": 0.5, "audiomnist": 0.5})
    assert len(dataset.labels) == 6 + 3
    speakers = {int(dataset[key]["speaker"][0]) for key in dataset.keys(1, 36)}
    assert len(speakers) > 6 and max(speakers) <= 8


def test_errors_are_one_line(pooled, single_dump, mixture_dumps):
    with pytest.raises(
        ContrasepError, match="balance: names the corpus 'timit', of which no set is given; say timit=SET"
    ):
        pooled({"wsj0": 0.5, "audiomnist": 0.4, "timit": 0.1})
    with pytest.raises(
        ContrasepError, match="tr_audiomnist_single: a set of the corpus 'audiomnist'; balance has wsj0"
    ):
        pooled({"wsj0": 1.0})
    with pytest.raises(ContrasepError, match="a set of an unknown corpus"):
        pooled({"wsj0": 1.0}, corpora=("wsj0", None))
    with pytest.raises(ContrasepError, match="speaker 'p0' stands in another corpus too"):
        options = TrainOptions(data="single", balance={"a": 1.0, "b": 1.0})
        train_dataset([single_dump, single_dump], options, MIX, ["a", "b"])
    says = "expected at most 3 talkers in a mixture, the speakers of .*tr_audiomnist_single, got 4"
    with pytest.raises(ContrasepError, match=says):
        pooled({"wsj0": 0.5, "audiomnist": 0.5}, "dynamic", num_spk=(2, 4))
    # validation on mixtures, which no balance concerns
    options = TrainOptions(data="dynamic", balance={"wsj0": 1.0})
    assert len(valid_dataset([mixture_dumps[2]], options, MIX)) == 7


@pytest.mark.parametrize("options, says", [
    ({"balance": {}}, "a share for each corpus"),
    ({"balance": {"../a": 1.0}}, "letters, digits"),
    ({"balance": {"a": 0.0}}, "balance.a: expected a number above 0 and at most 1e6"),
    ({"balance": {"a": float("inf")}}, "balance.a: expected a number above 0 and at most 1e6"),
    ({"balance": {"a": 1.0}, "data": "fixed"}, "expected data 'single' or 'dynamic' with it"),
    ({"balance": {"a": 1.0}, "epochs": 0}, "epochs is 0"),
])
def test_wrong_options(options, says):
    with pytest.raises(ValueError, match=says):
        TrainOptions(**options)


def test_a_training_before_the_option_goes_on(single_dump, tmp_path):
    """Identity and key of a training without a balance are those of a toolkit without that option."""
    from contrasep_lib.config import as_key, as_tree, load_config
    from contrasep_lib.train.task import build_arguments

    (tmp_path / "c.yaml").write_text("features: {win: 64, hop: 32}\n")
    config = load_config(tmp_path / "c.yaml")
    tree = as_tree(config["pretrain"])
    assert (
        tree.pop("balance") is None
        and tree.pop("freeze") == ()
        and tree.pop("budget_clock") == "wall"
        and not any(map(tree.pop("augment").get, ("silence", "noise")))
        and tree.pop("repeats") == 1
        and tree.pop("same_language") == 0
        and not tree.pop("noise")["kinds"]
        and not tree.pop("room")["rt60"]
    )
    assert as_key(config["pretrain"]) == tree
    assert as_key(config["corpus"]) == {}

    def arguments(config, **more):
        sets = {"train_sets": [single_dump], "valid_sets": [single_dump], "out": tmp_path / "out"}
        return build_arguments(config, "pretrain", **sets, **more).identity

    assert "balance" not in arguments(config)["train"]
    stated = {**config, "pretrain": dataclasses.replace(config["pretrain"], balance={"a": 1.0})}
    assert arguments(stated, corpora={str(single_dump): "a"})["train"]["balance"] == {"a": 1.0}
    assert as_key(stated["pretrain"])["balance"] == {"a": 1.0}
