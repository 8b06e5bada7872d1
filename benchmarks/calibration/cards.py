"""The models that are compared, and what all studies share."""

SEED = 1
SHARES = (0.5, 0.65, 0.8)
"""Of the runs, those below each cut."""

IID, COUPLED, DEFAULT = "chinchilla", "coupled", "chinchilla-drift"
POOLED, CORPORA = "chinchilla-pooled", "chinchilla-corpora"
CARDS = (IID, COUPLED, "over-training", "kaplan-nd-floor", DEFAULT)
STACKED = (IID, COUPLED, "kaplan-nd-floor")
BOOTSTRAP, STACK = "least squares, bootstrap", "stack of laws"
SIMULATED_CARDS = (IID, COUPLED, "kaplan-nd", POOLED, DEFAULT)
REPEATS = 8
"""Simulated tables of each design whose law is right."""
TRADED_SHARE, TRADED_REPEATS = 0.65, 2
