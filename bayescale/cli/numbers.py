"""Types of options that take a number, with the messages for invalid ones."""

import argparse
import math

from bayescale._seeds import checked_seed
from bayescale.errors import quoted

_MOST = 10**9
_PORTS = 65535


def whole_number(text: str) -> int:
    """Return a whole number from 1 to `_MOST`."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 1 <= number <= _MOST:
        raise argparse.ArgumentTypeError(
            f"found {quoted(text)}, expected a whole number from 1 to {_MOST:,}"
        )
    return number


def port_number(text: str) -> int:
    """Return a port of a computer."""
    number = whole_number(text)
    if number > _PORTS:
        raise argparse.ArgumentTypeError(
            f"found {quoted(text)}, expected a whole number from 1 to {_PORTS:,}"
        )
    return number


def seed_number(text: str) -> int:
    """Return a seed."""
    try:
        return checked_seed(int(text))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"found {quoted(text)}, expected a whole number from 0 to 2**64 - 1"
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
