"""Separation of a dumped set by a peer, written as stage 5 writes it, and real-time factors."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from contrasep_lib.config import as_tree
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import write_text
from contrasep_lib.io.done import stage_key
from contrasep_lib.io.dumpset import DumpSet, speaker_tables
from contrasep_lib.io.machine import device_words, work_clock
from contrasep_lib.io.parallel import progress
from contrasep_lib.nodes.granularity import TimeFrequency
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.nodes.stft import stft
from contrasep_lib.separate.separation import Separation
from contrasep_lib.separate.writer import Writer, merge_parts
from peers.systems import Peer
from peers.training import load_peer

SYSTEM = "system.json"


def separate_mixture(model: Peer, key: str, mixture: np.ndarray, features: FeatureOptions) -> Separation:
    """Separate one mixture.

    Args:
        model: in evaluation mode.
        key: utterance id, for the words of an error.
        mixture: ``(samples,)`` float32.
        features: of the assignment, which tells the loudest output of each time-frequency unit.

    Raises:
        ContrasepError: a mixture of silence.
    """
    if not mixture.any():
        raise ContrasepError(f"'{key}': nothing but silence; there is no speaker to separate")
    device = next(model.parameters()).device
    signal = torch.from_numpy(np.ascontiguousarray(mixture, np.float32))[None].to(device)
    outputs = model.separate(signal)[0].cpu()
    granularity = TimeFrequency(features)
    valid = granularity.nodes(signal.cpu()).valid[0]
    loudest = stft(outputs, features).abs().flatten(1).argmax(0)
    assignment = torch.nn.functional.one_hot(loudest, len(outputs)) * valid.unsqueeze(1)
    return Separation(
        outputs=outputs.numpy().astype(np.float32), assignment=assignment.numpy().astype(np.float32),
        shape=granularity.shape(len(loudest) // (features.win // 2 + 1)), num_spk_given=True,
    )


def separate_set(
    peer: str | os.PathLike, dump: DumpSet, exp: str | os.PathLike, config: dict[str, Any], device: str = "cpu"
) -> Path:
    """Separate a dumped set into ``exp/separate_<set>``; goes on where an earlier run was killed.

    Args:
        peer: ``model.pth``.
        dump: mixtures of as many talkers as the peer has outputs.
        exp: ``exp/<tag>``; ``system.json`` there says what separated.
        config: ``features`` and ``separate`` as for the scores.
        device: where it computes.

    Raises:
        ContrasepError: mixtures of another number of talkers: a peer does not count, and outputs that are
            made up or left out would be no word of its own.
    """
    model, said = load_peer(peer, device)
    if model.options.num_spk != dump.num_spk:
        raise ContrasepError(
            f"{peer}: gives {model.options.num_spk} outputs, the mixtures of {dump.folder} have {dump.num_spk} talkers; a "
            f"peer does not count: train one with --num-spk {dump.num_spk}, or name a set of {model.options.num_spk}"
        )
    if not dump.spk:
        raise ContrasepError(f"{dump.folder}: a set of single speakers; name a set of mixtures")
    # the rate is that of the training data
    dump.require_rate(said["options"]["mix"]["rate"])
    out, features = Path(exp) / f"separate_{dump.name}", config["features"]
    inputs = [peer, dump.folder / "wav.scp", *speaker_tables(dump.folder)]
    identity = stage_key({"features": as_tree(features)}, inputs, {})
    ngpu = int(device != "cpu")
    clock, where = work_clock(ngpu), device_words(ngpu, torch.get_num_threads())
    with Writer(out, 1, dump.rate, identity, where) as writer, progress(dump.keys, "separating") as keys:
        for key in keys:
            if not writer.has(key):
                begun = clock()
                separation = separate_mixture(model, key, dump.mixture(key), features)
                writer.write(key, separation, clock() - begun)
    merge_parts(out, 1)
    write_text(Path(exp) / SYSTEM, json.dumps(said, indent=2, sort_keys=True) + "\n")
    return out


def peer_separator(peer: str | os.PathLike) -> tuple[str, Callable[[str, np.ndarray], Any]]:
    """Name, and separation of a mixture by a peer."""
    model, said = load_peer(peer)
    return said["separator"], lambda key, mixture: model.separate(torch.from_numpy(mixture)[None])


def real_time_factors(
    separators: dict[str, Callable[[str, np.ndarray], Any]], dump: DumpSet, keys: Sequence[str], repeats: int
) -> dict[str, float]:
    """Seconds of processor time for a second of audio, by separator; one thread.

    Each utterance is separated by all separators in turn, and the median over the repetitions counts;
    the first pass over the first utterance is not timed.

    Args:
        separators: name -> separation of ``(key, mixture)``.
        dump: the set.
        keys: its utterances.
        repeats: of each utterance.
    """
    torch.set_num_threads(1)
    audio = {key: dump.mixture(key) for key in keys}
    spent = dict.fromkeys(separators, 0.0)
    for separate in separators.values():
        separate(keys[0], audio[keys[0]])
    with progress(keys, "timing") as shown:
        for key in shown:
            times: dict[str, list[float]] = {name: [] for name in separators}
            for _ in range(repeats):
                for name, separate in separators.items():
                    begun = time.process_time()
                    separate(key, audio[key])
                    times[name].append(time.process_time() - begun)
            for name in separators:
                spent[name] += statistics.median(times[name])
    seconds = sum(map(len, audio.values())) / dump.rate
    return {name: value / seconds for name, value in spent.items()}
