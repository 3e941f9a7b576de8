"""Metrics, one a file. A file declares its options and its class; see `contrasep_lib.score.metrics.base`."""
