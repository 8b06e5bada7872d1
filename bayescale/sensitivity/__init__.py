"""Sensitivity of the result to the choices of an analysis."""
