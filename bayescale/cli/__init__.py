"""Command line: a thin layer that parses, calls and prints."""
