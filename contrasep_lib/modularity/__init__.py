"""Modularity clustering of embedded nodes: graphs, objective, solvers, counting, diagnostics."""

from contrasep_lib.modularity.calibration import fit_odds
from contrasep_lib.modularity.counting import CountDecision, count_communities, fit_null
from contrasep_lib.modularity.diagnostics import Diagnosis, Signature, Thresholds, diagnose
from contrasep_lib.modularity.evidence import Evidence
from contrasep_lib.modularity.graphs import Graph, KernelGraph, ThresholdGraph
from contrasep_lib.modularity.nodes import NodeSet
from contrasep_lib.modularity.null import Null
from contrasep_lib.modularity.objective import (
    collapse,
    degrees,
    modularity,
    modularity_loss,
    modularity_matvec,
    quantities,
)
from contrasep_lib.modularity.solvers import (
    DirectSolver,
    KMeansSolver,
    ModularityNetwork,
    NetworkSolver,
    Solution,
    Solver,
    SpectralSolver,
)
from contrasep_lib.modularity.stitching import Community, Stitched, Window, join, stitch

__all__ = [
    "Community",
    "CountDecision",
    "Diagnosis",
    "DirectSolver",
    "Evidence",
    "Graph",
    "KMeansSolver",
    "KernelGraph",
    "ModularityNetwork",
    "NetworkSolver",
    "NodeSet",
    "Null",
    "Signature",
    "Solution",
    "Solver",
    "SpectralSolver",
    "Stitched",
    "ThresholdGraph",
    "Thresholds",
    "Window",
    "collapse",
    "count_communities",
    "degrees",
    "diagnose",
    "fit_null",
    "fit_odds",
    "join",
    "modularity",
    "modularity_loss",
    "modularity_matvec",
    "quantities",
    "stitch",
]
