"""From centroids to masks: the attractor decoder, and the centroids that it is trained with."""
