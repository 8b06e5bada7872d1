"""Files that options of the command line name: those that are read, and those that are written."""

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bayescale._outputs import Output
from bayescale.data.catalog import CARD_NAME, find_dataset, find_model_card
from bayescale.errors import UnknownNameError


@dataclass(frozen=True, slots=True)
class Reads:
    """The type of an option that names what is read: a file, a folder, or an id of what ships."""

    def __call__(self, text: str) -> str:
        """Return it as it was given."""
        return text


@dataclass(frozen=True, slots=True)
class Writes:
    """The type of an option that names a file to be written, or a folder if there is no output."""

    output: Output | None

    def __call__(self, text: str) -> Path:
        """Return its path."""
        return Path(text)


def refuse_unsafe(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Raise unless all that a command is to write can be written, without loss of what it reads.

    Parameters
    ----------
    parser
        Of the command: the types of its options say which of them name files.
    options
        What was given.

    Raises
    ------
    OSError, ValueError
        If a file cannot be written, is of another kind, is read too, or is named twice.
    """
    named = [
        (action, value)
        for action in parser._actions
        if isinstance(action.type, Reads | Writes)
        for value in _values(getattr(options, action.dest, None))
    ]
    taken = [
        (f"what {_name(action)} reads", path)
        for action, text in named
        if isinstance(action.type, Reads)
        for path in files_read(text)
    ]
    for action, path in named:
        if not isinstance(action.type, Writes):
            continue
        for what, other in taken:
            if _are_one(path, other):
                raise FileExistsError(
                    f"{_name(action)}: {path} is {what}, and was left as it is. Give another path."
                )
        taken.append((f"what {_name(action)} writes too", path))
        if action.type.output is not None:
            action.type.output.check(path)
        elif path.exists() and not path.is_dir():
            raise NotADirectoryError(
                f"{_name(action)}: {path} is a file, and was left as it is. Give a folder."
            )


def files_read(text: str) -> Iterator[Path]:
    """Return the files that are read where one, a folder or an id of what ships is named."""
    path = Path(text)
    if path.is_file():
        yield path
    elif path.is_dir():
        yield from (p for p in path.iterdir() if p.stem == "runs" or p.name == CARD_NAME)
    else:
        for find in (find_dataset, find_model_card):
            try:
                found = find(text)
            except UnknownNameError:
                continue
            yield from files_read(str(found))


def _values(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [] if given is None else [given]


def _name(action: argparse.Action) -> str:
    return action.option_strings[-1] if action.option_strings else action.dest


def _are_one(one: Path, other: Path) -> bool:
    """Say whether two paths are of one file, by links of either kind too."""
    try:
        return one.samefile(other)
    except OSError:
        return os.path.realpath(one) == os.path.realpath(other)
