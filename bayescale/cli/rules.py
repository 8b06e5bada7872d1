"""Dependencies between options: an option that would have no effect is refused."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bayescale.laws.published import PUBLISHED

CLUSTER = ("--gpus", "--gpu", "--utilisation")


@dataclass(frozen=True)
class Needs:
    """An option that has no effect without others.

    Attributes
    ----------
    option
        The option.
    needs
        The options that it requires.
    why
        The reason, for the message.
    verbs
        Commands that the rule applies to; by default all that have the option.
    """

    option: str
    needs: tuple[str, ...]
    why: str
    verbs: tuple[str, ...] = ()

    def check(self, options: argparse.Namespace) -> None:
        """Raise ValueError if a required option was not given."""
        missing = [name for name in self.needs if name not in options.given]
        if missing:
            raise ValueError(f"{self.option}: {self.why}; also give {_joined(missing)}.")


MONEY = Needs("--budget", (*CLUSTER, "--price"), "a budget in money needs a cluster with a price")
"""Options that a budget such as ``$2M`` requires."""

_SHAPES = "it describes the transformer shapes from which FLOP are counted"
_CLUSTER = "a cluster needs --gpus, --gpu and --utilisation"
_RUNS = "saved fits contain their runs, so none are read"

READING = ("--column", "--unit", "--keep-outliers", "--where", "--vocabulary-size")
"""Options for reading a table of runs."""

RULES = (
    Needs("--context", ("--vocabulary",), _SHAPES),
    Needs("--aspect", ("--vocabulary",), _SHAPES),
    *(Needs(option, CLUSTER, _CLUSTER) for option in CLUSTER),
    Needs("--price", CLUSTER, "the price is per GPU-hour of a cluster"),
    Needs("--max-days", CLUSTER, "the duration depends on the cluster"),
    Needs("--deadline", CLUSTER, "the compute available until then depends on the cluster"),
    Needs("--start", ("--deadline",), "it is the date on which training towards a deadline starts"),
    Needs("--overhead", CLUSTER, "it lengthens training on a cluster"),
    Needs("--speed", CLUSTER, "it multiplies the throughput of a cluster"),
    Needs("--throughput", CLUSTER, "throughput is that of a cluster's GPUs"),
    Needs("--max-steps", ("--batch-tokens",), "the limit on tokens is steps times tokens per step"),
    Needs("--batch-tokens", ("--max-steps",), "without a number of steps it limits nothing"),
    Needs("--lifetime", ("--serving-tokens",), "the budget includes the cost of served tokens"),
    Needs(
        "--serving-tokens",
        ("--lifetime",),
        "serving affects this command only if the budget pays for it",
        ("allocate", "next", "report", "requirements"),
    ),
    Needs("--report", ("--budget",), "a report answers questions about budgets"),
    *(
        Needs(option, ("--runs",), _RUNS, ("compare",))
        for option in (
            "--column",
            "--unit",
            "--keep-outliers",
            "--where",
            "--vocabulary-size",
            "--draws",
        )
    ),
)

OF_DRAWS = ("--group", "--new-level", "--prob", "--seed", "--quantile")
"""Options that need posterior draws, and so do not apply to published constants."""


def remember_given(parser: argparse.ArgumentParser) -> None:
    """Keep defaults out of the namespace, so that `complete` can see which options were given."""
    defaults: dict[str, Any] = {}
    for action in parser._actions:
        if action.option_strings and action.default is not argparse.SUPPRESS:
            defaults[action.dest] = action.default
            action.default = argparse.SUPPRESS
    parser.set_defaults(complete_with=defaults, options_of=_options(parser))


def complete(options: argparse.Namespace) -> None:
    """Add the defaults of options that were not given, and list in ``given`` those that were.

    Raises
    ------
    ValueError
        If an option that has no effect, or an empty value, was given.
    """
    of_option: Mapping[str, str] = options.options_of
    options.given = frozenset(of_option[dest] for dest in vars(options) if dest in of_option)
    for dest, value in vars(options).items():
        # For example from a shell variable that is not set.
        if dest in of_option and isinstance(value, str) and not value.strip():
            raise ValueError(f"{of_option[dest]}: found nothing, expected a value. Give one.")
    for name, value in options.complete_with.items():
        if name not in options:
            setattr(options, name, value)
    del options.complete_with, options.options_of
    for rule in RULES:
        if rule.option in options.given and (not rule.verbs or options.verb in rule.verbs):
            rule.check(options)
    if getattr(options, "fit", None) in PUBLISHED:
        for name in OF_DRAWS:
            if name in options.given:
                raise ValueError(
                    f"{name}: found {options.fit}, published constants, which have no levels, "
                    f"draws or intervals. Remove {name}, or give a saved fit."
                )


def _options(parser: argparse.ArgumentParser) -> dict[str, str]:
    """Return the long form of each option, by its name in the namespace."""
    return {a.dest: a.option_strings[-1] for a in parser._actions if a.option_strings}


def _joined(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if names[:-1] else names)
