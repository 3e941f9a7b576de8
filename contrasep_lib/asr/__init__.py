"""A small speech recogniser, by which the words of separated speech are counted."""
