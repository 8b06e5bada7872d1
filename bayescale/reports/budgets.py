"""The optimum over a grid of budgets, for the slider of the page."""

import warnings

import numpy as np
import pandas as pd

from bayescale.allocation.allocate import optima
from bayescale.allocation.plans import cost_of_runs
from bayescale.allocation.result import TEXT_COLUMNS, Allocation
from bayescale.posterior.protocol import Posterior
from bayescale.posterior.summary import tail_quantiles
from bayescale.reports.blocks import Budgets, Table
from bayescale.units import format_share

NODES = 61
"""Budgets of the grid, without those of the report."""

BEYOND = 10.0
"""Upper end of the grid, as a multiple of the largest budget of the report or of the runs."""

_DIGITS = 7
"""Significant digits of the numbers in the page."""

_ROWS = 11
"""Rows of the table that replaces the slider where there is no script."""

_STYLES = dict(TEXT_COLUMNS.values())

LABELS = {
    "n_opt": "parameters N",
    "d_opt": "tokens D",
    "tokens_per_param": "tokens per parameter",
    "loss_plan": "loss of the plan",
    "loss_run": "loss of a run",
}


def along_budgets(fit: Posterior, plan: Allocation, prob: float) -> Budgets:
    """Return quantiles of the optimum, from the smallest run to beyond the largest budget.

    The nodes include the budgets of the report, where values are those of `allocate`; between
    nodes the page interpolates linearly in logarithms.
    """
    cost = plan.cost
    costs = cost_of_runs(fit, cost)
    low = min(costs.min(), plan.budgets.min())
    high = BEYOND * max(costs.max(), plan.budgets.max())
    nodes = np.union1d(np.geomspace(low, high, NODES), plan.budgets)
    optimum = optima(fit, budget=nodes, **plan.terms)
    draws = optimum.draws
    lower, middle, upper = tail_quantiles(prob)
    levels = sorted({lower, *tail_quantiles(0.5), upper})
    quantiles = {}
    with warnings.catch_warnings():
        # If no draw has an optimum, the quantiles are NaN, which the page shows as no optimum.
        warnings.filterwarnings("ignore", "All-NaN slice")
        for name in LABELS:
            values = draws[name].to_numpy().reshape(-1, len(nodes))
            quantiles[name] = np.nanquantile(values, levels, axis=0)
    record = {
        "unit": cost.unit,
        "prob": prob,
        "quantiles": levels,
        "budget": nodes.tolist(),
        **{name: [_rounded(row) for row in rows] for name, rows in quantiles.items()},
        "no_optimum": _rounded(np.isnan(draws["n_opt"].to_numpy()).mean(axis=(0, 1))),
        "times_largest": _rounded(optimum.extrapolation["compute"].to_numpy()),
        "asked": plan.budgets.tolist(),
    }
    ends = [levels.index(x) for x in (lower, middle, upper)]
    return Budgets(
        record=record,
        labels=LABELS,
        columns={
            "median": (levels.index(middle),),
            **{
                format_share(share): tuple(levels.index(tail_quantiles(share)[i]) for i in (0, 2))
                for share in (0.5, prob)
            },
        },
        ends=(plan.text_budget(float(nodes[0])), plan.text_budget(float(nodes[-1]))),
        requested=tuple(plan.text_budget(float(budget)) for budget in plan.budgets),
        table=_table(plan, nodes, quantiles, ends, prob),
    )


def _rounded(values: np.ndarray) -> list[float | None]:
    return [float(f"{x:.{_DIGITS}g}") if np.isfinite(x) else None for x in values]


def _table(
    plan: Allocation,
    nodes: np.ndarray,
    quantiles: dict[str, np.ndarray],
    ends: list[int],
    prob: float,
) -> Table:
    """Return some nodes as text: about evenly spaced, and every budget of the report."""
    shown = np.linspace(0, len(nodes) - 1, _ROWS).round().astype(int)
    shown = np.union1d(shown, np.searchsorted(nodes, plan.budgets))

    def text(values: np.ndarray, name: str) -> str:
        if np.isnan(values).any():
            return "no optimum"
        low, middle, high = (_STYLES[name](float(x)) for x in values)
        return f"{middle} [{low}, {high}]"

    requested = set(plan.budgets)
    rows = [
        (
            plan.text_budget(float(nodes[i])) + (" (requested)" if nodes[i] in requested else ""),
            *(text(values[ends, i], name) for name, values in quantiles.items()),
        )
        for i in shown
    ]
    header = ("budget", *LABELS.values())
    numbers = pd.DataFrame(
        {
            "budget": nodes[shown],
            **{
                f"{name}{end}": values[ends[i], shown]
                for name, values in quantiles.items()
                for i, end in ((1, ""), (0, "_lower"), (2, "_upper"))
            },
        }
    )
    return Table(
        caption=f"Budgets from the smallest run on: median and {format_share(prob)} interval",
        header=header,
        rows=tuple(rows),
        records=tuple(numbers.to_dict("records")),  # type: ignore[arg-type]
    )
