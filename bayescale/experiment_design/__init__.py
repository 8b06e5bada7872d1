"""Experimental design: which runs to launch next, and their expected value of information."""
