"""Frontier: optimal sizes at several budgets, and the power law through them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayescale.costs import ProductCost
from bayescale.posterior.result import Result
from bayescale.posterior.summary import tail_quantiles
from bayescale.units import Amount, format_compute, format_share, parse_amounts


@dataclass(frozen=True, eq=False, repr=False)
class Frontier(Result):
    """Estimated optimal sizes, and the power law fitted to them.

    Attributes
    ----------
    method
        Name of the approach.
    budgets
        One row per budget, indexed by compute in FLOP: ``n_opt`` and ``d_opt`` with their
        intervals, ``loss_opt``, ``n_runs``, and, for approach 2, ``bias``: the bias in ln N_opt
        from approximating the loss by a parabola.
    draws
        Draws of ln k and of the exponent ``a`` in N_opt = k C^a, as columns.
    notes
        Caveats on the results.
    left_out
        The caveats on excluded budgets.
    prob
        Probability inside the intervals.
    """

    method: str
    budgets: pd.DataFrame
    draws: pd.DataFrame
    notes: tuple[str, ...]
    prob: float
    cost: ProductCost
    left_out: tuple[str, ...] = ()

    def exponents(self) -> pd.DataFrame:
        """Return the exponents a of N_opt and b = 1 - a of D_opt: median and interval."""
        ends = tail_quantiles(self.prob)
        a = self.draws["a"].to_numpy()
        rows = {name: np.quantile(values, ends) for name, values in (("a", a), ("b", 1.0 - a))}
        table = pd.DataFrame.from_dict(rows, orient="index", columns=["lower", "median", "upper"])
        table.index.name = f"{format_share(self.prob)} interval"
        return table[["median", "lower", "upper"]]

    def at(self, compute: Amount | Sequence[Amount]) -> pd.DataFrame:
        """Return N_opt and D_opt at other budgets from the power law, with intervals.

        Parameters
        ----------
        compute
            Budgets in FLOP or as text.
        """
        budgets = parse_amounts(compute, "compute", "compute")
        log_n = self.draws["ln_k"].to_numpy()[:, None] + self.draws[["a"]].to_numpy() * np.log(
            budgets
        )
        return table_of(np.exp(log_n), budgets, self.cost, self.prob)

    @property
    def caveats(self) -> tuple[str, ...]:
        """Limits of validity: the notes."""
        return self.notes

    @property
    def headline(self) -> str:
        """The method, and the number of budgets."""
        return f"{self.method}, {len(self.budgets)} budgets, {format_share(self.prob)} intervals"

    @property
    def sentences(self) -> tuple[str, ...]:
        """The exponents, with their intervals."""
        return tuple(
            f"{name} = {row['median']:.3f} [{row['lower']:.3f}, {row['upper']:.3f}]"
            for name, row in self.exponents().iterrows()
        )

    def text_table(self) -> pd.DataFrame:
        """Return the optimum at each budget, to four digits."""
        shown = self.budgets.map("{:.4g}".format)
        shown.index = pd.Index([format_compute(float(c)) for c in shown.index], name="compute")
        return shown


def table_of(
    n_opt: NDArray[np.float64], compute: NDArray[np.float64], cost: ProductCost, prob: float
) -> pd.DataFrame:
    """Return optimal sizes and tokens with intervals, from draws of the sizes at each budget."""
    low, middle, high = np.nanquantile(n_opt, tail_quantiles(prob), axis=0)
    product = compute / cost.flop_per_param_token
    return pd.DataFrame(
        {
            "n_opt": middle,
            "n_opt_lower": low,
            "n_opt_upper": high,
            "d_opt": product / middle,
            "d_opt_lower": product / high,
            "d_opt_upper": product / low,
        },
        index=pd.Index(compute, name="compute"),
    )
