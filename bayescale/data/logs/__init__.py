"""Logs of training runs, as the programs that track experiments write them."""
