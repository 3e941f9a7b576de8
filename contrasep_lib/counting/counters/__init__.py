"""Counters: estimates of the number of speakers, all behind `contrasep_lib.counting.counters.base.CountEstimator.count`."""
