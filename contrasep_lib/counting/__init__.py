"""The number of speakers: a family of counters, and what they are made of."""
