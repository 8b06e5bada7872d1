"""Sampling: fit, resume, load, and many fits at once."""
