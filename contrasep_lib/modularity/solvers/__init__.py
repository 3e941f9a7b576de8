"""Solvers: partitions of high modularity, all behind :meth:`Solver.solve`."""

from contrasep_lib.modularity.solvers.base import Solution, Solver
from contrasep_lib.modularity.solvers.direct import DirectSolver
from contrasep_lib.modularity.solvers.kmeans import KMeansSolver
from contrasep_lib.modularity.solvers.network import ModularityNetwork, NetworkSolver
from contrasep_lib.modularity.solvers.spectral import SpectralSolver

__all__ = [
    "DirectSolver",
    "KMeansSolver",
    "ModularityNetwork",
    "NetworkSolver",
    "Solution",
    "Solver",
    "SpectralSolver",
]
