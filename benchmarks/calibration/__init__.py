"""Coverage of intervals: studies that write their results, and the page rendered from them."""
