"""The model card: law, priors, pooling, noise, discrepancy."""
