"""Modularity of embedded nodes: graphs, objective, solvers, diagnostics. It sees node sets alone."""
