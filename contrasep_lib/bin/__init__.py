"""One thin entry module per command."""
