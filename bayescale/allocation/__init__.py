"""The compute-optimal allocation, draw by draw, and its inverse questions."""
