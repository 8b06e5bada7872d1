"""The commands of a parser, and the options that all of them have."""

import argparse
from collections.abc import Callable


class Verbs:
    """Adds commands to a parser.

    Parameters
    ----------
    parser
        The parser of the whole command line.
    """

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser
        self._added = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    @property
    def all(self) -> dict[str, argparse.ArgumentParser]:
        """The parser of each command."""
        return dict(self._added.choices)

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
        child: argparse.ArgumentParser = self._added.add_parser(name, help=about, description=about)
        child.add_argument("--json", action="store_true", help="print the result as JSON")
        child.add_argument("--quiet", action="store_true", help="show no progress bar or warnings")
        child.set_defaults(run=run, verb=name, command=child)
        return child
