"""Encoders, backbones, heads and the ESPnet model that holds them.

Importing this package imports neither torch nor ESPnet; only `espnet_model` imports ESPnet.
"""
