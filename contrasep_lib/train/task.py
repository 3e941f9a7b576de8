"""The ESPnet task of pretraining and finetuning, built from the sections of our configuration."""

from __future__ import annotations

import argparse
import dataclasses
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from contrasep_lib.config import as_key, as_tree, build
from contrasep_lib.config.choices import load_plugins, loaded_plugins
from contrasep_lib.errors import ContrasepError, is_out_of_memory
from contrasep_lib.io.machine import keep_freed_memory
from contrasep_lib.mix.options import MixOptions
from contrasep_lib.models.checkpoint import plain, read_model, save_model
from contrasep_lib.models.options import ModelOptions
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.nodes.spectra import log_spectrum, statistics
from contrasep_lib.train.data import collate, train_dataset, valid_dataset
from contrasep_lib.train.espnet import (
    AbsTask,
    IteratorOptions,
    NestedDictAction,
    optim_classes,
    scheduler_classes,
)
from contrasep_lib.train.espnet_model import EspnetModel
from contrasep_lib.train.iterator import EpochIterator
from contrasep_lib.train.muon import MuonAdam
from contrasep_lib.train.options import AugmentOptions, TrainOptions
from contrasep_lib.train.processes import train_in_processes
from contrasep_lib.train.record import time_spent, without_folders
from contrasep_lib.train.session import log, logged
from contrasep_lib.train.trainer import SafeTrainer

# may change between runs that continue each other: none of them changes what a step computes
FREE = (
    "epochs", "budget_minutes", "budget_clock", "patience", "average", "best", "best_mode", "num_workers",
    "log_interval", "valid_batches", "probe",
)
# items behind the mean and deviation per frequency
STATISTICS_ITEMS = 64


