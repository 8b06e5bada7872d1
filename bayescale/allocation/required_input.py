"""The amount of one input that a target response needs, for laws that split no budget."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, override

import numpy as np
import pandas as pd
import xarray as xr

from bayescale.allocation.plans import FAR
from bayescale.costs.budget import Array
from bayescale.errors import AmountError, UnsuitableLawError, expect_mapping
from bayescale.posterior.curve import Curve, end_to_end
from bayescale.posterior.extrapolation import headline_at
from bayescale.posterior.protocol import Posterior
from bayescale.posterior.result import Result
from bayescale.posterior.summary import flag_failure, interval_columns
from bayescale.units import (
    format_amount,
    format_amount_of,
    format_number,
    format_share,
    parse_amounts,
    quantity_of,
)

_BELOW, _ABOVE = np.log(1e6), np.log(1e12)
"""Range of the search, in e-folds below the smallest run and above the largest."""

_WHOLE = (0.0, 80.0)
"""Range of the search of published constants, which have no runs, in logs."""

_GRID = 240
_HALVINGS = 40


@dataclass(frozen=True, eq=False, repr=False)
class ByTarget(Result):
    """What each of several targets needs, as draws with the dims ``chain``, ``draw``, ``target``.

    Attributes
    ----------
    draws
        The amounts; all are NaN in draws where a target is out of reach.
    source
        The posterior.
    """

    draws: xr.Dataset
    source: Posterior

    @property
    def unreachable(self) -> "pd.Series[float]":
        """Share of draws in which each target is out of reach, excluded from its row."""
        amount = next(iter(self.draws.values()))
        lost = np.isnan(amount.to_numpy()).mean(axis=(0, 1))
        return pd.Series(lost, index=self._targets, name="unreachable")

    def called(self, name: str) -> str:
        """Return the heading of an amount in this result; empty if its name suffices."""
        return ""

    def _out_of_reach(self, target: object, share: float) -> str:
        if share == 1:
            return f"{target}: out of reach."
        return (
            f"{target}: out of reach in {format_share(share, 4)} of the draws, "
            "which are left out of its medians and intervals."
        )

    @cached_property
    def _targets(self) -> "pd.Index[Any]":
        found: pd.Index[Any] = pd.Index(list(self.draws["target"].to_numpy()), name="target")
        return found

    def _columns(self, prob: float) -> pd.DataFrame:
        with warnings.catch_warnings():
            # The median is NaN for a target that no draw reaches; see the caveats.
            warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
            return interval_columns(self.draws, prob, "target")

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Return medians and equal-tailed intervals, with one row per target."""
        return flag_failure(self._columns(prob), self.source.diagnostics)


