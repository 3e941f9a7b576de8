"""Training of peers: the task, trainer, mixtures and checkpoints of our own models, another network."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from contrasep_lib.config import as_tree
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.atomic import write_text
from contrasep_lib.models.checkpoint import plain, read_states, write_states
from contrasep_lib.models.options import ModelOptions
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.train.probe import Probe
from contrasep_lib.train.task import ContrasepTask, Parts, build_arguments, train, training_statistics
from contrasep_lib.train.trainer import SafeTrainer
from peers.options import SYSTEMS, PeerOptions
from peers.systems import Peer, build_peer, parameters

FORMAT = "contrasep peer"
CURVE = "curve.json"


class PeerProbe(Probe):
    """Separates a few mixtures of validation as the peer does at test time; peers have no picture in common."""

    def outputs(self, model: Peer, item: dict[str, Any]) -> np.ndarray | None:
        """The talkers of a mixture, ``(num_spk, samples)``; None where there is nothing but silence."""
        if not item["mixture"].any():
            return None
        signal = torch.from_numpy(item["mixture"])[None].to(next(model.parameters()).device)
        return model.separate(signal)[0].cpu().numpy()

    def draw(self, model: Peer, path: Path, title: str) -> None:
        """Draw nothing."""


class PeerTrainer(SafeTrainer):
    """Our trainer; writes ``curve.json`` beside the checkpoints."""

    probe_type: ClassVar[type[Probe]] = PeerProbe

    @classmethod
    def train_one_epoch(cls, *arguments: Any, **named: Any) -> bool:
        """As ours; the curve holds the epochs before."""
        cls._write_curve()
        return super().train_one_epoch(*arguments, **named)

    @classmethod
    def run(cls, *arguments: Any, **named: Any) -> None:
        """As ours; the curve holds all epochs in the end."""
        super().run(*arguments, **named)
        cls._write_curve()

    @classmethod
    def _write_curve(cls) -> None:
        session = cls.session
        if session.master and session.stats:
            write_text(session.folder / CURVE, json.dumps(curve(session.stats), indent=1) + "\n")


def curve(stats: Mapping[int, Mapping[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Points of the learning curve, one per epoch.

    Args:
        stats: epoch -> part -> name -> value, as ESPnet's reporter keeps them.

    Returns:
        ``epoch``, ``minutes`` (training and validation so far; what a kill undid is not counted), ``steps``,
        ``loss`` and ``valid_loss``, and ``valid_si_snri`` (dB), where the probe has mixtures.
    """
    points, seconds = [], 0.0
    for epoch, parts in sorted(stats.items()):
        seconds += sum(parts[part]["time"].total_seconds() for part in ("train", "valid"))
        point = {
            "epoch": epoch, "minutes": round(seconds / 60, 2), "steps": int(parts["train"]["total_count"]),
            "loss": round(float(parts["train"]["loss"]), 4), "valid_loss": round(float(parts["valid"]["loss"]), 4),
        }
        if "si_snri" in parts["valid"]:
            point["valid_si_snri"] = round(float(parts["valid"]["si_snri"]), 3)
        points.append(point)
    return points


class PeerTask(ContrasepTask):
    """A peer in place of our model; see `arguments_of`."""

    trainer = PeerTrainer

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> Peer:
        """The peer, with statistics of its training data where it sees spectra."""
        options = PeerOptions(**args.contrasep["peer"])
        stats = None
        if "features" in options.arguments:
            stats = training_statistics(Parts(args))
        return build_peer(options, stats)

    @classmethod
    def write_model(
        cls, path: Path, state: Mapping[str, torch.Tensor], part: Parts, training: Mapping[str, Any]
    ) -> None:
        """Write the peer, with what results say of its training."""
        training = {name: value for name, value in training.items() if name != "model"}
        write_states(path, {
            "format": FORMAT, "peer": plain(training["peer"]), "training": plain(training), "state": dict(state),
        })


def arguments_of(
    options: PeerOptions,
    config: Mapping[str, Any],
    train_sets: Sequence[str | os.PathLike],
    valid_sets: Sequence[str | os.PathLike],
    out: str | os.PathLike,
    ngpu: int = 0,
    processes: int = 1,
) -> argparse.Namespace:
    """Arguments of `train_peer`.

    Args:
        options: the peer.
        config: the loaded configuration; ``mix`` and ``finetune`` say what it hears and how it learns.
        train_sets, valid_sets: dump directories.
        out: folder for checkpoints, log, curve and ``model.pth``.
        ngpu: 0 or 1.
        processes: without a GPU: processes that share each batch.

    Raises:
        ContrasepError: the configuration has other numbers of talkers than the peer.
    """
    if set(config["finetune"].num_spk) != {options.num_spk}:
        raise ContrasepError(
            f"finetune.num_spk: a peer of {options.num_spk} talkers learns from mixtures of {options.num_spk}, "
            f"got {list(config['finetune'].num_spk)}"
        )
    # statistics of its spectra are taken with its own framing
    features = FeatureOptions(**options.arguments.get("features", {}))
    sections = {**config, "features": features, "model": ModelOptions()}
    args = build_arguments(sections, "finetune", train_sets, valid_sets, out, ngpu=ngpu, processes=processes)
    args.contrasep["peer"] = args.identity["peer"] = plain(dataclasses.asdict(options))
    # a peer is none of our models, and its arguments hold its framing
    del args.identity["model"], args.identity["features"]
    return args


def train_peer(args: argparse.Namespace) -> Path:
    """Train a peer, or go on with it; returns its ``model.pth``."""
    return train(args, PeerTask)


def load_peer(path: str | os.PathLike, device: str = "cpu") -> tuple[Peer, dict[str, Any]]:
    """A trained peer in evaluation mode, and what results say of it (`contrasep_lib.report.results.read_system`).

    Raises:
        ContrasepError: missing, damaged or foreign file.
    """
    content = read_states(path, device)
    if content.get("format") != FORMAT or "spent" not in content["training"]:
        raise ContrasepError(
            f"{path}: not a peer of this version; name a model.pth that 'run.py train' wrote, or train again"
        )
    options = PeerOptions(**content["peer"])
    model = build_peer(options)
    try:
        model.load_state_dict(content["state"])
    except RuntimeError as error:
        raise ContrasepError(
            f"{path}: a peer of another version ({' '.join(str(error).split())}); train again"
        ) from None
    description, training = SYSTEMS[options.system], content["training"]
    # a peer begins with nothing, so its own training is all there is
    (spent,) = training["spent"]
    said = {
        "separator": f"{description.title}, {options.size}", "granularity": description.granularity,
        "supervision": description.supervision, "parameters": parameters(model), "minutes": spent["minutes"],
        "device": spent["device"],
        "options": {"peer": as_tree(options), **{name: training[name] for name in ("train", "mix")}},
    }
    return model.to(device).eval(), said
