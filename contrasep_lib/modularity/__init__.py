"""Modularity clustering of embedded nodes: graphs, objective, solvers, counting, diagnostics."""

from contrasep_lib.modularity.graphs import Graph, KernelGraph, ThresholdGraph
from contrasep_lib.modularity.nodes import NodeSet
from contrasep_lib.modularity.objective import (
    collapse,
    degrees,
    modularity,
    modularity_loss,
    modularity_matvec,
    quantities,
)
from contrasep_lib.modularity.solvers import KMeansSolver, Solution, Solver, SpectralSolver

__all__ = [
    "Graph",
    "KMeansSolver",
    "KernelGraph",
    "NodeSet",
    "Solution",
    "Solver",
    "SpectralSolver",
    "ThresholdGraph",
    "collapse",
    "degrees",
    "modularity",
    "modularity_loss",
    "modularity_matvec",
    "quantities",
]
