"""Backbones: one a file; their options, which import no torch, in `options`."""
