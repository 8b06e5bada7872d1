"""Posteriors: `Fit`, `ModelAverage`, their predictions, diagnostics and summaries."""