class ContrasepTask(AbsTask):
    """One phase of training; see `build_arguments` for its arguments and `train` for running it."""

    num_optimizers = 1
    trainer = SafeTrainer
    # parts are chosen by our own configuration
    class_choices_list: list[Any] = []

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Ours beside ESPnet's: the sections as they stand."""
        parser.set_defaults(iterator_type="task", num_att_plot=0)
        group = parser.add_argument_group("Task related")
        group.add_argument("--contrasep", action=NestedDictAction, default={}, help="sections and sets")

    @classmethod
    def build_collate_fn(cls, args: argparse.Namespace, train: bool) -> Callable:
        """See `contrasep_lib.train.data.collate`."""
        return collate

    @classmethod
    def build_preprocess_fn(cls, args: argparse.Namespace, train: bool) -> None:
        """None: items come ready from the dataset."""

    @classmethod
    def required_data_names(cls, train: bool = True, inference: bool = False) -> tuple[str, ...]:
        """Entries of a batch that every model reads."""
        return ("mixture",) if inference else ("mixture", "sources", "num_spk", "speaker")

    @classmethod
    def optional_data_names(cls, train: bool = True, inference: bool = False) -> tuple[str, ...]:
        """None."""
        return ()

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> torch.nn.Module:
        """The model, with statistics of its training data or the weights of an earlier phase.

        Raises:
            ContrasepError: data that cannot be used, initial weights of another model, or a model that does not fit
                memory.
        """
        part = Parts(args)
        try:
            init = args.contrasep["init_param"]  # holds statistics of its own
            stats = None if init else training_statistics(part)
            model = EspnetModel(part.model, part.features, stats, args.contrasep["phase"])
        except ValueError as error:
            raise ContrasepError(f"model: {error}") from None
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise ContrasepError("model: out of memory; lower width, layers or other sizes of its parts") from None
        if model.counter is not None and part.train.data == "dynamic":
            model.counter.expect(part.train.num_spk)
        if init:
            _initialise(model, init, part.features)
        return model

    @classmethod
    def build_optimizers(
        cls, args: argparse.Namespace, model: torch.nn.Module
    ) -> list[torch.optim.Optimizer]:
        """As ESPnet does.

        Raises:
            ContrasepError: arguments that optimiser or scheduler do not take, parts to freeze that the
                model does not have, or nothing left to train.
        """
        phase = args.contrasep["phase"]
        parts = [name for name, part in model.named_children() if next(part.parameters(), None) is not None]
        unknown = [name for name in args.freeze_param if name not in parts]
        if unknown:
            raise ContrasepError(f"{phase}.freeze: this model has no '{unknown[0]}'; its parts are {', '.join(parts)}")
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise ContrasepError(f"{phase}.freeze: every part of the model is frozen; leave one out")
        try:
            if args.optim == "muon":
                optimizers = [MuonAdam(model.named_parameters(), **args.optim_conf)]
            else:
                optimizers = super().build_optimizers(args, model)
        except (TypeError, ValueError) as error:
            raise ContrasepError(f"{phase}.optim_conf: {error}") from None
        if args.scheduler:
            try:
                # tried on a stand-in: ESPnet makes the schedulers in the midst of its main function
                trial = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
                scheduler_classes[args.scheduler](trial, **args.scheduler_conf)
            except Exception as error:
                # typeguard's errors are no TypeErrors
                raise ContrasepError(f"{phase}.scheduler_conf: {' '.join(str(error).split())}") from None
        return optimizers

    @classmethod
    def build_task_iter_factory(
        cls, args: argparse.Namespace, iter_options: IteratorOptions, mode: str
    ) -> EpochIterator:
        """Batches of training (``mode`` train) or validation."""
        part, train = Parts(args), mode == "train"
        options, world = part.train, 1
        if iter_options.distributed:
            world = torch.distributed.get_world_size()
        factory = EpochIterator(
            part.dataset(train), options.batch_size,
            options.batches_per_epoch if train else options.valid_batches, train=train,
            accumulate=options.accumulate if train else 1, num_workers=args.num_workers,
            rank=torch.distributed.get_rank() if world > 1 else 0, world=world, pin_memory=args.ngpu > 0,
        )
        for line in factory.in_words(mode):
            log.info("%s", line)
        if train and args.asked > args.processes:
            log.info("%d training processes in place of %d: no more have an item", args.processes, args.asked)
        if train and world > 1 and args.contrasep["model"]["labels"] == "none":
            log.info("labels: none: recordings are remixed and compared within the items of each training process")
        return factory

    @classmethod
    def main_worker(cls, args: argparse.Namespace) -> None:
        """Train in this process, then write ``model.pth`` (of several processes the first)."""
        with logged(Path(args.output_dir), not args.distributed or not args.dist_rank):
            super().main_worker(args)
            session, part = cls.trainer.session, Parts(args)
            if not session.master:
                return
            epochs = session.ranking()[: part.train.average]
            if not epochs:
                raise ContrasepError(f"{args.output_dir}: no epoch was completed; give it more time")
            cores = max(args.processes, torch.get_num_threads())
            ngpu = args.processes if args.ngpu else 0
            spent = time_spent(args.contrasep, session.seconds, ngpu, cores, args.num_nodes)
            training = {**without_folders(args.contrasep), "epochs": epochs, "of": max(session.stats), "spent": spent}
            cls.write_model(session.folder / "model.pth", session.average_of(epochs), part, training)
            value = session.stats[epochs[0]]["valid"][part.train.best]
            log.info(
                "%s: weights of epochs %s of %d, %s %.4g in validation at best",
                session.folder / "model.pth", ", ".join(map(str, sorted(epochs))), max(session.stats),
                part.train.best, value,
            )

    @classmethod
    def write_model(
        cls, path: Path, state: Mapping[str, torch.Tensor], part: Parts, training: Mapping[str, Any]
    ) -> None:
        """Write the product of training; see `contrasep_lib.models.checkpoint.save_model`."""
        save_model(path, state, part.features, part.model, training)


class Parts:
    """The sections behind a task's arguments, as dataclasses again."""

    def __init__(self, args: argparse.Namespace) -> None:
        sections = args.contrasep
        # a training process that was started by another one knows none yet
        load_plugins(sections["plugins"])
        self.features = build(FeatureOptions, sections["features"], "features")
        self.model = build(ModelOptions, sections["model"], "model")
        self.mix = build(MixOptions, sections["mix"], "mix")
        self.train = build(TrainOptions, sections["train"], sections["phase"])
        self.corpora = sections["corpora"]
        self.sets = {True: sections["train_sets"], False: sections["valid_sets"]}

    def dataset(self, train: bool, augment: bool = True) -> Any:
        """Training or validation data."""
        options = self.train if augment else dataclasses.replace(self.train, augment=AugmentOptions())
        folders = self.sets[train]
        corpora = [self.corpora.get(folder) for folder in folders] if self.corpora else ()
        return (train_dataset if train else valid_dataset)(folders, options, self.mix, corpora)


