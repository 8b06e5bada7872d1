"""Find model cards and datasets in the package, the checkout, and the user's folders."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from bayescale.errors import UnknownNameError, quoted, unknown_name

type Kind = Literal["models", "datasets"]

PATH_VARIABLE = "BAYESCALE_PATH"
"""Environment variable of further folders, each with models/ or datasets/ inside."""

CARD_NAME = "card.toml"


def catalogue_roots() -> tuple[Path, ...]:
    """Return the folders searched, in order: the user's first, then the built-in one."""
    from_user = [
        Path(entry) for entry in os.environ.get(PATH_VARIABLE, "").split(os.pathsep) if entry
    ]
    package = Path(__file__).resolve().parents[1]
    packaged = package / "_catalogue"
    # A wheel has the catalogue inside the package, a checkout at its top level.
    return (*from_user, packaged if packaged.is_dir() else package.parent)


def model_cards() -> dict[str, Path]:
    """Return every model card found, by id."""
    return dict(_first_of_each("models"))


def dataset_folders() -> dict[str, Path]:
    """Return the folder of every dataset found, by id."""
    return dict(_first_of_each("datasets"))


def find_model_card(name: str) -> Path:
    """Return the card of a model id, or raise UnknownNameError."""
    return _find("model card", name, model_cards())


def find_dataset(name: str) -> Path:
    """Return the folder of a dataset id, or raise UnknownNameError."""
    datasets = dataset_folders()
    if name not in datasets and name in model_cards():
        raise UnknownNameError(
            f"runs: found {quoted(name)}, which is a model card, expected a dataset or a file. "
            f"Runs come first: bs.fit(runs, {quoted(name)}), or "
            f"`bayescale fit RUNS --model {name}`."
        )
    return _find("dataset", name, datasets)


def _find(kind: str, name: str, found: dict[str, Path]) -> Path:
    if name not in found:
        raise unknown_name(kind, name, found)
    return found[name]


def _first_of_each(kind: Kind) -> Iterator[tuple[str, Path]]:
    seen: set[str] = set()
    for root in catalogue_roots():
        pattern = "*.toml" if kind == "models" else f"*/{CARD_NAME}"
        found = (
            (card.stem, card) if kind == "models" else (card.parent.name, card.parent)
            for card in (root / kind).glob(pattern)
        )
        for name, entry in sorted(found):
            if name not in seen:
                seen.add(name)
                yield name, entry
