"""Experiments with several seeds: trainings judged alike, and one page of all (`tools/experiments.py`)."""
