"""Train a phase: contrastive pretraining, or finetuning on mixtures.

The same command goes on with training that was interrupted. Several GPUs of one machine: --ngpu.
Several cores without a GPU: --processes. Several machines (nodes): start this command once on each,
with --num-nodes and one --rendezvous.
"""

from __future__ import annotations

import argparse

from contrasep_lib.bin.common import add_config, add_ngpu, read_config, within
from contrasep_lib.config.bounds import Jobs, Processes


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
        "--num-workers", type=within(Processes), metavar="N",
        help="processes that prepare data (default: as configured)"
    )
    parser.add_argument(
        "--processes", type=within(Jobs), default=1, metavar="N",
        help="without GPUs: training processes of this node that share each batch (default 1)",
    )
    parser.add_argument(
        "--num-nodes", type=within(Jobs), default=1, metavar="N", help="machines that share each batch (default 1)"
    )
    parser.add_argument(
        "--rendezvous", metavar="FILE|HOST:PORT",
        help="where nodes meet: a file that all of them see, new for each start, or an address of one of them",
    )
    parser.add_argument(
        "--dist-backend", choices=("nccl", "gloo"), help="how processes exchange gradients (default: nccl with GPUs)"
    )


def run(args: argparse.Namespace) -> None:
    """Entry point of ``contrasep train``."""
    import contextlib
    import io
    from pathlib import Path

    from contrasep_lib.errors import ContrasepError
    from contrasep_lib.io.lock import alone_in

    config = read_config(args)

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
    arguments = build_arguments(
        config, args.phase, **sets, out=args.out, init_param=args.init_param, ngpu=args.ngpu,
        num_workers=args.num_workers, processes=args.processes, corpora=corpora, num_nodes=args.num_nodes,
        rendezvous=args.rendezvous, dist_backend=args.dist_backend,
    )
    with alone_in(args.out, together=args.num_nodes > 1):
        model = train(arguments)
    print(f"train: {model}")
