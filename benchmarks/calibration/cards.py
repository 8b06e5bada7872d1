"""The models that are compared, and what all studies share."""

SEED = 1
SHARES = (0.5, 0.65, 0.8)
"""Of the runs, those below each cut."""

IID, COUPLED, DEFAULT = "chinchilla", "coupled", "coupled-discrepancy"
POOLED, CORPORA = "chinchilla-pooled", "chinchilla-corpora"
CARDS = (IID, COUPLED, "kaplan-nd-floor")
BOOTSTRAP, STACK = "least squares, bootstrap", "stack of laws"
REPEATS = 4
"""Simulated tables of each design whose law is right."""
TRADED_SHARE = 0.65
BANDS = {"near": (-9.0, 1.0), "middle": (1.0, 2.3), "far": (2.3, 99.0)}
"""Distances in ln compute from the largest fitted run."""
