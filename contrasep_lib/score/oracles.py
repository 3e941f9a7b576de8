"""What oracles reach on an utterance, printed beside every system."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from contrasep_lib.config.choices import create
from contrasep_lib.nodes.options import FeatureOptions


def oracle_improvements(
    mixture: np.ndarray, sources: np.ndarray, features: FeatureOptions, oracles: Mapping[str, Any],
    noise: np.ndarray | None = None,
) -> dict[str, float | None]:
    """SI-SNRi of every oracle on one mixture, made in memory and never written as audio.

    An oracle's outputs stand in the order of the sources, so nothing is matched.

    Args:
        mixture: ``(samples,)`` float32.
        sources: ``(K, samples)`` float32.
        features: framing of the masks; silent nodes are shared equally.
        oracles: name -> options.
        noise: ``(samples,)`` float32, what the mixture has beside its sources. Oracles know it as a source; no output
            of a talker is matched with it.

    Returns:
        name -> mean improvement over the sources, dB; None for single-speaker mixtures.
    """
    from contrasep_lib.oracles.base import Scene
    from contrasep_lib.score.ratios import pairwise_si_snr, si_snr

    if len(sources) == 1:
        return dict.fromkeys(oracles)
    unprocessed = pairwise_si_snr(mixture[None], sources)[:, 0]
    scene = Scene(mixture, sources, features, noise)
    separated = {name: create(options).separate(scene).outputs for name, options in oracles.items()}
    return {name: float((si_snr(outputs, sources) - unprocessed).mean()) for name, outputs in separated.items()}
