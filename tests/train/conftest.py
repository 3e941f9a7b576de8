"""Fixtures: small dumped sets, and a training that nothing disturbs."""

import itertools

import kaldiio
import numpy as np
import pytest
import torch
import yaml

from contrasep_lib.config import load_config
from contrasep_lib.io.audio import to_int16
from contrasep_lib.io.scp import write_table
from tests.train.running import TREE

RATE = 8000


def write_dump(folder, tracks, utt2spk, rate=RATE):
    """``tracks``: name of the scp -> utterance -> samples."""
    folder.mkdir(parents=True)
    for name, audio in tracks.items():
        scp = folder / f"{name}.scp"
        entries = {key: (rate, to_int16(x)) for key, x in sorted(audio.items())}
        kaldiio.save_ark(str(folder / f"{name}.ark"), entries, scp=str(scp))
    write_table(folder / "utt2spk", utt2spk)
    return folder


def speechlike(rng, samples, pitch):
    """Bursts of a harmonic tone with pauses, ``(samples,)``."""
    time = np.arange(samples) / RATE
    tone = sum(np.sin(2 * np.pi * pitch * k * time + rng.uniform(0, 6)) / k for k in range(1, 6))
    gate = np.repeat(rng.random(samples // 800 + 1) > 0.3, 800)[:samples]
    gate[: samples // 4] = True
    return 0.1 * gate * (tone + 0.05 * rng.standard_normal(samples))


@pytest.fixture(scope="session")
def single_dump(tmp_path_factory):
    """Six speakers of three utterances of 0.3 to 1.5 s, of very different levels."""
    rng = np.random.default_rng(1)
    audio, utt2spk = {}, {}
    for number in range(6):
        for take in range(3):
            key = f"p{number}-{take}"
            audio[key] = speechlike(rng, 2400 + 4800 * take, 90 + 25 * number) * 10 ** rng.uniform(-0.8, 0.3)
            utt2spk[key] = f"p{number}"
    return write_dump(tmp_path_factory.mktemp("dump") / "tr_single", {"wav": audio}, utt2spk)


@pytest.fixture(scope="session")
def mixture_dumps(tmp_path_factory):
    """Seven mixtures of two talkers and four of three, 0.2 to 1.2 s: folders by number of talkers."""
    rng, folders = np.random.default_rng(2), {}
    for num_spk, count in ((2, 7), (3, 4)):
        tracks = {name: {} for name in ("wav", *(f"spk{n}" for n in range(1, num_spk + 1)))}
        utt2spk = {}
        for number in range(count):
            samples = 1600 + number * 1300
            talkers = [f"p{(number + n) % 6}" for n in range(num_spk)]
            sources = [0.5 * speechlike(rng, samples, 90 + 40 * n) for n in range(num_spk)]
            key = "_".join((*talkers, f"m{number}"))
            utt2spk[key] = "_".join(talkers)
            tracks["wav"][key] = sum(sources)
            for n, source in enumerate(sources, 1):
                tracks[f"spk{n}"][key] = source
        folders[num_spk] = write_dump(tmp_path_factory.mktemp("dump") / f"tr_{num_spk}mix", tracks, utt2spk)
    return folders


@pytest.fixture(scope="session")
def digits_dump(tmp_path_factory):
    """A second corpus: three speakers of seven utterances."""
    rng, audio, utt2spk = np.random.default_rng(5), {}, {}
    for number, take in itertools.product(range(3), range(7)):
        key = f"audiomnist{number:02d}-{take}"
        audio[key], utt2spk[key] = speechlike(rng, 3000 + 300 * take, 100 + 40 * number), f"audiomnist{number:02d}"
    return write_dump(tmp_path_factory.mktemp("dump") / "tr_audiomnist_single", {"wav": audio}, utt2spk)


@pytest.fixture(scope="module")
def task():
    from contrasep_lib.train import task

    threads = torch.get_num_threads()
    # forked children must not find threads that they do not have
    torch.set_num_threads(1)
    yield task
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def phase(task, tmp_path_factory, single_dump):
    """Arguments of a phase in a folder, with some options replaced: ``phase('a', epochs=2)``."""
    folder = tmp_path_factory.mktemp("exp")

    def make(name, model=(), init=None, ngpu=0, processes=1, nodes=1, rendezvous=None, **options):
        model, backbone = dict(model), TREE["model"]["backbone"]
        backbone = {**backbone, **{key: model.pop(key) for key in ("name", "width", "dropout", "band") if key in model}}
        model = {**TREE["model"], "backbone": backbone, **model}
        tree = {**TREE, "model": model, "finetune": {**TREE["finetune"], **options}}
        path = folder / "config.yaml"
        path.write_text(yaml.safe_dump(tree))
        sets = [single_dump]
        return task.build_arguments(
            load_config(path), "finetune", sets, sets, folder / name, init, ngpu, processes=processes,
            num_nodes=nodes, rendezvous=rendezvous,
        )

    return make


@pytest.fixture(scope="module")
def undisturbed(task, phase):
    """Folder of a whole run of `TREE`."""
    return task.train(phase("whole", probe=2)).parent


@pytest.fixture
def two_corpora(tmp_path, single_dump, mixture_dumps):
    """A folder with ``data/dump`` of two corpora."""
    # the same voices under other names
    renamed = tmp_path / "renamed"
    renamed.mkdir()
    for table in ("wav.scp", "utt2spk"):
        lines = (single_dump / table).read_text().splitlines()
        prefix = "" if table == "wav.scp" else "v"
        (renamed / table).write_text("".join(f"v{key} {prefix}{value}\n" for key, value in map(str.split, lines)))
    for corpus, single in (("librispeech", single_dump), ("commonvoice", renamed)):
        (tmp_path / "data/dump" / corpus).mkdir(parents=True)
        sets = {"tr_single": single, "cv_single": single, "dev_1mix": single}
        sets |= {f"dev_{number}mix": mixtures for number, mixtures in mixture_dumps.items()}
        for name, target in sets.items():
            (tmp_path / "data/dump" / corpus / name).symlink_to(target)
    return tmp_path
