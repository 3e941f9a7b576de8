"""Training: data, iterator, trainer and task on ESPnet's training loop."""
