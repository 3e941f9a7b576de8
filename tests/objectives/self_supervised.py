"""What tests of objectives without labels share: small models and steps of single speakers."""

import torch

from contrasep_lib.config import build
from contrasep_lib.models.options import ModelOptions
from contrasep_lib.models.separation import SeparationModel
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.objectives.ranks import Share
from contrasep_lib.train.step import labelled_step

FEATURES = FeatureOptions(64, 16)


def model(granularity="frame", backbone=None, **values):
    torch.manual_seed(0)
    backbone = backbone or {"name": "blstm", "layers": 1, "width": 8}
    tree = {"granularity": granularity, "backbone": backbone, "embedding_dim": 6, **values}
    return SeparationModel(build(ModelOptions, tree, "model"), FEATURES)


def signals(lengths, seed=0):
    """Noise that changes its loudness, zero behind its end."""
    lengths = torch.tensor(lengths)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(len(lengths), int(lengths.max()), generator=generator)
    noise = noise * (0.2 + torch.rand(len(lengths), 1, generator=generator))
    return torch.where(torch.arange(noise.shape[1]) < lengths.unsqueeze(1), noise, 0.0), lengths


def step(net, lengths, seed=0, zeros=False):
    """A step of pretraining on single speakers of ``lengths`` samples."""
    signal, lengths = signals(lengths, seed)
    signal = 0 * signal if zeros else signal
    share = Share.of(len(signal), signal.shape[1], 1, seed, signal.device)
    return labelled_step(net, signal, lengths, signal.unsqueeze(1), None, torch.arange(len(signal))[:, None], share)
