"""Train a phase: contrastive pretraining, or finetuning on mixtures.

The same command goes on with training that was interrupted. Several GPUs of one machine: --ngpu.
Several cores without a GPU: --processes. Several machines: start one command each with the --dist
options, which are ESPnet's.
"""

from __future__ import annotations

import argparse

from contrasep_lib.bin.common import add_config, add_ngpu, positive, read_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``contrasep train``."""
    add_config(parser)
    parser.add_argument(
        "--phase", required=True, choices=("pretrain", "finetune"), help="section with the options of training"
    )
    parser.add_argument("--dump", required=True, metavar="DIR", help="folder of the dumped sets")
    parser.add_argument(
        "--train-sets", required=True, metavar="A,B", help="sets to train on; CORPUS=A names its corpus"
    )
    parser.add_argument("--valid-sets", required=True, metavar="C,D", help="sets for validation")
    parser.add_argument("--out", required=True, metavar="DIR", help="where checkpoints, log and model.pth go")
    parser.add_argument("--init-param", metavar="FILE", help="model.pth whose weights to begin with")
    add_ngpu(parser)
    parser.add_argument(
        "--num-workers", type=int, metavar="N", help="processes that prepare data (default: as configured)"
    )
    parser.add_argument(
        "--processes", type=positive, default=1, metavar="N",
        help="without GPUs: training processes that share each batch (default 1)",
    )
    parser.add_argument("--dist-backend", default="nccl", metavar="NAME", help="nccl, or gloo without GPUs")
    parser.add_argument("--dist-init-method", default="env://", metavar="URL", help="where processes meet")
    parser.add_argument(
        "--dist-world-size", type=positive, metavar="N", help="processes; with --ngpu 2 or more, machines"
    )
    parser.add_argument("--dist-rank", type=int, metavar="R", help="number of this process, from 0")


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep train``."""
    import contextlib
    import io
    from pathlib import Path

    from contrasep_lib.errors import ContrasepError

    config = read_config(args)
    for name in ("ngpu", "num_workers"):
        if getattr(args, name) is not None and getattr(args, name) < 0:
            raise ContrasepError(f"--{name.replace('_', '-')}: expected 0 or more, got {getattr(args, name)}")

    # ESPnet prints which optional packages it lacks
    with contextlib.redirect_stdout(io.StringIO()):
        from contrasep_lib.train.task import build_arguments, train

    sets: dict[str, list[Path]] = {}
    corpora: dict[str, str] = {}
    for name in ("train_sets", "valid_sets"):
        sets[name] = []
        for word in filter(None, getattr(args, name).split(",")):
            corpus, _, set_name = word.rpartition("=")
            sets[name].append(Path(args.dump) / set_name)
            if corpus:
                corpora[str(sets[name][-1])] = corpus
        if not sets[name]:
            raise ContrasepError(f"--{name.replace('_', '-')}: expected at least one set, got none")
    names = ("dist_backend", "dist_init_method", "dist_world_size", "dist_rank")
    distributed = {name: getattr(args, name) for name in names}
    model = train(build_arguments(
        config, args.phase, **sets, out=args.out, init_param=args.init_param, ngpu=args.ngpu,
        num_workers=args.num_workers, distributed=distributed, processes=args.processes, corpora=corpora,
    ))
    print(f"train: {model}")
