"""Estimate the exponent of N_opt from runs: by parabolas, from training curves, or by a law."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayescale.baselines.isoflop import SAME_BUDGET, isoflop_parabolas
from bayescale.costs import six_nd
from bayescale.costs.budget import Spending
from bayescale.data.runs import Runs
from bayescale.errors import RunsError
from bayescale.inference.fit import fit_quietly
from bayescale.model.card import load_model
from bayescale.posterior.fit import Fit

type Way = Literal["parabolas", "curves", "law"]

WIDTH = 8.0
"""Parabolas are fitted to sizes within this factor of the best: under a decade on either side."""

_SIZES, _MIN_BUDGETS = 4, 3
"""Smallest numbers of sizes at a budget, and of budgets."""

_BUDGETS = 16
_GRID = 200
_ON_EACH_SIDE = 2
"""Sizes required on either side of the best one, if budgets can be chosen."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Draws of the exponent, and the method.

    Attributes
    ----------
    draws
        Draws of the exponent a of N_opt = k C^a.
    how
        The method, as text.
    caveats
        Caveats on the estimate.
    """

    draws: NDArray[np.float64]
    how: str
    caveats: tuple[str, ...] = ()


def way_for(steps: Sequence[Runs], curve: str) -> Way:
    """Return the method with the fewest assumptions that the runs of all steps allow."""
    if all(
        len(budgets_with_a_minimum(runs)) >= _MIN_BUDGETS and _at_budgets(runs) for runs in steps
    ):
        return "parabolas"
    if all(_has_curves(runs, curve) for runs in steps):
        return "curves"
    return "law"


def measure(
    runs: Runs, way: Way, *, curve: str, width: float, card: str, options: Mapping[str, Any]
) -> Measured:
    """Estimate the exponent.

    Raises
    ------
    RunsError
        If the runs do not identify it by that method.
    """
    if way == "law":
        fit = fit_quietly(runs, load_model(card), **options)
        status = () if fit.diagnostics.ok else (fit.diagnostics.status,)
        return Measured(exponent_of(fit), f"the {card} card", status)
    at_budgets = slices(runs, curve) if way == "curves" else runs
    budgets = budgets_with_a_minimum(at_budgets)
    if len(budgets) < _MIN_BUDGETS:
        raise RunsError(
            f"{runs.name}: found {len(budgets)} budgets with {_SIZES} sizes whose best size "
            f"lies between others, expected at least {_MIN_BUDGETS}. Add sizes, or measure by a "
            "law."
        )
    found = isoflop_parabolas(
        at_budgets,
        budgets=budgets,
        width=width,
        drop_edges=True,
        seed=int(options.get("seed") or 0),
    )
    # The bias of parabolas affects the intercept only, not the exponent.
    return Measured(
        found.draws["a"].to_numpy(), f"parabolas at {len(found.budgets)} budgets", found.left_out
    )


def exponent_of(fit: Fit) -> NDArray[np.float64]:
    """Return draws of the slope of ln N_opt on ln C over the range of compute of the runs."""
    ends = np.array([fit.runs.compute.min(), fit.runs.compute.max()])
    log_n = fit.curve.optimum(Spending(six_nd, ends)).transpose("budget", ...).to_numpy()
    slope = (log_n[1] - log_n[0]).ravel() / np.log(ends[1] / ends[0])
    found: NDArray[np.float64] = slope[np.isfinite(slope)]
    return found


def budgets_with_a_minimum(runs: Runs) -> list[float]:
    """Return the budgets with at least four sizes whose best is not the smallest or largest."""
    found = []
    for rows in _budgets(runs):
        size = runs.n_params[rows]
        best = size[np.argmin(runs.loss[rows])]
        if len(np.unique(size)) >= _SIZES and size.min() < best < size.max():
            found.append(float(np.exp(np.log(runs.compute[rows]).mean())))
    return found


def _budgets(runs: Runs) -> list[NDArray[np.intp]]:
    """Return the rows of each budget; runs spread continuously over compute have no budgets."""
    log_c = np.log(runs.compute)
    order = np.argsort(log_c, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(log_c[order]) > SAME_BUDGET) + 1)
    return [rows for rows in groups if np.ptp(log_c[rows]) <= 2.0 * SAME_BUDGET]


def _at_budgets(runs: Runs) -> bool:
    """Return whether more than half of the runs share a budget with others."""
    shared = sum(len(rows) for rows in _budgets(runs) if len(rows) >= _SIZES)
    return shared > 0.5 * len(runs)


def _has_curves(runs: Runs, curve: str) -> bool:
    table = runs.table
    return curve in table and int((table[curve].value_counts() > 1).sum()) >= _SIZES


def slices(runs: Runs, curve: str, budgets: int = _BUDGETS) -> Runs:
    """Return the losses of training curves at common budgets, by interpolation in ln C.

    Raises
    ------
    RunsError
        If at no compute the best size has enough others on both sides.
    """
    log_c, log_loss, log_n = np.log(runs.compute), np.log(runs.loss), np.log(runs.n_params)
    labels = runs.table[curve].astype(str).to_numpy()
    curves: list[_Curve] = []
    for label in dict.fromkeys(labels):
        rows = np.flatnonzero(labels == label)
        rows = rows[np.argsort(log_c[rows], kind="stable")]
        if len(rows) > 1:
            curves.append(_Curve(label, float(log_n[rows[0]]), log_c[rows], log_loss[rows]))
    grid = _common_budgets(curves, budgets)
    if not len(grid):
        raise RunsError(
            f"{runs.name}: found {len(curves)} curves of more than one checkpoint, and no compute "
            "at which the best of four or more lies between others. Name the column of curves "
            "(curve=), add sizes, or measure by a law."
        )
    parts = []
    for each in curves:
        losses = each.at(grid)
        inside = np.isfinite(losses)
        parts.append(
            pd.DataFrame(
                {
                    "run": each.label,
                    "n_params": np.exp(each.log_n),
                    "n_tokens": np.exp(grid - each.log_n)[inside] / six_nd.flop_per_param_token,
                    "compute": np.exp(grid)[inside],
                    "loss": np.exp(losses[inside]),
                }
            )
        )
    return replace(runs, _table=pd.concat(parts, ignore_index=True))


@dataclass(frozen=True, eq=False)
class _Curve:
    label: str
    log_n: float
    log_c: NDArray[np.float64]
    log_loss: NDArray[np.float64]

    def at(self, log_c: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return ln L at compute within the curve, NaN outside."""
        return np.interp(log_c, self.log_c, self.log_loss, left=np.nan, right=np.nan)


def _common_budgets(curves: list[_Curve], budgets: int) -> NDArray[np.float64]:
    """Return ln of evenly spaced budgets at which the best curve has others on both sides."""
    if len(curves) < _SIZES:
        return np.array([])
    grid = np.linspace(min(c.log_c[0] for c in curves), max(c.log_c[-1] for c in curves), _GRID)
    ordered = sorted(curves, key=lambda c: c.log_n)
    losses = np.stack([c.at(grid) for c in ordered])
    finite = np.isfinite(losses)
    best = np.argmin(np.where(finite, losses, np.inf), axis=0)
    rank = np.arange(len(curves))[:, None]
    below, above = (finite & (rank < best)).sum(axis=0), (finite & (rank > best)).sum(axis=0)
    inside = np.flatnonzero((below >= _ON_EACH_SIDE) & (above >= _ON_EACH_SIDE))
    if not len(inside):
        return np.array([])
    return np.linspace(grid[inside[0]], grid[inside[-1]], budgets)
