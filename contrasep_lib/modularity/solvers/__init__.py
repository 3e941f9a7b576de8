"""Solvers: partitions of high modularity, all behind `contrasep_lib.modularity.solvers.base.Solver.solve`."""
