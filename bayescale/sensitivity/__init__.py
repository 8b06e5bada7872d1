"""Whether the answer moves with the choices of an analysis."""
