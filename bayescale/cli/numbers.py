"""Types of options that take a number, with the messages for invalid ones."""

import argparse
import math

from bayescale._seeds import checked_seed
from bayescale.errors import quoted

_LARGEST = 10**9
_LARGEST_PORT = 65535


def positive_integer(text: str) -> int:
    """Return an integer from 1 to `_LARGEST`."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 1 <= number <= _LARGEST:
        raise argparse.ArgumentTypeError(
            f"found {quoted(text)}, expected an integer from 1 to {_LARGEST:,}"
        )
    return number


def port_number(text: str) -> int:
    """Return the number of a TCP port."""
    number = positive_integer(text)
    if number > _LARGEST_PORT:
        raise argparse.ArgumentTypeError(
            f"found {quoted(text)}, expected an integer from 1 to {_LARGEST_PORT:,}"
        )
    return number


def seed_number(text: str) -> int:
    """Return a seed."""
    try:
        return checked_seed(int(text))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"found {quoted(text)}, expected an integer from 0 to 2**64 - 1"
        ) from None


def real_number(text: str) -> float:
    """Return a finite number."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"found {quoted(text)}, expected a finite number")
    return number
