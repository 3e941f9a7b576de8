"""Solvers: partitions of high modularity, all behind :meth:`Solver.solve`."""

from contrasep_lib.modularity.solvers.base import Solution, Solver
from contrasep_lib.modularity.solvers.kmeans import KMeansSolver
from contrasep_lib.modularity.solvers.spectral import SpectralSolver

__all__ = ["KMeansSolver", "Solution", "Solver", "SpectralSolver"]
