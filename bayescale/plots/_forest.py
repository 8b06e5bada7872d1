"""Forest plot of a pooled fit: parameters of each family, and of a new one."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from bayescale.allocation.allocate import optima
from bayescale.costs import Cost, six_nd
from bayescale.data.levels import NEW, Levels
from bayescale.errors import CardError
from bayescale.plots.style import BLUE, GREY, tidy
from bayescale.posterior.fit import Fit
from bayescale.posterior.summary import tail_quantiles
from bayescale.units import format_budget, format_count, format_share

UNSEEN = "a new one"
"""Label of a new level, which no run has."""


def forest(
    fit: Fit,
    budget: object = None,
    prob: float = 0.9,
    axes: np.ndarray | None = None,
    cost: Cost = six_nd,
    fixed: Mapping[str, object] | None = None,
) -> np.ndarray:
    """Draw the parameters that differ between families, with intervals, a row for each family.

    Parameters
    ----------
    fit
        A posterior of a model with pooling.
    budget
        A budget, in FLOP or as text: then N_opt of each family is drawn too.
    prob
        Probability inside the thin bars; the thick ones are 50 %.
    axes
        One Axes for each quantity; a new figure unless given.
    cost, fixed
        The cost, and values of the law's other inputs, as in `allocate`.

    Returns
    -------
    ndarray of Axes

    Raises
    ------
    CardError
        If the model does not pool natural parameters.
    """
    column = fit.model.grouping
    if not column:
        raise CardError(
            f"{fit.model.id}: no natural parameter differs between levels of a column, so there "
            "are no families to compare. Fit a card with pooling, such as chinchilla-pooled."
        )
    labels = list(map(str, Levels.of(fit.runs, column).labels))
    fits = {label: fit.sel(**{column: label}) for label in labels}
    fits[UNSEEN] = fit.sel(**{column: NEW})
    names = [e.of for e in fit.model.effects if e.over == column and e.of in fit.law.parameters]
    panels = [
        _Panel(name, {label: each.curve.parameters[name] for label, each in fits.items()})
        for name in names
    ]
    if budget is not None:
        plans = {
            label: optima(each, budget=budget, cost=cost, fixed=fixed)
            for label, each in fits.items()
        }
        at = format_budget(float(plans[UNSEEN].budgets[0]), cost.unit)
        best = {label: plan.draws["n_opt"].isel(budget=0) for label, plan in plans.items()}
        panels.append(_Panel(f"N_opt at {at}", best, on_log=True))
    if axes is None:
        import matplotlib.pyplot as plt

        height = 1.3 + 0.34 * len(fits)
        axes = plt.subplots(
            1,
            len(panels),
            figsize=(1.2 + 2.0 * len(panels), height),
            layout="constrained",
            sharey=True,
            squeeze=False,
        )[1]
    flat: list[Axes] = list(np.ravel(axes))
    for i, (ax, panel) in enumerate(zip(flat, panels, strict=True)):
        panel.draw(ax, prob)
        if i == 0:
            ax.set_yticks(range(len(fits)), labels=list(fits))
            ax.set_xlabel(f"median, 50 %, {format_share(prob)}", fontsize=8)
    return axes


@dataclass(frozen=True, eq=False)
class _Panel:
    """One quantity for each family: its draws by label, and whether its axis is logarithmic."""

    title: str
    rows: Mapping[str, xr.DataArray]
    on_log: bool = False

    def draw(self, ax: Axes, prob: float) -> None:
        """Draw intervals and medians, a row for each family."""
        for y, (label, draws) in enumerate(self.rows.items()):
            colour = GREY if label == UNSEEN else BLUE
            values = draws.to_numpy().ravel()
            values = values[np.isfinite(values)]
            for share, width in ((prob, 1.2), (0.5, 3.6)):
                low, _, high = np.quantile(values, tail_quantiles(share))
                ax.hlines(y, low, high, color=colour, linewidth=width)
            ax.plot(np.median(values), y, "o", color=colour, markersize=5)
        ax.set_ylim(len(self.rows) - 0.5, -0.5)
        if self.on_log:
            ax.set_xscale("log")
            low, high = ax.get_xlim()
            # Families seldom span a decade, so the decade ticks of a log axis are too sparse.
            ax.xaxis.set_major_locator(
                LogLocator(base=10, subs=(1, 2, 5)) if high > 10 * low else MaxNLocator(3)
            )
            ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: format_count(x, 2)))
            ax.xaxis.set_minor_locator(NullLocator())
        else:
            ax.xaxis.set_major_locator(MaxNLocator(3))
        ax.tick_params(labelsize=8)
        ax.set_title(self.title, fontsize=10)
        tidy(ax)
