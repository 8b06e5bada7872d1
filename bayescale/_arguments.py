"""Arguments that take several values: lists, and mappings from names."""

import os
from collections.abc import Iterable, Mapping
from typing import Any, cast

from bayescale.errors import AmountError, BayescaleError, quoted


def as_list[T](values: Iterable[T]) -> list[T]:
    """Return an argument that takes several values as a list; a single value is a list of one.

    A text or a path is one value: its letters or parts are not.

    >>> as_list(["chinchilla", "coupled"]), as_list("chinchilla"), as_list(1.75)
    (['chinchilla', 'coupled'], ['chinchilla'], [1.75])
    """
    given: Any = values
    single = isinstance(given, str | bytes | os.PathLike) or getattr(given, "ndim", 1) == 0
    return [cast(T, given)] if single or not isinstance(given, Iterable) else list(values)


def expect_mapping[K, V](
    found: Mapping[K, V],
    name: str,
    example: str,
    error: type[BayescaleError] = AmountError,
) -> Mapping[K, V]:
    """Return an argument that takes values by name, or raise an error for what is no mapping.

    Parameters
    ----------
    found
        The argument.
    name, example
        The name of the argument, and a mapping that it may be, for the message.
    error
        The error to raise.

    >>> expect_mapping("loss", "columns", "{'loss': 'my column'}")
    Traceback (most recent call last):
    bayescale.errors.AmountError: columns=: found 'loss', expected a mapping such as
    {'loss': 'my column'}.
    """
    if not isinstance(found, Mapping):
        raise error(f"{name}=: found {quoted(found)}, expected a mapping such as {example}.")
    return found
