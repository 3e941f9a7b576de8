"""Tiny models with a decoder, and mixtures for them."""

import torch

from contrasep_lib.config import build
from contrasep_lib.models.options import ModelOptions
from contrasep_lib.nodes.options import FeatureOptions
from contrasep_lib.train.espnet_model import EspnetModel

FEATURES = FeatureOptions(64, 16)


def make(**values):
    torch.manual_seed(0)
    name, paths = (
        values.pop("backbone", "dual_path"),
        {key: values.pop(key) for key in ("path", "heads") if key in values},
    )
    decoder = {"name": "attractor", "width": 8, "band": 8, "noise": values.pop("noise", False), **paths}
    backbone = {"name": name, "layers": 1, "width": 8, **({"band": 8, **paths} if name == "dual_path" else {})}
    tree = {
        "backbone": backbone, "embedding_dim": 6, "decoder": decoder,
        "objectives": {"deep_clustering": 1.0, "si_snr": 0.1}, **values,
    }
    return EspnetModel(build(ModelOptions, tree, "model"), FEATURES)


def trained(**values):
    """A model whose decoder has something to say."""
    model = make(**values).eval()
    torch.nn.init.normal_(model.decoder.output.weight, std=0.3)
    return model


def unit(*shape, seed=0):
    return torch.nn.functional.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def noises(batch, most, samples, seed=0):
    sources = 0.1 * torch.randn(batch, most, samples, generator=torch.Generator().manual_seed(seed))
    # talkers take turns, so that each dominates somewhere
    gate = (torch.arange(samples) // 100 % most == torch.arange(most).unsqueeze(1)).float()
    sources = sources * (0.1 + gate)
    return sources.sum(1), sources


def outputs_of(model, mixture, centroids, lengths=None):
    with torch.no_grad():
        _, seen = model.analyse(mixture, lengths)
        return model.decode(seen, centroids, mixture.shape[1])
