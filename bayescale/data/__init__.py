"""Read, validate, find and store tables of runs."""
