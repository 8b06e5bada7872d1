"""Parse and validate the TOML file of a card."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bayescale.data.text_files import first_line
from bayescale.errors import CardError, quoted


def read_card(path: Path) -> dict[str, Any]:
    """Return the content of a card's TOML file; invalid TOML raises CardError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except RecursionError:
        raise CardError(f"{path}: nested too deep to be a card. Correct the card.") from None
    except ValueError as error:  # invalid TOML or UTF-8, or integers with thousands of digits
        raise CardError(
            f"{path}: not valid TOML ({first_line(error)}). Correct the card."
        ) from None


_MAX_DEPTH = 20
_MAX_KEY_LENGTH = 200
_MAX_TEXT_LENGTH = 20_000
_LARGEST = 2**63


def check_content(content: object, where: str, depth: int = 0) -> None:
    """Raise CardError for invalid values at any depth: dates, huge values, deep nesting."""
    if depth > _MAX_DEPTH:
        raise CardError(
            f"{where}: found more than {_MAX_DEPTH} levels of nesting. Correct the card."
        )
    if isinstance(content, Mapping):
        for key, value in content.items():
            if not isinstance(key, str) or len(key) > _MAX_KEY_LENGTH:
                raise CardError(
                    f"{where}: found the key {quoted(key)}, expected a text of at most "
                    f"{_MAX_KEY_LENGTH} characters."
                )
            shown = key if key.isprintable() else quoted(key)
            place = f"{where}: {shown}" if depth == 0 else f"{where}.{shown}"
            check_content(value, place, depth + 1)
    elif isinstance(content, list | tuple):
        for i, value in enumerate(content):
            check_content(value, f"{where}[{i}]", depth + 1)
    elif isinstance(content, str):
        if len(content) > _MAX_TEXT_LENGTH:
            raise CardError(
                f"{where}: found a text of {len(content):,} characters, expected at most "
                f"{_MAX_TEXT_LENGTH:,}."
            )
    elif isinstance(content, int):
        if abs(content) >= _LARGEST:
            raise CardError(f"{where}: found {quoted(content)}, expected a number below 2**63.")
    elif not isinstance(content, float):
        raise CardError(
            f"{where}: found {quoted(content)}, expected a text, a number, true or false. "
            "Write dates in quotes."
        )
