"""Speaker encoders: what a voice sounds like, in any recording. One file for each."""
