"""Which runs to launch next, and what they are worth."""
