"""A model whose embeddings are known, and separators made of it."""

import dataclasses
import types

import numpy as np
import torch

from contrasep_lib.config import build
from contrasep_lib.modularity.options import ModularityOptions
from contrasep_lib.modularity.solvers.network import ModularityNetwork
from contrasep_lib.nodes.granularity import TimeFrequency
from contrasep_lib.nodes.nodeset import NodeSet
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.separate.clustering_state import ClusteringState
from contrasep_lib.separate.model_separator import ModelSeparator
from contrasep_lib.separate.options import SeparateOptions

FEATURES = FeatureOptions(128, 32)
NETWORK = {"name": "network", "train_steps": 60, "train_nodes": 256, "hidden": [16]}
COUNTING = {"name": "recursive_split", "null_model": "isotropic", "utterances": 3}


def modularity_options(**values):
    return build(ModularityOptions, {"solver": NETWORK, "counting": COUNTING, **values}, "modularity")


class Planted(torch.nn.Module):
    """Embeds each unit near the direction of the talker that dominates it."""

    def __init__(self, spread=0.15, dim=8):
        super().__init__()
        self.features, self.granularity = FEATURES, TimeFrequency(FEATURES)
        self.decoder, self.has_noise = None, False
        generator = torch.Generator().manual_seed(1)
        self.directions = torch.nn.Parameter(torch.linalg.qr(torch.randn(dim, dim, generator=generator))[0])
        self.spread, self.sources, self.counter = spread, None, None

    def embed(self, mixture):
        return self.analyse(mixture)[0]

    def analyse(self, mixture, hidden=None):
        nodes = self.granularity.nodes(mixture)
        # zeros in front are those of another framing
        behind = mixture.shape[-1] - self.sources.shape[-1]
        labels = self.granularity.targets(torch.nn.functional.pad(self.sources, (behind, 0))[None])
        noise = torch.randn(*labels.shape, len(self.directions), generator=torch.Generator().manual_seed(2))
        z = torch.nn.functional.normalize(self.directions[labels] + self.spread * noise, dim=-1)
        nodeset = NodeSet(z, nodes.power.sqrt(), nodes.valid, nodes.shape)
        return nodeset, types.SimpleNamespace(spectrum=nodes.spectrum, hidden=None, frames=None)


def talkers(count, seed=0):
    rng = np.random.default_rng(seed)
    sources = rng.standard_normal((count, 4000)).astype(np.float32) * 0.1
    return sources.sum(axis=0), sources


def separator_of(solver, counter=None, **options):
    """A separator whose solver, where it learns, has learned nothing yet."""
    modularity, model = modularity_options(solver=solver, **options), Planted()
    model.counter = counter
    clustering = ClusteringState.from_options(modularity, counter)
    if solver == "network":
        trained = dataclasses.replace(clustering.solver, network=ModularityNetwork(8, modularity.k_max, (16,)))
        clustering = dataclasses.replace(clustering, solver=trained)
    return ModelSeparator(model, clustering, modularity, SeparateOptions("model"))
