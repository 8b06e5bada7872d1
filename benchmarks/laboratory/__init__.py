"""Every law, pooled over corpora, on the runs of the laboratory, and the critical batch size."""
