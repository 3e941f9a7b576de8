"""Systems that a user would pick instead, built from ESPnet's classes, in the harness of our own models."""
