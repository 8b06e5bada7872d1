"""Python runs this at start-up where the folder is on its path: in processes that tests start."""

from shifted import shift_seeds

shift_seeds()
