"""Allocation: the compute-optimal plans of budgets, their intervals and sentences."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayescale.allocation.plans import FAR, columns_of_plans, largest_compute
from bayescale.costs import Cluster, Cost
from bayescale.costs.budget import Spending
from bayescale.costs.limits import NO_LIMITS, Limits
from bayescale.laws.optimum import Split
from bayescale.posterior.diagnostics import Diagnostics, diagnose_quantities
from bayescale.posterior.extrapolation import beyond_runs, headline_at
from bayescale.posterior.predict import blocks, simulate_runs
from bayescale.posterior.protocol import Posterior
from bayescale.posterior.result import Result
from bayescale.posterior.summary import flag_failure, interval_columns
from bayescale.units import (
    format_budget,
    format_count,
    format_days,
    format_money,
    format_number,
    format_share,
)


def _format_loss(value: float) -> str:
    return format_number(value, 4)


TEXT_COLUMNS: Mapping[str, tuple[str, Callable[[float], str]]] = {
    "N_opt": ("n_opt", format_count),
    "D_opt (tokens)": ("d_opt", format_count),
    "D/N": ("tokens_per_param", format_number),
    "loss at optimum": ("loss_opt", _format_loss),
    "loss of plan": ("loss_plan", _format_loss),
    "loss of next run": ("loss_run", _format_loss),
}
"""Headings of the formatted table, with the variable and the format of each."""


@dataclass(frozen=True, eq=False, repr=False)
class Allocation(Result):
    """The compute-optimal allocation at one or more budgets, with uncertainty.

    Attributes
    ----------
    log_n
        Draws of ln N_opt, with dims ``chain``, ``draw``, ``budget``; NaN for draws without an
        optimum. All other quantities derive from them.
    source
        The posterior: a fit, an average of laws, or published constants (a single draw).
    cost
        The cost function of the budgets.
    fixed, limits
        Values of the law's other inputs, and constraints on plans other than the budget.
    cluster
        The training cluster, for days and money, if known.
    """

    log_n: xr.DataArray
    source: Posterior
    cost: Cost
    fixed: Mapping[str, float] = field(default_factory=dict)
    limits: Limits = NO_LIMITS
    cluster: Cluster | None = None

    @cached_property
    def draws(self) -> xr.Dataset:
        """Draws of all quantities, with dims ``chain``, ``draw``, ``budget`` (FLOP).

        There are three losses: ``loss_opt`` at the optimum of each draw, ``loss_plan`` at the plan
        recommended for the budget, and ``loss_run``, the posterior predictive of one run of that
        plan. The other variables are ``n_opt``, ``d_opt`` and ``tokens_per_param``.
        """
        return self._part(slice(None))

    def _part(self, part: slice) -> xr.Dataset:
        """Return the draws of a slice of the budgets."""
        curve = self.source.curve
        split = Split.of(curve.law, self.fixed)
        spending = Spending(self.cost, self.budgets[part], self.limits)
        log_n = self.log_n.isel(budget=part)
        log_d = log_n.copy(data=spending.log_tokens(log_n.to_numpy()))
        middle = xr.DataArray(self._middle[part], dims="budget", coords={"budget": log_n["budget"]})
        sizes, tokens = middle.to_numpy(), spending.log_tokens(middle.to_numpy())
        draws = xr.Dataset(
            {
                "n_opt": np.exp(log_n),
                "d_opt": np.exp(log_d),
                "tokens_per_param": np.exp(log_d - log_n),
                "loss_opt": curve.loss(split, log_n, log_d),
                "loss_plan": curve.loss(split, middle, middle.copy(data=tokens)),
            }
        ).transpose("chain", "draw", "budget")
        draws["loss_run"] = simulate_runs(
            self.source,
            draws["loss_plan"],
            columns_of_plans(self.source, split, sizes, tokens),
            alone=True,
        )
        return draws

    @property
    def _parts(self) -> list[slice]:
        return blocks(len(self.budgets), self.source)

    def intervals(self, prob: float = 0.9) -> pd.DataFrame:
        """Return the medians and intervals of `table`, without days and money."""
        if len(self._parts) == 1:
            return interval_columns(self.draws, prob, "budget")
        return pd.concat(
            [interval_columns(self._part(part), prob, "budget") for part in self._parts]
        )

    @cached_property
    def _middle(self) -> NDArray[np.float64]:
        """The median of ln N_opt at each budget."""
        log_n = self.log_n.to_numpy()
        with warnings.catch_warnings():
            # The median is NaN at a budget where no draw has an optimum.
            warnings.simplefilter("ignore", RuntimeWarning)
            found = [np.nanmedian(log_n[..., part], axis=(0, 1)) for part in self._parts]
        return np.concatenate(found)

    @property
    def terms(self) -> dict[str, Any]:
        """Cost, fixed inputs and limits, as keyword arguments of `allocate`."""
        return {"cost": self.cost, "fixed": self.fixed, "limits": self.limits}

    @property
    def budgets(self) -> np.ndarray:
        """The budgets, in the unit of the cost (FLOP by default)."""
        return self.log_n["budget"].to_numpy()

    @cached_property
    def spending(self) -> Spending:
        """The budget constraints."""
        return Spending(self.cost, self.budgets, self.limits)

    @cached_property
    def diagnostics(self) -> Diagnostics | None:
        """Diagnostics of the fit and of ln N_opt at each budget; None for published constants.

        For an average of laws, those of the fits only, since its draws do not form chains.
        """
        found = self.source.diagnostics
        if found is None or not self.source.has_chains:
            return found
        for part in self._parts:
            log_n = self.log_n.isel(budget=part)
            # Draws without an optimum are counted elsewhere and are no sign of non-convergence.
            known = log_n.fillna(xr.DataArray(self._middle[part], dims="budget"))
            # Where a limit binds in every draw, N_opt is the limit, and no estimate to check.
            over = ("chain", "draw")
            estimated = known[{"budget": (known.min(over) != known.max(over)).to_numpy()}]
            if estimated.size:
                found = found.join(diagnose_quantities(xr.Dataset({"ln n_opt": estimated})))
        return found

    @property
    def recommended(self) -> pd.DataFrame:
        """One plan per budget: the median of N_opt, and the tokens that exhaust the budget.

        N_opt and D_opt are perfectly anti-correlated at a fixed budget, so that the tokens follow
        from the size.
        """
        middle = self._middle
        return pd.DataFrame(
            {"n_params": np.exp(middle), "n_tokens": np.exp(self.spending.log_tokens(middle))},
            index=pd.Index(self.budgets, name="budget"),
        )

    @property
    def no_optimum(self) -> pd.Series:
        """Share of draws without an optimum at each budget, excluded from its row."""
        lost = np.isnan(self.log_n.to_numpy()).mean(axis=(0, 1))
        return pd.Series(lost, index=pd.Index(self.budgets, name="budget"), name="no_optimum")

    @property
    def at_limit(self) -> pd.Series:
        """Share of draws with an active constraint at each budget."""
        held: Any = 0.0
        if self.limits:
            log_n = self.log_n.to_numpy()
            parts = [(p, Spending(self.cost, self.budgets[p], self.limits)) for p in self._parts]
            held = np.concatenate(
                [spending.at_limit(log_n[..., p]).mean(axis=(0, 1)) for p, spending in parts]
            )
        return pd.Series(held, index=pd.Index(self.budgets, name="budget"), name="at_limit")

    @property
    def extrapolation(self) -> pd.DataFrame:
        """Ratio of each recommended plan to the largest run, in compute, size and tokens."""
        plan = self.recommended
        if self.source.is_point:
            return pd.DataFrame(index=plan.index)
        compute = self.cost.training(plan["n_params"], plan["n_tokens"])
        largest = {name: values.max() for name, values in self.source.inputs.items()}
        return pd.DataFrame(
            {
                "compute": compute / largest_compute(self.source, self.cost),
                **{n: plan[n] / most for n, most in largest.items() if n in plan},
            },
            index=plan.index,
        )

    @property
    def headline(self) -> str:
        """Description, extrapolation and diagnostics, with a failure first."""
        return headline_at(self.source, self._columns_of_plans, self.diagnostics)

    @property
    def beyond(self) -> pd.DataFrame:
        """Distance of each recommended plan from the range of the runs; see `beyond_runs`."""
        found = beyond_runs(self.source, self._columns_of_plans)
        return found.set_axis(self.recommended.index) if len(found) else found

    @property
    def _columns_of_plans(self) -> dict[str, NDArray[np.float64]]:
        """The recommended plans as columns of runs."""
        plan, split = self.recommended, Split.of(self.source.law, self.fixed)
        log_n, log_d = (np.log(plan[name].to_numpy()) for name in ("n_params", "n_tokens"))
        return columns_of_plans(self.source, split, log_n, log_d)

    @property
    def caveats(self) -> tuple[str, ...]:
        """Sentences on the limitations of the results, other than diagnostics."""
        found = []
        if self.source.runs is not None:
            far = self.extrapolation["compute"]
            far = far[far > FAR]
            if len(far):
                worst = ", ".join(
                    f"{self.text_budget(float(c))} is {format_number(float(f), 2)} times"
                    for c, f in zip(far.index, far, strict=True)
                )
                found.append(
                    f"Far beyond the data: {worst} the largest run. "
                    + (
                        "The intervals assume that losses depart from the law beyond the data as "
                        "they do within it and in public sweeps."
                        if self.source.has_discrepancy
                        else "The intervals assume that the law holds that far; they do not "
                        "include misfit of the law."
                    )
                )
            if len(self.source.runs.families) > 1 and "family" not in self.source.groupings:
                found.append(
                    f"{len(self.source.runs.families)} families of runs are fitted as one."
                )
        found += [
            f"{format_share(share, 4)} of the draws have no optimum at "
            f"{self.text_budget(float(c))}; they are left out of its medians and intervals."
            for c, share in zip(self.budgets, self.no_optimum, strict=True)
            if share > 0
        ]
        found += [
            f"A limit ({self.limits}) binds in {format_share(share, 4)} of the "
            f"draws at {self.text_budget(float(c))}."
            for c, share in zip(self.budgets, self.at_limit, strict=True)
            if share > 0
        ]
        caveat = self.source.curve.caveat
        return (*found, caveat) if caveat else tuple(found)

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Return medians and equal-tailed intervals at each budget.

        Parameters
        ----------
        prob
            Probability of the interval.

        Returns
        -------
        DataFrame
            Indexed by budget, in the unit of the cost. For each of ``n_opt``, ``d_opt``,
            ``tokens_per_param``, ``loss_opt``, ``loss_plan`` and ``loss_run``: the median under
            that name, and ``_lower`` and ``_upper``. If the cluster is known, ``days``,
            ``gpu_hours`` and ``training_money`` of the recommended plan.
        """
        return flag_failure(self.intervals(prob).assign(**self._hardware), self.diagnostics)

    @property
    def _hardware(self) -> dict[str, NDArray[np.float64]]:
        """Days, GPU-hours and money of the recommended plans, if the cluster is known."""
        cost, plan = self.cost, self.recommended
        cluster = self.cluster or cost.cluster
        if cluster is None:
            return {}
        compute = np.asarray(cost.training(plan["n_params"], plan["n_tokens"]))
        found = {"days": cluster.days(compute), "gpu_hours": cluster.gpu_hours(compute)}
        if cluster.price is not None:
            found["training_money"] = cluster.money(compute)
        return found

    def text_table(self, prob: float = 0.9) -> pd.DataFrame:
        """Return the table formatted as text: ``72.0B [60.1B, 86.4B]``."""
        numbers, single = self.intervals(prob), self.source.is_point

        def text(row: "pd.Series[float]", name: str, style: Callable[[float], str]) -> str:
            middle = style(row[name])
            ends = f" [{style(row[f'{name}_lower'])}, {style(row[f'{name}_upper'])}]"
            return middle if single else middle + ends

        return pd.DataFrame(
            {
                heading: [text(row, name, style) for _, row in numbers.iterrows()]
                for heading, (name, style) in TEXT_COLUMNS.items()
            }
            | {
                heading: [style(value) for value in self._hardware[name]]
                for heading, name, style in (
                    ("days", "days", format_days),
                    ("training cost", "training_money", self._money),
                )
                if name in self._hardware
            },
            index=pd.Index([self.text_budget(c) for c in self.budgets], name="budget"),
        )

    def _money(self, value: float) -> str:
        cost = self.cost
        cluster = self.cluster or cost.cluster
        return format_money(value, cluster.currency if cluster else "$")

    def text_budget(self, budget: float) -> str:
        """Format a budget with its unit: ``5.76e23 FLOP``, or ``$2.50M``."""
        return format_budget(budget, self.cost.unit)
