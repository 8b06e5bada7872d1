"""Do the intervals cover? Studies that write their results, and the page made of them."""
