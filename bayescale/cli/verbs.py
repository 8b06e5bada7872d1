"""The commands of a parser, and the options that all of them have."""

import argparse
from collections.abc import Callable
from typing import Any, override


class StoreOnce(argparse._StoreAction):
    """Store the value of an option; a second, different one is an error (argparse keeps it)."""

    @override
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        # Defaults are set later (`bayescale.cli.rules`), so an existing value was given.
        if option_string and vars(namespace).get(self.dest, values) != values:
            earlier = vars(namespace)[self.dest]
            raise argparse.ArgumentError(self, f"found twice, as {earlier} and as {values}")
        super().__call__(parser, namespace, values, option_string)


class Verbs:
    """Adds commands to a parser.

    Parameters
    ----------
    parser
        The parser of the command line.
    """

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser
        self._subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    @property
    def all(self) -> dict[str, argparse.ArgumentParser]:
        """The parser of each command."""
        return dict(self._subparsers.choices)

    def add(
        self, name: str, run: Callable[[argparse.Namespace], int | None], about: str
    ) -> argparse.ArgumentParser:
        """Return the parser of a new command.

        Parameters
        ----------
        name
            Name of the command.
        run
            Function that carries it out; returns an exit code, or None for success.
        about
            Description in the help.
        """
        child: argparse.ArgumentParser = self._subparsers.add_parser(
            name, help=about, description=about
        )
        child.register("action", None, StoreOnce)
        child.register("action", "store", StoreOnce)
        child.add_argument("--json", action="store_true", help="print the result as JSON")
        child.add_argument("--quiet", action="store_true", help="show no progress bar or warnings")
        child.set_defaults(run=run, verb=name, command=child)
        return child
