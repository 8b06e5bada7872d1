"""The TOML file of a card, parsed or refused."""

import tomllib
from pathlib import Path
from typing import Any

from bayescale.errors import CardError


def read_card(path: Path) -> dict[str, Any]:
    """Return the content of a card's TOML file; what is no TOML raises CardError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except RecursionError:
        raise CardError(f"{path}: nested too deep to be a card. Correct the card.") from None
    except ValueError as error:  # of TOML, of UTF-8, and of integers of thousands of digits
        said = (str(error).splitlines() or ["no TOML"])[0][:200]
        raise CardError(f"{path}: not valid TOML ({said}). Correct the card.") from None