@dataclass(frozen=True, eq=False, repr=False)
class RequiredInput(ByTarget):
    """The amount of one input with which a law reaches targets, with uncertainty.

    Attributes
    ----------
    draws
        Draws of the amount, named by its column of the runs, with dims ``chain``, ``draw``,
        ``target``. NaN in draws where a target is out of reach, such as one below the floor.
    column
        The column of the input.
    fixed
        The values of the other inputs, by column.
    source
        The posterior.
    """

    column: str
    fixed: Mapping[str, float]

    @override
    def called(self, name: str) -> str:
        return f"{name} for a {self.source.response}"

    @property
    def headline(self) -> str:
        """Description, extrapolation and diagnostics, with a failure first."""
        known = {self.column: self._columns(0.9)[self.column].to_numpy()}
        known |= {name: np.full(len(self._targets), x) for name, x in self.fixed.items()}
        return headline_at(self.source, known)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The question that the table answers."""
        held = "".join(f", at {format_amount_of(name, x)}" for name, x in self.fixed.items())
        return (f"The {self.column} with which the {self.source.response} reaches a target{held}.",)

    @property
    def caveats(self) -> tuple[str, ...]:
        """Sentences on the limitations of the results."""
        found = []
        middles = self._columns(0.9)[self.column]
        runs = {self.source.columns[name]: x for name, x in self.source.inputs.items()}
        for place, (target, share) in enumerate(self.unreachable.items()):
            if share > 0:
                found.append(self._out_of_reach(target, share))
            if share < 1 and self.column in runs:
                times = float(middles.iloc[place]) / float(runs[self.column].max())
                if times > FAR:
                    found.append(
                        f"{target}: far beyond the data, {format_number(times, 2)} times the "
                        f"largest {self.column} of the runs."
                    )
        caveat = self.source.curve.caveat
        return (*found, caveat) if caveat else tuple(found)

    def text_table(self, prob: float = 0.9) -> pd.DataFrame:
        """Return the table formatted as text."""
        style = partial(format_amount, self.column)
        cells = []
        for _, row in self._columns(prob).iterrows():
            middle, *ends = (float(row[f"{self.column}{end}"]) for end in ("", "_lower", "_upper"))
            if np.isnan(middle):
                cells.append("out of reach")
            elif self.source.is_point:
                cells.append(style(middle))
            else:
                cells.append(f"{style(middle)} [{', '.join(map(style, ends))}]")
        return pd.DataFrame({self.column: cells}, index=self._targets)


def required_input(
    source: Posterior, targets: object, fixed: Mapping[str, object] | None
) -> RequiredInput:
    """Return the amount of the one input that is not fixed, for every draw and target.

    Raises
    ------
    AmountError
        If an amount cannot be read or is missing.
    UnsuitableLawError
        If not all inputs but one are fixed.
    """
    response, columns = source.response, source.columns
    held = {
        name: float(parse_amounts(x, quantity_of(name), name)[0])
        for name, x in expect_mapping(fixed or {}, "fixed", "{'n_params': '7B'}").items()
    }
    unknown = [name for name in held if name not in columns.values()]
    free = [name for name in columns.values() if name not in held]
    if unknown or len(free) != 1:
        raise UnsuitableLawError(
            f"requirements: the law {source.law.name} is of {', '.join(columns.values())}; found "
            f"{', '.join(held) or 'none'} fixed, expected all but one (fixed={{...}}, --at "
            "NAME=AMOUNT)."
        )
    if targets is None:
        raise AmountError(
            f"requirements: found no target; give loss, the {response} to reach (--loss)."
        )
    column = free[0]
    (name,) = (name for name, of in columns.items() if of == column)
    values = np.log(parse_amounts(targets, "count", "loss"))
    runs = source.inputs.get(name)
    low, high = (
        _WHOLE if runs is None else (np.log(runs.min()) - _BELOW, np.log(runs.max()) + _ABOVE)
    )
    middle = low if runs is None else float(np.log(runs).mean())
    logs = {other: np.log(held[of]) for other, of in columns.items() if of != column}
    found = [
        _crossings(curve, name, logs, values, np.linspace(low, high, _GRID), middle)
        for curve in source.curve.pieces
    ]
    labels = [f"{response} {format_number(float(np.exp(x)), 4)}" for x in values]
    draws = end_to_end(part.assign_coords(target=labels) for part in found)
    return RequiredInput(xr.Dataset({column: np.exp(draws)}), source, column, held)


def _crossings(
    curve: Curve, name: str, logs: Mapping[str, float], targets: Array, grid: Array, middle: float
) -> xr.DataArray:
    """Return the log input nearest to the middle of the runs at which each draw has a target."""

    def short(log_x: xr.DataArray) -> xr.DataArray:
        held = {other: xr.zeros_like(log_x) + x for other, x in logs.items()}
        response = curve.response({**held, name: log_x})
        return response.copy(data=np.log(response.to_numpy()))

    with np.errstate(all="ignore"):
        along = short(xr.DataArray(grid, dims="grid")).transpose("chain", "draw", "grid")
        above = along.to_numpy()[..., None, :] > targets[:, None]
        turns = above[..., 1:] != above[..., :-1]
        distance = np.where(turns, np.abs(grid[:-1] - middle), np.inf)
        at = distance.argmin(axis=-1)
        reached = np.isfinite(distance.min(axis=-1))
        dims = ("chain", "draw", "target")
        low, high = (xr.DataArray(grid[at + step], dims=dims) for step in (0, 1))
        starts_above = np.take_along_axis(above, at[..., None], axis=-1)[..., 0]
        goal = xr.DataArray(targets, dims="target")
        for _ in range(_HALVINGS):
            half = 0.5 * (low + high)
            before = (short(half).transpose(*dims) > goal) == starts_above
            low, high = half.where(before, low), high.where(before, half)
    return (0.5 * (low + high)).where(reached)
