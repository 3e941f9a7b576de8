"""Enrolled voices: which output of a separation is that of a speaker of whom there is a sample."""
