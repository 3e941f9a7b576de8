"""The separation model, its options and its file.

Importing this package imports no torch; nothing in it imports ESPnet.
"""
