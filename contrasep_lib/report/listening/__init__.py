"""The listening page: one HTML file with the audio, pictures and tables of experiments or of separated recordings."""
