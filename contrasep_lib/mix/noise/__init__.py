"""Noise beside the talkers: one file per kind; a further source that is no talker."""