def build_arguments(
    config: Mapping[str, Any],
    phase: str,
    train_sets: Sequence[str | os.PathLike],
    valid_sets: Sequence[str | os.PathLike],
    out: str | os.PathLike,
    init_param: str | os.PathLike | None = None,
    ngpu: int = 0,
    num_workers: int | None = None,
    processes: int = 1,
    corpora: Mapping[str, str] | None = None,
    num_nodes: int = 1,
    rendezvous: str | os.PathLike | None = None,
    dist_backend: str | None = None,
) -> argparse.Namespace:
    """ESPnet's arguments for a phase.

    Args:
        config: sections, as `contrasep_lib.config.load_config` gives them: ``features``,
            ``model``, ``mix`` and the phase's own.
        phase: ``pretrain`` or ``finetune``.
        train_sets, valid_sets: dump directories.
        out: ``exp/<tag>/<phase>``.
        init_param: ``model.pth`` whose weights to begin with.
        ngpu: GPUs in this machine, each with a process; 0 trains on the CPU.
        num_workers: in place of the phase's option.
        processes: without GPUs: training processes in this machine, all together at most one for each item of a
            batch. Recurrent networks of usual width keep one core busy, whatever the threads.
        corpora: dump directory -> corpus, for the phase's ``balance``.
        num_nodes: machines that train together, on each of which training is started with the same arguments.
        rendezvous: where they meet, see `contrasep_lib.train.rendezvous.meeting_point`.
        dist_backend: of torch, by which processes exchange gradients (default: ``nccl`` with GPUs, ``gloo`` without).
    """
    options: TrainOptions = config[phase]
    sections = {name: plain(as_tree(config[name])) for name in ("features", "model", "mix")}
    trained = plain(as_tree(options))
    args = ContrasepTask.get_parser().parse_args([])
    ours = {
        **sections, "train": trained, "phase": phase, "plugins": loaded_plugins(),
        "train_sets": list(map(str, train_sets)), "valid_sets": list(map(str, valid_sets)),
        "init_param": None if init_param is None else str(init_param), "corpora": dict(corpora or {}),
    }
    criterion = ["valid", options.best, options.best_mode]
    plateau = {"mode": options.best_mode} if options.scheduler == "reducelronplateau" else {}
    vars(args).update(
        contrasep=ours, identity=_identity(ours, config), output_dir=str(out), seed=options.seed,
        ngpu=ngpu, num_workers=options.num_workers if num_workers is None else num_workers,
        multiprocessing_distributed=False, unused_parameters=True, resume=True,
        max_epoch=options.epochs, patience=options.patience, best_model_criterion=[criterion],
        early_stopping_criterion=criterion, val_scheduler_criterion=criterion[:2],
        keep_nbest_models=[options.average], optim=options.optim,
        optim_conf={**trained["optim_conf"], "lr": options.learning_rate},
        scheduler=None if options.scheduler == "none" else options.scheduler,
        scheduler_conf=trained["scheduler_conf"] | plateau, grad_clip=options.grad_clip,
        accum_grad=options.accumulate, use_amp=options.precision == "bfloat16" and ngpu > 0,
        bfloat16=options.precision == "bfloat16" and ngpu == 0 and _computes_bfloat16(),
        freeze_param=list(options.freeze), log_interval=options.log_interval, use_matplotlib=False,
        batch_size=options.batch_size,
        segment_seconds=options.segment_seconds, ema_decay=options.ema_decay,
        budget_minutes=options.budget_minutes, budget_clock=options.budget_clock,
        rate=config["mix"].rate, probe=options.probe, asked=ngpu or processes,
        processes=ngpu or min(processes, max(1, options.batch_size // num_nodes)),
        num_nodes=num_nodes, rendezvous=None if rendezvous is None else str(rendezvous),
        dist_backend=dist_backend or ("nccl" if ngpu else "gloo"),
    )
    return args


def _identity(ours: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """What a checkpoint must share to be gone on with, of what a phase is trained by."""
    # sets of the section mix are made in stage 0: they are the data, not how to train on it
    mix = {name: value for name, value in ours["mix"].items() if name not in ("sets", "seed")}
    phase, init = ours["phase"], ours["init_param"]
    identity = {
        "features": ours["features"], "model": plain(as_key(config["model"])), "mix": mix, "phase": phase,
        "train": {name: value for name, value in plain(as_key(config[phase])).items() if name not in FREE},
        **{name: [Path(path).name for path in ours[name]] for name in ("train_sets", "valid_sets")},
    }
    if init is not None and Path(init).is_file():
        identity["init_param"] = f"{zlib.crc32(Path(init).read_bytes()):08x}"
    if ours["corpora"]:
        identity["corpora"] = {Path(folder).name: name for folder, name in ours["corpora"].items()}
    return identity


def train(args: argparse.Namespace, task: type[ContrasepTask] = ContrasepTask) -> Path:
    """Train a phase, or go on with it; see `build_arguments`.

    Args:
        task: what is trained; a subclass of ours for another model than ours.

    Returns:
        the phase's ``model.pth``.

    Raises:
        ContrasepError: whatever is wrong with data, checkpoints, devices or options.
        SystemExit: several processes were ended by a signal.
    """
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if args.ngpu > found:
        raise ContrasepError(f"--ngpu {args.ngpu}: {found} GPUs found here; use --ngpu {found}")
    if args.use_amp and not torch.cuda.is_bf16_supported():
        raise ContrasepError(f"{args.contrasep['phase']}.precision: this GPU has no bfloat16; use float32")
    if args.optim not in (*optim_classes, "muon"):
        raise ContrasepError(f"{args.contrasep['phase']}.optim: ESPnet has no '{args.optim}' here")
    part = Parts(args)
    if part.train.precision == "bfloat16" and not (args.ngpu or args.bfloat16):
        print("train: this processor has no bfloat16; float32 is taken")
    if part.train.epochs == 0:
        raise ContrasepError(f"{args.contrasep['phase']}.epochs: 0 leaves this phase out; expected 1 or more")
    if not args.ngpu:
        keep_freed_memory()
    _check_processes(args, part.train.batch_size)
    # errors of the data before any process is started
    for train in (True, False):
        most = part.dataset(train).most
        part.model.require_count(most, f"mixtures of {', '.join(part.sets[train])}")
    if args.processes * args.num_nodes > 1:
        train_in_processes(args, task)
    else:
        task.main(args=args)
    return Path(args.output_dir) / "model.pth"


def _check_processes(args: argparse.Namespace, batch_size: int) -> None:
    if args.num_nodes > 1 and args.rendezvous is None:
        raise ContrasepError(
            f"--num-nodes {args.num_nodes}: expected --rendezvous too, HOST:PORT or a file that all nodes see, got none"
        )
    total = args.processes * args.num_nodes
    if total > batch_size:
        what = f"{args.num_nodes} nodes of {args.processes} {'GPUs' if args.ngpu else 'processes'}"
        raise ContrasepError(
            f"{args.contrasep['phase']}.batch_size: expected at least {total}, an item for each of {what}, "
            f"got {batch_size}"
        )


def _computes_bfloat16() -> bool:
    """Whether this processor has instructions for bfloat16; without, it takes longer than float32."""
    return any(has for name, has in torch.cpu.get_capabilities().items() if "bf16" in name)


def training_statistics(part: Parts) -> np.ndarray:
    """Kaldi CMVN statistics ``(2, freq + 1)`` of the first items that training will see.

    Those of the dump are of other signals: unmixed, and at other levels. Silences of augmentation are left
    out: the logarithm of nothing would set the deviation.
    """
    dataset = part.dataset(True, augment=False)
    keys = dataset.keys(1, min(STATISTICS_ITEMS, len(dataset)))
    return sum(statistics(log_spectrum(dataset[key]["mixture"], part.features)) for key in keys)


def _initialise(model: torch.nn.Module, path: str, features: FeatureOptions) -> None:
    """Load the weights of an earlier phase; parts that it did not have stay as they are."""
    content = read_model(path)
    if content["features"] != features:
        raise ContrasepError(
            f"{path}: checkpoint of another configuration (win {content['features'].win}, hop "
            f"{content['features'].hop} there; {features.win}, {features.hop} here); train that phase again"
        )
    own = model.state_dict()
    for name, value in content["state"].items():
        if name not in own or own[name].shape != value.shape:
            here = tuple(own[name].shape) if name in own else "none"
            raise ContrasepError(
                f"{path}: checkpoint of another configuration ({name} is {tuple(value.shape)} there, "
                f"{here} here); train that phase again"
            )
    model.load_state_dict(content["state"], strict=False)
    fresh = sorted(set(own) - set(content["state"]))
    log.info("initial weights from %s%s", path, f"; not in it: {', '.join(fresh)}" if fresh else "")
