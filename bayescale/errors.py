"""The errors and the warning that bayescale raises.

Each message has three parts: what was found (with its place), what was expected, what to do.
"""

from collections.abc import Collection, Iterable
from difflib import get_close_matches


class BayescaleError(Exception):
    """Base of every error that bayescale raises on purpose."""


class AmountError(BayescaleError, ValueError):
    """A number with a unit, such as a budget, that cannot be read or is not positive."""


class RunsError(BayescaleError, ValueError):
    """A table of runs that cannot be used, or that cannot identify the law to be fitted."""


class CardError(BayescaleError, ValueError):
    """A model or dataset card, or a model built in Python, that does not make sense."""


class UnknownNameError(BayescaleError, KeyError):
    """A law, card, dataset or constant set that does not exist."""

    def __str__(self) -> str:
        # KeyError shows the repr of its argument; this is a sentence.
        return str(self.args[0])


class NoClosedFormError(BayescaleError, NotImplementedError):
    """A law without a closed form for what was asked."""


class FitFileError(BayescaleError, ValueError):
    """A saved fit that cannot be read, or that belongs to another law."""


class SamplingError(BayescaleError, RuntimeError):
    """The sampler could not start or could not finish."""


class MissingExtraError(BayescaleError, ImportError):
    """Something that needs an optional part of the package, which is not installed."""


class BayescaleWarning(UserWarning):
    """Something that changes how far a result may be believed."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """Return the error for a misspelt name: what exists, and the nearest of it."""
    names = sorted(known)
    return UnknownNameError(
        f"There is no {kind} called {name!r}; the {kind}s are {', '.join(names)}."
        + did_you_mean(name, names)
    )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question that suggests the nearest known name, or nothing if none is near."""
    nearest = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {nearest[0]!r}?" if nearest else ""


def shortened(text: object, most: int = 200) -> str:
    """Return a text of the user's as a message can hold it, with its middle left out if long."""
    whole = str(text)
    if len(whole) <= most:
        return whole
    half = most // 2
    return f"{whole[:half]} ... ({len(whole)} characters) ... {whole[-half:]}"


def refuse_unknown(content: Iterable[str], known: Collection[str], where: str) -> None:
    """Raise CardError for the first key that is not known, with the nearest that is."""
    for key in content:
        if key not in known:
            hint = did_you_mean(key, known)
            raise CardError(
                f"{where}: found the unknown key {key!r}; the keys are "
                f"{', '.join(sorted(known))}.{hint}"
            )
