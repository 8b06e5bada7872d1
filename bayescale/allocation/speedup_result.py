"""Speedup: draws of the compute-equivalent speedup of recipes, their table and sentences."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayescale.allocation.equal_loss import REACH, speedup_draws
from bayescale.allocation.plans import FAR, cost_of_runs, parse_budgets
from bayescale.costs import Cost
from bayescale.costs.budget import Array
from bayescale.costs.limits import NO_LIMITS, Limits
from bayescale.data.levels import column_of
from bayescale.posterior.diagnostics import Diagnostics, diagnose_quantities, with_status
from bayescale.posterior.protocol import Posterior
from bayescale.posterior.result import Result
from bayescale.posterior.summary import flag_failure, tail_quantiles
from bayescale.units import format_budget, format_number, format_share

_SURE = 0.95
"""Probability above which one of two recipes is called better."""

_MOST = float(np.exp(REACH)) * (1.0 - 1e-9)
"""The bound of speedups, up to rounding; speedups at the bound are formatted as "at least"."""


@dataclass(frozen=True, eq=False, repr=False)
class Speedup(Result):
    """The compute-equivalent speedup of recipes over a baseline, with uncertainty.

    Attributes
    ----------
    draws
        Draws of the speedup, with dims ``chain``, ``draw``, ``recipe``, ``budget``: the budget of
        the baseline over the smallest budget with which the recipe reaches the same loss. Zero in
        draws in which a million times the budget does not reach it, and a million in draws in
        which a millionth does; NaN in draws in which either has no optimum.
    sources
        The posterior of each recipe, the baseline first.
    by
        The grouping factor of which the recipes are levels; empty for separate fits.
    cost, fixed, limits
        The cost function of the budgets, values of the law's other inputs, and constraints on
        plans.
    """

    draws: xr.DataArray
    sources: Mapping[str, Posterior]
    by: str
    cost: Cost
    fixed: Mapping[str, float] = field(default_factory=dict)
    limits: Limits = NO_LIMITS

    @property
    def baseline(self) -> str:
        """The recipe that the others are compared with."""
        return next(iter(self.sources))

    @property
    def recipes(self) -> tuple[str, ...]:
        """The recipes that are compared with the baseline."""
        return tuple(self.sources)[1:]

    @property
    def budgets(self) -> NDArray[np.float64]:
        """The budgets of the baseline, in the unit of the cost (FLOP by default)."""
        return self.draws["budget"].to_numpy()

    @property
    def is_paired(self) -> bool:
        """Whether the draws of the recipes are joint draws of one posterior."""
        return bool(self.by)

    @property
    def is_point(self) -> bool:
        """Whether every recipe is a point estimate, such as published constants."""
        return all(source.is_point for source in self.sources.values())

    def at(self, budget: object) -> "Speedup":
        """Return the same comparison at other budgets."""
        budgets = parse_budgets(budget, self.cost)
        draws = speedup_draws(self.sources, budgets, paired=self.is_paired, **self._terms)
        return replace(self, draws=draws)

    @property
    def _terms(self) -> dict[str, Any]:
        return {"cost": self.cost, "fixed": self.fixed, "limits": self.limits}

    @cached_property
    def _values(self) -> Array:
        """Speedups of shape (recipe, budget, draw)."""
        ordered = self.draws.transpose("recipe", "budget", "chain", "draw").to_numpy()
        return ordered.reshape(*ordered.shape[:2], -1)

    @property
    def p_better(self) -> pd.DataFrame:
        """Probability that a recipe needs less compute than the baseline, by budget and recipe."""
        return self._frame(self._share(self._values > 1.0))

    @property
    def p_best(self) -> pd.DataFrame:
        """Probability that a recipe needs the least compute of all, the baseline among them."""
        every = np.concatenate([np.ones_like(self._values[:1]), self._values])
        whole = np.isfinite(every).all(axis=0)
        best = np.where(whole, every, 0.0).argmax(axis=0)
        shares = [
            np.divide(((best == i) & whole).sum(axis=-1), np.maximum(whole.sum(axis=-1), 1))
            for i in range(len(every))
        ]
        return self._frame(np.array(shares), tuple(self.sources))

    @property
    def unreachable(self) -> pd.DataFrame:
        """Share of draws in which a recipe does not reach the loss: its speedup is zero."""
        return self._frame(self._share(self._values == 0.0))

    @property
    def undefined(self) -> pd.DataFrame:
        """Share of draws in which a recipe or the baseline has no optimum; they are left out."""
        return self._frame(np.isnan(self._values).mean(axis=-1))

    def _share(self, condition: NDArray[np.bool_]) -> Array:
        """Return the share of the defined draws that satisfy a condition."""
        known = np.isfinite(self._values)
        return np.asarray((condition & known).sum(axis=-1) / np.maximum(known.sum(axis=-1), 1))

    def _frame(self, values: Array, recipes: Sequence[str] | None = None) -> pd.DataFrame:
        columns = pd.Index(self.recipes if recipes is None else recipes, name="recipe")
        return pd.DataFrame(values.T, pd.Index(self.budgets, name="budget"), columns)

    @cached_property
    def diagnostics(self) -> Diagnostics | None:
        """Diagnostics of the fits and, for joint draws, of every speedup; None for constants."""
        # Levels of one fit share its diagnostics, which take longer to compute than the speedup.
        sources = {self.baseline: self.sources[self.baseline]} if self.is_paired else self.sources
        found = {name: s.diagnostics for name, s in sources.items() if s.diagnostics}
        if not found:
            return None
        if not self.is_paired:
            return reduce(Diagnostics.join, (d.named(name) for name, d in found.items()))
        quantities = {
            f"speedup of {recipe} at {self.text_budget(c)}": (("chain", "draw"), self._filled(i, j))
            for i, recipe in enumerate(self.recipes)
            for j, c in enumerate(self.budgets)
            if np.ptp(self._filled(i, j)) > 0.0
        }
        ours = diagnose_quantities(xr.Dataset(quantities)) if quantities else None
        fitted = found[self.baseline]
        return fitted.join(ours) if ours else fitted

    def _filled(self, recipe: int, budget: int) -> Array:
        """Return draws by chain with undefined ones, which are counted elsewhere, replaced."""
        values = self.draws.isel(recipe=recipe, budget=budget).transpose("chain", "draw")
        known = values.to_numpy()
        middle = np.nanmedian(known) if np.isfinite(known).any() else 0.0
        return np.where(np.isnan(known), middle, known)

    @property
    def headline(self) -> str:
        """The recipes and their posterior, with failed checks first."""
        others = ", ".join(self.recipes)
        what = f"Speedup of {others} over {self.baseline}: "
        if self.is_paired:
            (first,) = self.sources[self.baseline].fits.values()
            levels = {k: v for k, v in first.groups.items() if k != self.by}
            what += f"joint draws of one posterior, by {self.by}. "
            what += replace(first, groups=levels).description
        else:
            words = "constants" if self.is_point else "independent draws of separate fits"
            what += f"{words}. "
            what += " ".join(f"{n}: {s.description}" for n, s in self.sources.items())
        return with_status(what, self.diagnostics) if self.diagnostics else what

    @property
    def sentences(self) -> tuple[str, ...]:
        """For every recipe: its speedup at the largest budget, and how it changes with scale."""
        table, found = self.numbers(0.9), []
        last = float(self.budgets.max())
        for recipe in self.recipes:
            row: Any = table.loc[recipe].loc[last]
            at = self.text_budget(last)
            found.append(
                f"At {at} the speedup of {recipe} over {self.baseline} is "
                f"{self._factor(row)}{self._verdict(row)}."
                if row["speedup"] > 0.0
                else f"{recipe} does not reach the loss of {self.baseline} at {at}."
            )
            if len(self.budgets) > 1 and not self.is_point:
                found.append(self._trend(recipe))
        return tuple(found)

    def _factor(self, row: "pd.Series[float]") -> str:
        middle, low, high = (
            _text_factor(row[name]) for name in ("speedup", "speedup_lower", "speedup_upper")
        )
        return middle if self.is_point else f"{middle} [{low}, {high}]"

    def _verdict(self, row: "pd.Series[float]") -> str:
        if self.is_point:
            return ""
        p = float(row["p_better"])
        said = f"; it is better with probability {p:.2f}"
        return said if max(p, 1.0 - p) >= _SURE else f"{said}, so that it is not yet known"

    def _trend(self, recipe: str) -> str:
        values = self._values[self.recipes.index(recipe)]
        order = np.argsort(self.budgets)
        first, last = values[order[0]], values[order[-1]]
        both = np.isfinite(first) & np.isfinite(last)
        rises = float((last > first)[both].mean()) if both.any() else float("nan")
        ends = [self.text_budget(float(self.budgets[i])) for i in (order[0], order[-1])]
        return (
            f"The speedup of {recipe} is larger at {ends[1]} than at {ends[0]} with probability "
            f"{rises:.2f}."
        )

    @property
    def caveats(self) -> tuple[str, ...]:
        """Sentences on the limitations of the result."""
        found = []
        for recipe in self.recipes:
            for c in self.budgets:
                at = self.text_budget(float(c))
                lost = float(self.unreachable.loc[c, recipe])
                if lost > 0.0:
                    found.append(
                        f"{recipe} does not reach the loss of {self.baseline} at {at} in "
                        f"{format_share(lost, 4)} of the draws, with a million times the "
                        "budget: its speedup is zero there."
                    )
                lost = float(self.undefined.loc[c, recipe])
                if lost > 0.0:
                    found.append(
                        f"{recipe} or {self.baseline} has no optimum at {at} in "
                        f"{format_share(lost, 4)} of the draws, which are left out."
                    )
        last = float(self.budgets.max())
        for name, (_, largest) in self.costs_of_runs.items():
            if (times := last / largest) > FAR:
                found.append(
                    f"{self.text_budget(last)} is {format_number(times, 2)} times the largest run "
                    f"of {name}: the interval assumes that the law of each recipe holds that far."
                )
        if not self.is_paired and not self.is_point:
            found.append(
                "The fits are separate: an error that they share, such as that of a common floor, "
                "is counted twice. In one fit with the recipes as levels it is counted once."
            )
        own = dict.fromkeys(s.curve.caveat for s in self.sources.values() if s.curve.caveat)
        return (*found, *own)

    @cached_property
    def costs_of_runs(self) -> dict[str, tuple[float, float]]:
        """The cost of the smallest and of the largest run of each recipe."""
        found = {}
        for name, source in self.sources.items():
            if source.runs is None:
                continue
            spent = cost_of_runs(source, self.cost)
            if self.is_paired:
                (fit,) = source.fits.values()
                levels = fit.levels(self.by)
                own = levels.codes(column_of(source.runs, self.by)) == levels.codes([name])[0]
                spent = spent[own]
            found[name] = float(spent.min()), float(spent.max())
        return found

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Return medians and equal-tailed intervals by recipe and budget.

        Parameters
        ----------
        prob
            Probability of the interval.

        Returns
        -------
        DataFrame
            Indexed by ``recipe`` and ``budget``: ``speedup``, and ``budget_needed`` by the recipe
            (infinite where it does not reach the loss), with ``_lower`` and ``_upper``;
            ``p_better``, ``p_best``, and the shares ``unreachable`` and ``undefined`` of draws.
        """
        return flag_failure(self.numbers(prob), self.diagnostics)

    def to_frame(self, prob: float = 0.9) -> pd.DataFrame:
        """Return the table with recipe and budget as columns."""
        return self.table(prob).reset_index()

    def numbers(self, prob: float = 0.9) -> pd.DataFrame:
        """Return the table without its header or warning of failed checks."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
            lower, middle, upper = np.nanquantile(self._values, tail_quantiles(prob), axis=-1)
        index = pd.MultiIndex.from_product([self.recipes, self.budgets], names=["recipe", "budget"])
        columns: dict[str, Array] = {
            "speedup": middle,
            "speedup_lower": lower,
            "speedup_upper": upper,
        }
        with np.errstate(divide="ignore"):
            columns |= {
                "budget_needed": self.budgets / middle,
                "budget_needed_lower": self.budgets / upper,
                "budget_needed_upper": self.budgets / lower,
            }
        frames = {
            "p_better": self.p_better,
            "p_best": self.p_best[list(self.recipes)],
            "unreachable": self.unreachable,
            "undefined": self.undefined,
        }
        columns |= {name: frame.to_numpy().T for name, frame in frames.items()}
        return pd.DataFrame({name: x.ravel() for name, x in columns.items()}, index=index)

    def text_table(self, prob: float = 0.9) -> pd.DataFrame:
        """Return the table formatted as text."""
        numbers = self.numbers(prob)

        def text(row: "pd.Series[float]", name: str, style: Callable[[float], str]) -> str:
            middle, *ends = (row[f"{name}{end}"] for end in ("", "_lower", "_upper"))
            if np.isnan(middle):
                return "none"
            shown = [style(x) if np.isfinite(x) else "out of reach" for x in (middle, *ends)]
            return shown[0] if self.is_point else f"{shown[0]} [{shown[1]}, {shown[2]}]"

        rows = [row for _, row in numbers.iterrows()]
        columns = {
            "speedup": [text(row, "speedup", _text_factor) for row in rows],
            "budget needed": [
                text(row, "budget_needed", self._text_needed(float(row.name[1])))  # type: ignore[index]
                for row in rows
            ],
        }
        if not self.is_point:
            columns["P(better)"] = [f"{row['p_better']:.2f}" for row in rows]
            if len(self.recipes) > 1:
                columns["P(best)"] = [f"{row['p_best']:.2f}" for row in rows]
        recipes, budgets = (numbers.index.get_level_values(i) for i in range(2))
        index = pd.MultiIndex.from_arrays(
            [recipes, [self.text_budget(float(c)) for c in budgets]], names=numbers.index.names
        )
        return pd.DataFrame(columns, index=index)

    def _text_needed(self, budget: float) -> Callable[[float], str]:
        """Return the format of the budgets that recipes need for the loss of the baseline."""

        def text(needed: float) -> str:
            known = self.text_budget(needed)
            return f"at most {known}" if needed * _MOST <= budget else known

        return text

    def text_budget(self, budget: float) -> str:
        """Format a budget with its unit: ``5.76e23 FLOP``."""
        return format_budget(budget, self.cost.unit)


def _text_factor(speedup: float) -> str:
    return f"at least {format_number(speedup)}" if speedup >= _MOST else format_number(speedup)
