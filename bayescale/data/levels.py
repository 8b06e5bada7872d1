"""Levels of grouping factors: the distinct values of a column, and the level of each run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayescale.data.runs import Runs
from bayescale.errors import RunsError, UnknownNameError, did_you_mean

type Sizes = tuple[tuple[str, int], ...]
"""The padded number of levels of each grouping factor."""

SAME = 0.003
"""Amounts whose logarithms differ by less are equal: digitised sizes have errors of 0.1 %, while
distinct shapes may differ by as little as 0.5 % in size."""

_SHOWN = 12
"""Largest number of levels listed in a sentence."""


class NewLevel(Enum):
    """The type of `NEW`."""

    NEW = "new"

    def __repr__(self) -> str:
        return "NEW"

    def __str__(self) -> str:
        return self.value


NEW: Final = NewLevel.NEW
"""A new level: its group effects are drawn from the population distribution."""


@dataclass(frozen=True, eq=False)
class Levels:
    """The distinct values of a grouping factor, in order.

    Attributes
    ----------
    column
        Its name.
    labels
        Texts; for a column of amounts, the geometric mean of each set of equal ones.
    """

    column: str
    labels: NDArray[np.generic]

    @classmethod
    def of(cls, runs: Runs, column: str) -> "Levels":
        """Return the levels of a column of runs.

        Raises
        ------
        RunsError
            If there is no such column.
        """
        values = column_of(runs, column)
        if values.dtype.kind != "f":
            return cls(column, np.unique(values))
        logs = np.sort(np.log(values))
        parts = np.split(logs, np.flatnonzero(np.diff(logs) > SAME) + 1)
        return cls(column, np.exp([part.mean() for part in parts]))

    def __len__(self) -> int:
        return len(self.labels)

    def codes(self, values: ArrayLike) -> NDArray[np.int64]:
        """Return the index of the level of each value, -1 for unknown values."""
        values = np.asarray(values)
        if values.dtype == object:
            codes = np.full(len(values), -1)
            is_label = np.array([value is not NEW for value in values])
            if is_label.any():
                codes[is_label] = self.codes([str(value) for value in values[is_label]])
            return codes
        if self.labels.dtype.kind == "f":
            distances = np.abs(np.log(values.astype(float))[:, None] - np.log(self.labels))
            nearest = distances.argmin(axis=1)
            # Equal amounts are chained, so a level may be wider than the tolerance.
            return np.where(distances.min(axis=1) <= 2 * SAME, nearest, -1)
        code_of: Mapping[object, int] = {label: i for i, label in enumerate(self.labels.tolist())}
        return np.array([code_of.get(value, -1) for value in values.astype(str).tolist()])

    def refuse_unknown(self, values: object) -> None:
        """Raise UnknownNameError for a value that is neither a level nor `NEW`."""
        for value in np.atleast_1d(np.asarray(values, dtype=object)):
            if value is NEW or self.codes(np.array([value]))[0] >= 0:
                continue
            raise UnknownNameError(
                f"groups: found {self.column} {value!r}; the levels that were fitted are {self}."
                f"{did_you_mean(str(value), map(str, self.labels))} For a new level "
                f"use {self.column}=bayescale.NEW, on the command line --new-level {self.column}."
            )

    def __str__(self) -> str:
        texts = [f"{x:.4g}" if isinstance(x, float) else str(x) for x in self.labels.tolist()]
        more = len(texts) - _SHOWN
        return ", ".join(texts[:_SHOWN]) + (f" and {more} more" if more > 0 else "")

    def text(self, values: ArrayLike) -> list[str]:
        """Return the label of the level of each value, as text."""
        return [str(self.labels[code]) for code in self.codes(values)]


def column_of(runs: Runs, column: str) -> NDArray[np.generic]:
    """Return a column as amounts if it has positive numbers only, else as texts.

    Columns joined by ``+`` give texts, one for each combination of their levels.
    """
    parts = column.split("+")
    if len(parts) > 1:
        texts = [Levels.of(runs, part).text(column_of(runs, part)) for part in parts]
        return np.array([" + ".join(row) for row in zip(*texts, strict=True)], dtype=np.str_)
    if column not in runs.table:
        raise RunsError(
            f"{runs.name}: found no column {column!r}, by which the model groups runs; the columns "
            f"are {', '.join(runs.table.columns)}. Add it, or use a card that does not need it."
        )
    values = runs.table[column]
    if values.dtype.kind in "iuf" and bool((values > 0).all()):
        return values.to_numpy(dtype=np.float64)
    return values.astype(str).to_numpy(dtype=np.str_)


def with_coarser(groups: Mapping[str, object], known: Iterable[str]) -> dict[str, object]:
    """Return levels with those that they imply for coarser grouping factors.

    A level of ``family+recipe`` implies the level of ``family``.

    Parameters
    ----------
    groups
        A level, or several, by grouping factor.
    known
        The grouping factors of a model.

    Examples
    --------
    >>> with_coarser({"family+recipe": "c4 + long"}, ["family", "family+recipe"])
    {'family+recipe': 'c4 + long', 'family': 'c4'}
    """
    found = dict(groups)
    for finer, levels in groups.items():
        parts = finer.split("+")
        rows = [text.split(" + ") for text in np.atleast_1d(np.asarray(levels)).astype(str)]
        if len(parts) == 1 or any(len(row) != len(parts) for row in rows):
            continue
        for column in known:
            coarser = column.split("+")
            if column not in found and set(coarser) <= set(parts):
                texts = [" + ".join(row[parts.index(name)] for name in coarser) for row in rows]
                found[column] = texts[0] if np.ndim(levels) == 0 else texts  # type: ignore[arg-type]
    return found


def level_dim(column: str) -> str:
    """Return the name of the dimension of the levels of a column."""
    return f"level_{column}"


def padded(count: int) -> int:
    """Round a number of levels up, so that many tables share a compiled model.

    A compiled model serves every table with at most this many levels; the effects of padding levels
    are draws from the prior.
    """
    return max(8, 1 << (count - 1).bit_length())
