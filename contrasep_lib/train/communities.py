"""Stage 4, after the embedding: the modularity network over mixtures, and the null of the count."""

from __future__ import annotations

import typing
from typing import Iterable, Iterator, Sequence

import numpy as np
import torch

from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.dumpset import DumpSet
from contrasep_lib.mix.options import MixOptions
from contrasep_lib.counting.calibration import fit_odds
from contrasep_lib.counting.null import Null
from contrasep_lib.counting.recursive import fit_null
from contrasep_lib.modularity.objective import modularity_loss
from contrasep_lib.modularity.solvers.network import ModularityNetwork
from contrasep_lib.nodes.nodeset import NodeSet
from contrasep_lib.separate.learned import Communities, build_graph
from contrasep_lib.separate.options import ModularityOptions
from contrasep_lib.train.data import DynamicMixtures
from contrasep_lib.train.options import TrainOptions

if typing.TYPE_CHECKING:
    from contrasep_lib.models.espnet_model import ContrastiveModel


def drawn_keys(dump: DumpSet, count: int, seed: int) -> list[str]:
    """At most ``count`` utterances of a set, drawn by the seed and sorted."""
    keys = dump.keys
    chosen = np.random.default_rng(seed).permutation(len(keys))[:count]
    return [keys[index] for index in sorted(chosen)]


def embedded(model: "ContrastiveModel", dump: DumpSet, keys: Iterable[str]) -> Iterable[NodeSet]:
    """Node sets of utterances, those with nothing but silence left out."""
    device = next(model.parameters()).device
    for key in keys:
        with torch.no_grad():
            nodes = model.embed(torch.from_numpy(dump.mixture(key))[None].to(device))
        if nodes.valid.any():
            yield nodes


def draw_nodes(nodes: NodeSet, count: int, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """``count`` valid nodes of one utterance, drawn with replacement: embeddings and weights."""
    valid = nodes.valid[0].nonzero().squeeze(1)
    chosen = valid[torch.from_numpy(rng.integers(len(valid), size=count)).to(valid.device)]
    return nodes.z[0, chosen], nodes.weight[0, chosen]


def train_network(pool: Sequence[tuple[torch.Tensor, torch.Tensor]], options: ModularityOptions) -> ModularityNetwork:
    """Train the modularity network over a pool of mixtures.

    Args:
        pool: of each mixture, embeddings ``(train_nodes, dim)`` and weights ``(train_nodes,)``.
        options: section ``modularity``.

    Raises:
        ContrasepError: an empty pool, or a loss that is not finite.
    """
    if not pool:
        raise ContrasepError("no training mixture holds anything but silence; look at the dump of stage 2")
    graph, rng = build_graph(options), np.random.default_rng(options.seed)
    z = torch.stack([z for z, _ in pool]).float()
    weight = torch.stack([weight for _, weight in pool]).float()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        network = ModularityNetwork(z.shape[-1], options.k_max, options.hidden).to(z.device)
    optimiser = torch.optim.Adam(network.parameters(), options.learning_rate)
    for step in range(options.train_steps):
        some = torch.from_numpy(rng.integers(len(z), size=options.train_mixtures)).to(z.device)
        nodes = NodeSet.from_embeddings(z[some], weight[some])
        loss = modularity_loss(nodes, network(nodes.z), graph, options.collapse_weight).mean()
        if not torch.isfinite(loss):
            raise ContrasepError(f"modularity network: loss {loss.item()} at step {step + 1}; lower modularity.learning_rate")
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if (step + 1) % 50 == 0 or step + 1 == options.train_steps:
            print(f"modularity network: step {step + 1} of {options.train_steps}, loss {loss.item():.4f}", flush=True)
    return network


def train_communities(
    model: "ContrastiveModel",
    mixtures: Sequence[DumpSet],
    singles: DumpSet | None,
    options: ModularityOptions,
    mix: MixOptions,
    most: int,
) -> Communities:
    """What stage 5 needs beside the model.

    Args:
        model: trained, in evaluation mode.
        mixtures: training sets of mixtures, used evenly.
        singles: single speakers for the null of the count; None takes the round null.
        options: section ``modularity``.
        mix: section ``mix``.
        most: talkers in a mixture that the model has learned from, at most.
    """
    network = None
    if options.solver == "network":
        rng = np.random.default_rng(options.seed)
        share = -(-options.train_pool // len(mixtures))
        pool = [
            draw_nodes(nodes, options.train_nodes, rng)
            for dump in mixtures
            for nodes in embedded(model, dump, drawn_keys(dump, share, options.seed))
        ]
        network = train_network(pool, options).cpu()
    return Communities(network, count_null(model, singles, options, mix, most))


def count_null(
    model: "ContrastiveModel", singles: DumpSet | None, options: ModularityOptions, mix: MixOptions, most: int
) -> Null:
    """The null of the count, fitted on single speakers or on mixtures of them; the round one without any.

    Raises:
        ContrasepError: no utterance holds anything but silence.
    """
    if singles is None or options.null_utterances == 0:
        return Null(threshold=options.null_threshold or 7.5)
    if options.by_odds:
        known = list(known_mixtures(model, singles, options, mix, most))
        if not known:
            raise ContrasepError(f"{singles.folder}: nothing but silence; look at the dump of stage 2")
        try:
            null = fit_odds(known, options.least_score, options.seed)
        except ValueError as error:
            raise ContrasepError(
                f"{singles.folder}: the odds of the count want two speakers at least ({error}); set modularity.null: round"
            ) from None
        print(f"null of the count: odds, fitted on {null.talkers} mixtures of up to {null.known} talkers")
        return null
    talkers = list(embedded(model, singles, drawn_keys(singles, options.null_utterances, options.seed)))
    if not talkers:
        raise ContrasepError(f"{singles.folder}: nothing but silence; look at the dump of stage 2")
    null = fit_null(talkers, options.least_score, options.seed)
    print(f"null of the count: round, raised by {null.talkers} utterances, factor {null.factor:.2f}, spread {null.spread:.2f}")
    return null


def known_mixtures(
    model: "ContrastiveModel", singles: DumpSet, options: ModularityOptions, mix: MixOptions, most: int
) -> Iterator[tuple[NodeSet, torch.Tensor]]:
    """Embedded mixtures of 1 to ``most`` talkers, and who dominates each node.

    At most ``k_max`` talkers, and as many as there are speakers. More than the model has learned to part would
    teach that every community holds several.
    """
    device = next(model.parameters()).device
    most = min(most, options.k_max, len(set(singles.utt2spk.values())))
    for num_spk in range(1, most + 1):
        drawn = TrainOptions(num_spk=(num_spk,), segment_seconds=options.null_seconds, seed=options.seed)
        dataset = DynamicMixtures([singles], drawn, mix)
        for key in dataset.keys(num_spk, options.null_utterances):
            item = dataset[key]
            with torch.no_grad():
                talkers = model.granularity.targets(torch.from_numpy(item["sources"])[None].to(device))
                nodes = model.embed(torch.from_numpy(item["mixture"])[None].to(device))
            if nodes.valid.any():
                yield nodes, talkers
