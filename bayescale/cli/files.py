"""Types of options that name input and output files, and checks of output paths."""

import argparse
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, override

from bayescale._outputs import Output
from bayescale.data.catalog import CARD_NAME, find_dataset, find_model_card
from bayescale.errors import UnknownNameError


class NamesFile:
    """Type of an option that names an input or an output.

    Attributes
    ----------
    is_input
        Whether it names an input.
    """

    __slots__ = ()

    is_input: ClassVar[bool]

    def __call__(self, text: str) -> Any:
        """Return the value that a command receives for a text."""
        raise NotImplementedError

    def check(self, path: Path, option: str) -> None:
        """Raise unless a path can be used."""


@dataclass(frozen=True, slots=True)
class Reads(NamesFile):
    """Type of an option that names an input: a file, a folder, or a dataset or card id."""

    is_input = True

    def __call__(self, text: str) -> str:
        """Return the text unchanged."""
        return text


@dataclass(frozen=True, slots=True)
class Writes(NamesFile):
    """Type of an option that names an output.

    Attributes
    ----------
    output
        Kind of file; None for a folder.
    """

    is_input = False

    output: Output | None

    def __call__(self, text: str) -> Path:
        """Return the path."""
        return Path(text)

    @override
    def check(self, path: Path, option: str) -> None:
        """Raise unless a path can be written: a folder, or a file of the kind."""
        if self.output is not None:
            self.output.check(path)
        elif path.exists() and not path.is_dir():
            raise NotADirectoryError(
                f"{option}: {path} is a file and was not changed. Give a folder."
            )


def file_options(parser: argparse.ArgumentParser) -> dict[argparse.Action, NamesFile]:
    """Return the options of a command that name files, with their types."""
    typed = ((action, action.type) for action in parser._actions)
    return {action: kind for action, kind in typed if isinstance(kind, NamesFile)}


def refuse_unsafe(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Raise unless every output of a command can be written without overwriting an input.

    Parameters
    ----------
    parser
        Parser of the command; the types of its options identify inputs and outputs.
    options
        Parsed arguments.

    Raises
    ------
    OSError, ValueError
        If an output path is not writable, has the suffix or content of another kind of file, is
        also an input, or is given twice.
    """
    named = _named_files(parser, options)
    taken = [
        (f"the input of {_option_name(action)}", path)
        for action, kind, text in named
        if kind.is_input
        for path in files_read(text)
    ]
    for action, kind, path in named:
        if kind.is_input:
            continue
        for what, other in taken:
            if _are_same_file(path, other):
                raise FileExistsError(
                    f"{_option_name(action)}: {path} is {what} and was not changed. Give another "
                    "path."
                )
        taken.append((f"also the output of {_option_name(action)}", path))
        kind.check(path, _option_name(action))


class Outputs:
    """The outputs of a command, and which of them have been written."""

    def __init__(self, paths: Sequence[Path] = ()) -> None:
        self._before = {path: _file_state(path) for path in paths}

    @classmethod
    def of(cls, parser: argparse.ArgumentParser, options: argparse.Namespace) -> "Outputs":
        """Return the outputs that the options name."""
        return cls([path for _, kind, path in _named_files(parser, options) if not kind.is_input])

    @property
    def written(self) -> str:
        """Sentence fragment on what has been written."""
        new = [str(path) for path, before in self._before.items() if _file_state(path) != before]
        if not new:
            return "nothing was written"
        return f"{' and '.join(new)} {'was' if len(new) == 1 else 'were'} written, nothing else"


def _file_state(path: Path) -> tuple[int, int] | None:
    """Return the inode and the modification time of a file; None if there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns


def _named_files(
    parser: argparse.ArgumentParser, options: argparse.Namespace
) -> list[tuple[argparse.Action, NamesFile, Any]]:
    """Return the inputs and outputs that were given, each with its option and its type."""
    return [
        (action, kind, value)
        for action, kind in file_options(parser).items()
        for value in _values(getattr(options, action.dest, None))
    ]


def files_read(text: str) -> Iterator[Path]:
    """Yield the files that are read for a file, a folder, or a dataset or card id."""
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
    """Return the values of an option as a list: it has none, one or several."""
    return given if isinstance(given, list) else [] if given is None else [given]


def _option_name(action: argparse.Action) -> str:
    return action.option_strings[-1] if action.option_strings else action.dest


def _are_same_file(one: Path, other: Path) -> bool:
    """Return whether two paths lead to the same file, also through links."""
    try:
        return one.samefile(other)
    except OSError:
        return os.path.realpath(one) == os.path.realpath(other)
