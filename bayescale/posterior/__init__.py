"""`Fit`, and what its draws say."""
