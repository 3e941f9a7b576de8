"""The number of speakers: recursive splitting against a null, and a trained classifier."""
