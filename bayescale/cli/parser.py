"""The parser of the command line, assembled from its commands."""

import argparse
from collections.abc import Sequence
from functools import cache
from typing import NoReturn

from bayescale._version import __version__
from bayescale.cli.commands import (
    allocate,
    backtest,
    calibrate,
    check,
    compare,
    completion,
    decide,
    doctor,
    expanding_window,
    explore,
    export,
    first_sweep,
    fit,
    forecast,
    forecast_by_floor,
    forecast_run,
    learn_prior,
    listing,
    mixture,
    multiverse,
    next_runs,
    plan,
    predict,
    preregister,
    reconcile,
    report,
    requirements,
    schema,
    score,
    score_forecast,
    speedup,
)
from bayescale.cli.render import one_line
from bayescale.cli.rules import remember_given
from bayescale.cli.verbs import Verbs

BAD_INPUT = 2

RENAMED = {"--compute": "--budget", "--money": "--budget", "--fixed": "--at"}
"""Options of earlier versions, and their current names."""

COMMANDS = (
    listing,
    first_sweep,
    plan,
    check,
    fit,
    predict,
    forecast,
    forecast_run,
    allocate,
    requirements,
    decide,
    explore,
    speedup,
    mixture,
    next_runs,
    report,
    score,
    preregister,
    score_forecast,
    calibrate,
    compare,
    reconcile,
    backtest,
    expanding_window,
    multiverse,
    forecast_by_floor,
    learn_prior,
    export,
    schema,
    doctor,
    completion,
)
"""The modules of the commands, in the order of the help."""


class Parser(argparse.ArgumentParser):
    """A parser that prints an error as one sentence."""

    verbs: dict[str, argparse.ArgumentParser]
    """The parser of each command."""

    def refuse_renamed(self, arguments: Sequence[str]) -> None:
        """Exit with the current name of an option that is given by its earlier name."""
        for argument in arguments:
            name = argument.partition("=")[0]
            if name in RENAMED:
                self.error(f"{name}: found an earlier name, expected {RENAMED[name]}")

    def error(self, message: str) -> NoReturn:
        """Print the message and exit with code 2."""
        self.exit(BAD_INPUT, f"bayescale: {one_line(message, 400)}; see {self.prog} --help.\n")


@cache
def make_parser() -> Parser:
    """Return the parser of the command line; parsing does not change it."""
    parser = Parser(
        prog="bayescale",
        description="Fit scaling laws to training runs and plan with their uncertainty.",
    )
    parser.add_argument("--version", action="version", version=f"bayescale {__version__}")
    verbs = Verbs(parser)
    for command in COMMANDS:
        command.add(verbs)
    parser.verbs = verbs.all
    for child in parser.verbs.values():
        remember_given(child)
    return parser
