"""The errors and the warning that bayescale raises, their messages, and checks of arguments.

Each message has three parts: what was found (and where), what was expected, and what to do.
"""

import os
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, cast

_LONGEST_NAME = 200
"""Longest name: suggestions take quadratic time, and messages are to be read."""


class BayescaleError(Exception):
    """Base of every error that bayescale raises on purpose."""


class AmountError(BayescaleError, ValueError):
    """A number with a unit, such as a budget, that cannot be read or is not positive."""


class RunsError(BayescaleError, ValueError):
    """A table of runs that cannot be used, or that does not identify the law."""


class MissingColumnError(RunsError):
    """A table without a column that the law needs."""


class NoMinimumError(RunsError):
    """Budgets at which the losses have no minimum within the sizes run.

    Attributes
    ----------
    budgets
        These budgets, in FLOP.
    """

    def __init__(self, message: str, budgets: Iterable[float] = ()) -> None:
        super().__init__(message)
        self.budgets = tuple(budgets)


class CardError(BayescaleError, ValueError):
    """An invalid model or dataset card, or an invalid model built in Python."""


class UnknownNameError(BayescaleError, KeyError):
    """A law, card, dataset or constant set that does not exist."""

    def __str__(self) -> str:
        # KeyError shows the repr of its argument; this is a sentence.
        return str(self.args[0])


class NoClosedFormError(BayescaleError, NotImplementedError):
    """A law without a closed form of the requested quantity."""


class UnsuitableLawError(BayescaleError, TypeError):
    """A quantity that is not defined for the given law or published frontier."""


class FitFileError(BayescaleError, ValueError):
    """A saved fit that cannot be read, or that belongs to another law."""


class ForecastFileError(BayescaleError, ValueError):
    """A file of pre-registered forecasts that cannot be read, or that was changed."""


class SamplingError(BayescaleError, RuntimeError):
    """The sampler could not start or could not finish."""


class MissingExtraError(BayescaleError, ImportError):
    """A feature that needs an optional dependency that is not installed."""


class BayescaleWarning(UserWarning):
    """A circumstance that limits the validity of a result."""


def quoted(value: object, most: int = 60) -> str:
    """Return the repr of a value for a message, truncated if long.

    Examples
    --------
    >>> quoted("70B"), quoted("x" * 10**5)
    ("'70B'", "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'... (100,000 characters)")
    >>> quoted(10**5000)
    'an integer of about 5,001 digits'
    >>> import numpy as np
    >>> quoted(np.float64(2.5)), quoted(np.str_("a"))
    ('2.5', "'a'")
    """
    if type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0:
        value = value.item()  # type: ignore[attr-defined]
    if isinstance(value, int) and value.bit_length() > 4 * most:
        return f"an integer of about {int(value.bit_length() * 0.30103) + 1:,} digits"
    if isinstance(value, str | bytes):
        if len(value) <= most:
            return repr(value)
        unit = "characters" if isinstance(value, str) else "bytes"
        return f"{value[: most // 2]!r}... ({len(value):,} {unit})"
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a long integer or a deep nesting inside
        text = f"<{type(value).__name__}>"
    return text if len(text) <= most else f"{text[: most // 2]}... ({type(value).__name__})"


def listed(names: Iterable[object], most: int = 20) -> str:
    """Return a list of names for a message, truncated if long."""
    shown = [name if len(name) <= 60 else quoted(name) for name in map(str, names)]
    rest = len(shown) - most
    return ", ".join(shown[:most]) + (f" and {rest} more" if rest > 0 else "")


def in_words(names: Iterable[str]) -> str:
    """Return names as a sentence has them.

    Examples
    --------
    >>> in_words(["steps"]), in_words(["web", "code"]), in_words(["web", "code", "books"])
    ('steps', 'web and code', 'web, code and books')
    """
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """Return the error for an unknown name, with the existing names and the closest match.

    Examples
    --------
    >>> print(unknown_name("law of a forecast", "power", ["power-law", "sigmoid"]))
    There is no law of a forecast called 'power'; the laws of a forecast are power-law, sigmoid.
    Did you mean 'power-law'?
    """
    names, (noun, *of) = sorted(known), kind.partition(" of ")
    return UnknownNameError(
        f"There is no {kind} called {quoted(name)}; the {noun}s{''.join(of)} are "
        f"{', '.join(names)}." + did_you_mean(str(name), names)
    )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a suggestion of the closest known name, or an empty text if none is close."""
    if len(name) > _LONGEST_NAME:
        return ""
    nearest = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {quoted(nearest[0])}?" if nearest else ""


def is_name(value: object) -> bool:
    """Return whether a value can name something in a message: text of one line, not too long."""
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_NAME and value.isprintable()


def refuse_unknown(content: Iterable[str], known: Collection[str], where: str) -> None:
    """Raise CardError for the first unknown key, with the closest known one."""
    for key in content:
        if key not in known:
            hint = did_you_mean(key, known)
            raise CardError(
                f"{where}: found the unknown key {quoted(key)}; the keys are "
                f"{', '.join(sorted(known))}.{hint}"
            )


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
