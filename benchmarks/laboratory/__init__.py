"""Every law pooled on the runs of the laboratory, and its critical batch size."""
