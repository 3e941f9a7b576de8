"""Corpora of single-speaker speech, each brought into Kaldi-style data directories."""
