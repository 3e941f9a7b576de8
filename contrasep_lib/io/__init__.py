"""Files: scp and data directories, ark dumps, audio, atomic writes, done markers (no torch)."""
