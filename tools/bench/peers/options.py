"""What peers there are, and their sizes (no torch: the command line reads this)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

SIZES = ("small", "published")


@dataclasses.dataclass(frozen=True)
class Description:
    """What a peer is.

    Attributes:
        title: its name in results.
        supervision: what it learns from, in the words of results.
        granularity: what it embeds; None where it embeds nothing.
        sizes: size -> arguments of the classes: ``features`` (win, hop) or ``encoder`` of the transform, ``separator``
            of ESPnet's separator.
    """

    title: str
    supervision: str
    granularity: str | None
    sizes: Mapping[str, Mapping[str, Any]]


# ``published``: the recipes egs2/wsj0_2mix/enh1 of ESPnet, conf/tuning/train_enh_{dpcl,dan_tf,conv_tasnet,
# tfgridnetv2_tf_lr-patience3_patience5}.yaml. ``small``: 0.6 to 0.8 million parameters.
SYSTEMS: dict[str, Description] = {
    "dpcl": Description(
        "deep clustering (ESPnet)", "sources in training (which unit is dominated by whom)", "tf", {
            "small": {"features": {"win": 256, "hop": 128}, "separator": {"layer": 2, "unit": 96, "emb_D": 20}},
            "published": {
                "features": {"win": 256, "hop": 128},
                "separator": {"layer": 2, "unit": 500, "emb_D": 40, "nonlinear": "relu", "dropout": 0.1},
            },
        },
    ),
    "dan": Description(
        "deep attractor network (ESPnet)",
        "sources in training (the sources themselves, and which unit is dominated by whom)", "tf", {
            "small": {"features": {"win": 256, "hop": 128}, "separator": {"layer": 2, "unit": 96, "emb_D": 20}},
            "published": {
                "features": {"win": 256, "hop": 64},
                "separator": {"layer": 4, "unit": 600, "emb_D": 20, "dropout": 0.1},
            },
        },
    ),
    "tcn": Description(
        "Conv-TasNet (ESPnet)", "sources in training (the sources themselves)", None, {
            "small": {
                "encoder": {"channel": 256, "kernel_size": 20, "stride": 10},
                "separator": {"layer": 8, "stack": 2, "bottleneck_dim": 96, "hidden_dim": 192},
            },
            "published": {
                "encoder": {"channel": 256, "kernel_size": 20, "stride": 10},
                "separator": {"layer": 8, "stack": 4, "bottleneck_dim": 256, "hidden_dim": 512},
            },
        },
    ),
    "tfgridnetv2": Description(
        "TF-GridNet v2 (ESPnet)", "sources in training (the sources themselves)", None, {
            "small": {
                "separator": {
                    "n_fft": 256, "stride": 128, "n_layers": 3, "lstm_hidden_units": 64, "attn_n_head": 4,
                    "attn_approx_qk_dim": 256, "emb_dim": 32, "emb_ks": 4, "emb_hs": 4,
                },
            },
            "published": {
                "separator": {
                    "n_fft": 128, "stride": 64, "n_layers": 6, "lstm_hidden_units": 192, "attn_n_head": 4,
                    "attn_approx_qk_dim": 512, "emb_dim": 48, "emb_ks": 4, "emb_hs": 1,
                },
            },
        },
    ),
}


@dataclasses.dataclass(frozen=True)
class PeerOptions:
    """One peer.

    Attributes:
        system: a name of `SYSTEMS`.
        size: its size; read by nobody but people once ``arguments`` are known.
        num_spk: talkers, fixed.
        arguments: of the classes, see `Description.sizes`.
    """

    system: str
    size: str
    num_spk: int
    arguments: dict[str, Any]

    @classmethod
    def of(cls, system: str, size: str, num_spk: int) -> PeerOptions:
        """The peer of a size of `SYSTEMS`."""
        arguments = {part: dict(values) for part, values in SYSTEMS[system].sizes[size].items()}
        return cls(system, size, num_spk, arguments)

    @property
    def description(self) -> Description:
        """What it is."""
        return SYSTEMS[self.system]
