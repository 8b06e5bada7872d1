"""Which options of the command line need one another: every option acts, or is refused."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bayescale.laws.published import PUBLISHED

CLUSTER = ("--gpus", "--gpu", "--utilisation")


@dataclass(frozen=True)
class Needs:
    """An option that says nothing without another.

    Attributes
    ----------
    option, needs
        What was given, and all that must be given with it.
    why
        The end of the sentence that refuses it.
    verbs
        The commands that this holds for; all that have the option unless given.
    """

    option: str
    needs: tuple[str, ...]
    why: str
    verbs: tuple[str, ...] = ()


_SHAPES = "it is of the shapes that FLOP are counted from"
_CLUSTER = "a cluster needs --gpus, --gpu and --utilisation"
_RUNS = "saved fits have their runs, which are not read again"

RULES = (
    Needs("--context", ("--vocabulary",), _SHAPES),
    Needs("--aspect", ("--vocabulary",), _SHAPES),
    *(Needs(option, CLUSTER, _CLUSTER) for option in CLUSTER),
    Needs("--price", CLUSTER, "a price is of GPU-hours"),
    Needs("--max-days", CLUSTER, "days are of a cluster"),
    Needs("--money", (*CLUSTER, "--price"), "money is spent on a cluster that has a price"),
    Needs("--max-steps", ("--batch-tokens",), "steps limit tokens by those of a step"),
    Needs("--batch-tokens", ("--max-steps",), "alone it limits nothing"),
    Needs("--lifetime", ("--serving-tokens",), "the budget pays for tokens that are served"),
    Needs(
        "--serving-tokens",
        ("--lifetime",),
        "serving is no part of the answer unless the budget pays for it",
        ("allocate", "next", "report", "requirements"),
    ),
    Needs("--report", ("--compute",), "a report is about budgets"),
    *(
        Needs(option, ("--data",), _RUNS, ("compare",))
        for option in ("--column", "--unit", "--keep-outliers", "--vocabulary-size", "--draws")
    ),
)

OF_DRAWS = ("--group", "--new-level", "--prob", "--seed", "--quantile")
"""Options that say nothing of published constants, which are single numbers."""


def remember_given(parser: argparse.ArgumentParser) -> None:
    """Make a parser leave out of its namespace what was not given, but for `complete`."""
    defaults: dict[str, Any] = {}
    for action in parser._actions:
        if action.option_strings and action.default is not argparse.SUPPRESS:
            defaults[action.dest] = action.default
            action.default = argparse.SUPPRESS
    parser.set_defaults(complete_with=defaults, options_of=_options(parser))


def complete(options: argparse.Namespace) -> None:
    """Add the defaults of options that were not given, and note in ``given`` which were.

    Raises
    ------
    ValueError
        If an option was given that says nothing beside the others.
    """
    of_option: Mapping[str, str] = options.options_of
    options.given = frozenset(of_option[dest] for dest in vars(options) if dest in of_option)
    for name, value in options.complete_with.items():
        if name not in options:
            setattr(options, name, value)
    del options.complete_with, options.options_of
    for rule in RULES:
        if rule.option not in options.given or (rule.verbs and options.verb not in rule.verbs):
            continue
        missing = [name for name in rule.needs if name not in options.given]
        if missing:
            raise ValueError(f"{rule.option}: {rule.why}; give {_and(missing)} too.")
    if getattr(options, "fit", None) in PUBLISHED:
        for name in OF_DRAWS:
            if name in options.given:
                raise ValueError(
                    f"{name}: found {options.fit}, published constants, which are single numbers "
                    "without levels, draws or intervals. Leave it out, or give a saved fit."
                )


def _options(parser: argparse.ArgumentParser) -> dict[str, str]:
    """Return the option of each name in the namespace, by its long form."""
    return {a.dest: a.option_strings[-1] for a in parser._actions if a.option_strings}


def _and(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if names[:-1] else names)
