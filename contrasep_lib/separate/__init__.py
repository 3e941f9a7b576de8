"""From nodes to masks to audio."""
