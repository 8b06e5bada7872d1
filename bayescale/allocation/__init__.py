"""Compute-optimal allocations for every draw, and the inverse problems."""
