"""The compute-optimal allocation, draw by draw."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import xarray as xr

from bayescale.constants import Constants, EmpiricalFrontier
from bayescale.costs import ProductCost, six_nd
from bayescale.diagnostics import Diagnostics, diagnose_quantities, lead_with_status
from bayescale.optimum import log_product_of
from bayescale.posterior import Fit
from bayescale.prediction import curve_of, simulate_runs
from bayescale.tables import flag_failure, interval_columns, tail_quantiles
from bayescale.units import (
    format_compute,
    format_count,
    format_number,
    format_share,
    parse_amounts,
)

FAR = 10.0
"""Budgets more than this many times the largest run are called far extrapolations."""


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
"""Headings of the table for people, with the variable and the style of each."""


@dataclass(frozen=True, eq=False)
class Plan:
    """The compute-optimal allocation at one or more budgets, with uncertainty.

    Attributes
    ----------
    draws
        Dims ``chain``, ``draw``, ``compute`` (FLOP). Three losses are kept apart:
        ``loss_opt``, at each draw's own optimum; ``loss_plan``, at the one plan recommended for
        the budget; and ``loss_run``, what one new run of that plan would show. Also ``n_opt``,
        ``d_opt`` and ``tokens_per_param``.
    source
        What it was computed from: a fit, or published constants (a single draw).
    cost
        The rule of compute.
    """

    draws: xr.Dataset
    source: Fit | Constants
    cost: ProductCost

    @property
    def compute(self) -> np.ndarray:
        """The budgets, in FLOP."""
        return self.draws["compute"].to_numpy()

    @cached_property
    def diagnostics(self) -> Diagnostics | None:
        """The gates of the fit and of ln N_opt at each budget; None for published constants."""
        if not isinstance(self.source, Fit):
            return None
        log_n = xr.Dataset({"ln n_opt": np.log(self.draws["n_opt"])})
        return self.source.diagnostics.and_also(diagnose_quantities(log_n))

    @property
    def recommended(self) -> pd.DataFrame:
        """One plan a budget: the median of N_opt, and the tokens that spend the rest.

        N_opt and D_opt are perfectly anti-correlated at a fixed budget, so they are recommended
        as a pair that meets it.
        """
        log_n = np.log(self.draws["n_opt"].to_numpy())
        n_params = np.exp(np.nanmedian(log_n, axis=(0, 1)))
        n_tokens = self.compute / (self.cost.flop_per_param_token * n_params)
        return pd.DataFrame(
            {"n_params": n_params, "n_tokens": n_tokens},
            index=pd.Index(self.compute, name="compute"),
        )

    @property
    def extrapolation(self) -> pd.DataFrame:
        """How many times the largest run each budget is: in compute, size and tokens."""
        plan = self.recommended
        if not isinstance(self.source, Fit):
            return pd.DataFrame(index=plan.index)
        return pd.DataFrame(
            {
                "compute": self.compute / self.source.runs.compute.max(),
                **{name: plan[name] / values.max() for name, values in self.source.inputs.items()},
            },
            index=plan.index,
        )

    @property
    def headline(self) -> str:
        """What the plan rests on, led by the failure if the gates were not passed."""
        if not isinstance(self.source, Fit) or self.diagnostics is None:
            return f"{self.source.name}: {self.source.source}."  # type: ignore[union-attr]
        return lead_with_status(self.source.description, self.diagnostics)

    @property
    def caveats(self) -> tuple[str, ...]:
        """Sentences on how far these numbers may be believed, beyond the gates."""
        found = []
        if isinstance(self.source, Fit):
            far = self.extrapolation["compute"]
            far = far[far > FAR]
            if len(far):
                worst = ", ".join(
                    f"{format_compute(float(c))} is {format_number(float(f), 2)} times"
                    for c, f in zip(far.index, far, strict=True)
                )
                found.append(
                    f"Far beyond the data: {worst} the largest run. "
                    + (
                        "The intervals let the elasticities drift that far as they do inside the "
                        "data."
                        if self.source.model.discrepancy
                        else "The intervals assume that the law holds that far; they do not "
                        "include its being wrong."
                    )
                )
            lost = np.isnan(self.draws["n_opt"].to_numpy()).mean(axis=(0, 1))
            found += [
                f"{format_share(round(float(share), 4))} of the draws have no optimum at "
                f"{format_compute(float(c))}; they are left out of its medians and intervals."
                for c, share in zip(self.compute, lost, strict=True)
                if share > 0
            ]
            if len(self.source.runs.families) > 1:
                found.append(
                    f"{len(self.source.runs.families)} families of runs are fitted by one curve, "
                    "as if they were one."
                )
        law = curve_of(self.source).law
        if law.caveat:
            found.append(law.caveat)
        return tuple(found)

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Return medians and equal-tailed intervals at each budget.

        Parameters
        ----------
        prob
            Probability inside the interval.

        Returns
        -------
        DataFrame
            Indexed by compute in FLOP. For each of ``n_opt``, ``d_opt``, ``tokens_per_param``,
            ``loss_opt``, ``loss_plan`` and ``loss_run``: the median under that name, and
            ``_lower`` and ``_upper``.
        """
        columns = interval_columns(self.draws, prob, "compute")
        return flag_failure(columns, self.diagnostics)

    def text_table(self, prob: float = 0.9) -> pd.DataFrame:
        """Return the same as people read it: ``72.0B [60.1B, 86.4B]``."""
        numbers = interval_columns(self.draws, prob, "compute")
        single = self.draws.sizes["chain"] * self.draws.sizes["draw"] == 1

        def text(row: "pd.Series[float]", name: str, style: Callable[[float], str]) -> str:
            middle = style(row[name])
            ends = f" [{style(row[f'{name}_lower'])}, {style(row[f'{name}_upper'])}]"
            return middle if single else middle + ends

        return pd.DataFrame(
            {
                heading: [text(row, name, style) for _, row in numbers.iterrows()]
                for heading, (name, style) in TEXT_COLUMNS.items()
            },
            index=pd.Index([format_compute(c) for c in self.compute], name="compute"),
        )

    def __str__(self) -> str:
        return "\n".join([self.headline, *self.caveats, self.text_table().to_string()])

    def __repr__(self) -> str:
        return f"<Plan at {', '.join(format_compute(c) for c in self.compute)}>\n{self}"

    def _repr_html_(self) -> str:
        from html import escape

        caveats = "".join(f"<p>{escape(c)}</p>" for c in (self.headline, *self.caveats))
        return caveats + self.text_table().to_html()


