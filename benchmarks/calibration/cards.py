"""The models that are compared, and the constants of all studies."""

SEED = 1
SHARES = (0.5, 0.65, 0.8)
"""Shares of the runs below each cut."""

IID, COUPLED, DEFAULT = "chinchilla", "coupled", "coupled-discrepancy"
POOLED, CORPORA = "chinchilla-pooled", "chinchilla-corpora"
CARDS = (IID, COUPLED, "kaplan-nd-floor")
BOOTSTRAP, STACK = "least squares, bootstrap", "stack of laws"
REPEATS = 4
"""Number of tables simulated from Chinchilla's law for each design."""
TRADED_SHARE = 0.65
BANDS = {"near": (-9.0, 1.0), "middle": (1.0, 2.3), "far": (2.3, 99.0)}
"""Ranges of the distance from the largest fitted run, in ln compute."""
