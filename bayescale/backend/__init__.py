"""The PyMC graph of a model and its runs."""
