"""Contrasep: speech separation by contrastive learning and deep modularity clustering."""

__version__ = "0.1.0"
