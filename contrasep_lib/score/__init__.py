"""Metrics, confidence intervals, oracles, tables."""
