"""Objectives: one a file, own code, batched, finite for every input.

Their options, which import no torch, stand in `options`.
"""
