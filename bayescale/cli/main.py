"""Entry point of the command line; invalid input gives one sentence and exit code 2."""

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from bayescale.cli.files import Outputs, refuse_unsafe
from bayescale.cli.interrupts import INTERRUPTED, Interrupts, recorded
from bayescale.cli.parser import BAD_INPUT, make_parser
from bayescale.cli.render import one_line
from bayescale.cli.rules import complete
from bayescale.errors import BayescaleError

_INPUT_ERRORS = (BayescaleError, OSError, ValueError, TypeError)
"""Errors whose message states what is wrong with the input, so that no traceback is needed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    with recorded() as interrupts:
        return _run(arguments, interrupts)


def _run(arguments: Sequence[str] | None, interrupts: Interrupts) -> int:
    warnings.showwarning = _show_warning
    options, outputs = argparse.Namespace(), Outputs()
    try:
        parser = make_parser()
        parser.refuse_renamed(sys.argv[1:] if arguments is None else arguments)
        options = parser.parse_args(arguments)
        complete(options)
        logging.basicConfig(format="%(message)s", level=logging.WARNING)
        if options.quiet:
            warnings.showwarning = _ignore_warning
        refuse_unsafe(options.command, options)
        outputs = Outputs.of(options.command, options)
        code: int = options.run(options) or 0
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader closed the pipe, which is not an error of the command.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, Exception) as error:
        # Inside an import an interrupt surfaces as another error.
        if isinstance(error, KeyboardInterrupt) or interrupts.received:
            interrupts.is_over = True
            return _print_error(_interrupted(options, outputs), INTERRUPTED)
        if os.environ.get("BAYESCALE_DEBUG") or not isinstance(error, _INPUT_ERRORS):
            raise
        return _print_error(_message(error, outputs), BAD_INPUT)
    return code


def _interrupted(options: argparse.Namespace, outputs: Outputs) -> str:
    store: Path | None = getattr(options, "store", None)
    if store is not None and store.exists():
        return f"interrupted; finished work is kept in {store}. Repeat the command to continue."
    return f"interrupted; {outputs.written}, and existing files are unchanged."


def _print_error(message: str, code: int) -> int:
    print(f"bayescale: {message}", file=sys.stderr)
    return code


def _message(error: Exception, outputs: Outputs) -> str:
    message = str(error)
    if isinstance(error, OSError) and error.strerror:
        where = f"{one_line(error.filename, 200)}: " if error.filename else ""
        written = outputs.written
        message = f"{where}{error.strerror}. {written[0].upper()}{written[1:]}."
    return one_line(message, 2000)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    print(f"warning: {message}", file=sys.stderr)


def _ignore_warning(*_: object, **__: object) -> None:
    """Show no warning; replaces `warnings.showwarning` under ``--quiet``."""


if __name__ == "__main__":
    sys.exit(main())
