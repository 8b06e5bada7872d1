"""An interactive page in a browser: the decision of a saved fit as the terms of a plan change."""