def allocate(
    source: Fit | Constants | EmpiricalFrontier,
    *,
    compute: object,
    cost: ProductCost = six_nd,
) -> Plan:
    """Find the size and tokens of least loss at given budgets, for every posterior draw.

    Parameters
    ----------
    source
        A fit, or published constants.
    compute
        One budget or several: FLOP, or text such as ``"5.76e23"`` or ``"100 PF-days"``. This is
        compute as spent, never Kaplan's batch-adjusted C_min.
    cost
        The rule that ties compute to size and tokens.

    Returns
    -------
    Plan
        Draws of the optimum, and tables of them.

    Raises
    ------
    AmountError
        If a budget is not a positive amount.
    TypeError
        If `source` is an empirical frontier, or a law that is not of size and tokens.

    Notes
    -----
    Under C = k N D the optimum of each law that ships has a closed form (Hoffmann et al. 2022,
    equation 4, for the two-term laws); for others it is searched for, and a draw without an
    optimum between one parameter and one token has none (NaN). Each draw gets its own optimum:
    logarithms of A and alpha are correlated so strongly that the optimum at their posterior
    means is not its mean.

    Examples
    --------
    >>> import bayescale as bs
    >>> plan = bs.allocate(bs.published("besiroglu2024"), compute="5.76e23")
    >>> round(float(plan.table()["tokens_per_param"].iloc[0]), 4)
    18.3912
    """
    if isinstance(source, EmpiricalFrontier):
        spent = source.variable == "compute"
        raise TypeError(
            f"{source.name} is a frontier that a paper gives, not a law, and is in "
            + ("compute as spent" if spent else "batch-adjusted compute C_min")
            + f"; ask it with .at({source.variable}=...)."
        )
    budgets = parse_amounts(compute, "compute", "compute")
    curve = curve_of(source)
    law = curve.law
    if not law.takes_size_and_tokens:
        raise TypeError(
            f"The law {law.name} is of {', '.join(law.inputs)}; compute can be split between size "
            "and tokens only under a law of n_params and n_tokens."
        )
    log_product = log_product_of(budgets, cost)
    log_n = curve.optimal_log_params(log_product).transpose("chain", "draw", "compute")
    log_d = log_product - log_n
    draws = xr.Dataset(
        {
            "n_opt": np.exp(log_n),
            "d_opt": np.exp(log_d),
            "tokens_per_param": np.exp(log_d - log_n),
            "loss_opt": curve.response({"n_params": log_n, "n_tokens": log_d}),
        }
    )
    plan_log_n = log_n.median(("chain", "draw"))
    draws["loss_plan"] = curve.response(
        {"n_params": plan_log_n, "n_tokens": log_product - plan_log_n}
    )
    draws = draws.transpose("chain", "draw", "compute")
    if isinstance(source, Fit):
        columns = source.model.columns
        at_plans = {
            columns["n_params"]: np.exp(plan_log_n.to_numpy()),
            columns["n_tokens"]: np.exp((log_product - plan_log_n).to_numpy()),
        }
        draws["loss_run"] = simulate_runs(source, draws["loss_plan"], at_plans)
    else:
        draws["loss_run"] = draws["loss_plan"].copy()
    return Plan(draws, source, cost)


def optimal_sizes(
    source: Fit | Constants, compute: Iterable[float], prob: float, cost: ProductCost = six_nd
) -> xr.DataArray:
    """Return quantiles of N_opt over a grid of budgets, dims ``quantile`` and ``compute``."""
    log_product = log_product_of(np.asarray(list(compute)), cost)
    log_n = curve_of(source).optimal_log_params(log_product)
    found = log_n.quantile(tail_quantiles(prob), dim=("chain", "draw"))
    return found.copy(data=np.exp(found.to_numpy()))
