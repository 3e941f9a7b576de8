"""Counters: estimates of the number of speakers, behind `contrasep_lib.counting.counters.base.CountEstimator`."""
