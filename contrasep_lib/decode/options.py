"""What options of a model and the centroids of training share; imports no torch."""

# kinds of centroids that a decoder learns from, see `contrasep_lib.decode.centroids`
KINDS = ("dominance", "label_noise", "soft", "refined_oracle", "kmeans")
