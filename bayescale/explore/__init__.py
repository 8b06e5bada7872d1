"""A page to explore: the decision of a saved fit while its terms are moved, in a browser."""
