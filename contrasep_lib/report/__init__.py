"""Plots and result pages."""
