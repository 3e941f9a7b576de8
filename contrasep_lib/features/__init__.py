"""Framing, short-time Fourier transform, statistics."""
