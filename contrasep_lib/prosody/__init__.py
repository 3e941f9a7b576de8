"""Pitch, timbre and speaking rate of single speakers: how alike are frames of one speaker, and those of two."""
