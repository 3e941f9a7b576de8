"""From recordings to embeddings of their nodes: inputs, backbones, heads."""
