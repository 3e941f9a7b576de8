"""Contrastive and separation objectives: own code, batched, finite for every input."""

from contrasep_lib.objectives.affinity import affinity_loss, whitened_loss
from contrasep_lib.objectives.nt_xent import nt_xent_loss
from contrasep_lib.objectives.sampling import pair_nodes, sample_nodes, take
from contrasep_lib.objectives.si_snr import negative_si_snr, si_snr_loss
from contrasep_lib.objectives.supcon import supcon_loss

__all__ = [
    "affinity_loss",
    "negative_si_snr",
    "nt_xent_loss",
    "pair_nodes",
    "sample_nodes",
    "si_snr_loss",
    "supcon_loss",
    "take",
    "whitened_loss",
]
