"""Modularity clustering of embedded nodes: graphs, objective, solvers, counting, diagnostics."""
