"""What the oracle masks reach on an utterance, printed beside every system."""

from __future__ import annotations

import numpy as np

from contrasep_lib.nodes.options import FeatureOptions

# name in results.json -> separator
ORACLES = {
    "frame_binary": "oracle_frame",
    "ibm": "oracle_ibm",
    "irm": "oracle_irm",
    "psm": "oracle_psm",
}


def oracle_improvements(
    mixture: np.ndarray, sources: np.ndarray, features: FeatureOptions, silence_db: float
) -> dict[str, float | None]:
    """SI-SNRi of every oracle on one mixture, made in memory and never written as audio.

    An oracle's outputs stand in the order of the sources, so nothing is matched.

    Args:
        mixture: ``(samples,)`` float32.
        sources: ``(K, samples)`` float32.
        features: framing of the masks.
        silence_db: nodes further than this below the loudest one are shared equally, dB.

    Returns:
        oracle (keys of `ORACLES`) -> mean improvement over the sources, dB; None for one talker.
    """
    from contrasep_lib.score.metrics import pairwise_si_snr, si_snr
    from contrasep_lib.separate.oracle import Oracle

    if len(sources) == 1:
        return dict.fromkeys(ORACLES)
    unprocessed = pairwise_si_snr(mixture[None], sources)[:, 0]
    oracle = Oracle(mixture, sources, features, silence_db)
    made: dict[str, float | None] = {}
    for name, separator in ORACLES.items():
        outputs = oracle.separate(separator).outputs
        made[name] = float((si_snr(outputs, sources) - unprocessed).mean())
    return made
