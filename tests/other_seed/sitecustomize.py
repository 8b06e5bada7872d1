"""Python runs this module at start-up in child processes, which have its folder on their path."""

from shifted import shift_seeds

shift_seeds()
