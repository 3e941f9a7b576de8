"""Mixtures: active speech level, lists, mixing."""
