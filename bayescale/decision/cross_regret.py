"""cross_regret: what it costs to plan by one law where another holds."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayescale.allocation.allocate import parse_budgets
from bayescale.costs import Cost, as_cost, six_nd
from bayescale.costs.budget import Array
from bayescale.costs.limits import NO_LIMITS, Limits
from bayescale.decision.decide import least_regret
from bayescale.decision.regret import Regrets
from bayescale.errors import AmountError
from bayescale.laws.optimum import Split
from bayescale.posterior.point import Source, as_posterior
from bayescale.posterior.result import Result
from bayescale.posterior.summary import tail_quantiles
from bayescale.units import format_budget, format_count, format_number


@dataclass(frozen=True, eq=False, repr=False)
class CrossRegret(Result):
    """The regret of the plan of each law, under the draws of each law.

    Attributes
    ----------
    plans
        The plan of least expected regret of each law: ``n_params``, ``n_tokens``, by law.
    draws
        Draws of regret, by the law that was believed and the law that holds: the share of the
        budget that the optimum of the draw would not have needed for the same loss. A draw
        without an optimum is missing.
    budget, cost
        What is spent, and what it is of.
    supported
        The laws that the runs support: only these may hold, and only their plans be the safest.
    """

    plans: pd.DataFrame
    draws: Mapping[tuple[str, str], Array]
    budget: float
    cost: Cost
    supported: tuple[str, ...]

    @property
    def matrix(self) -> pd.DataFrame:
        """The expected regret: a row for the law believed, a column for the law that holds."""
        mean = self._cells(0.9)[0]
        names = pd.Index(self._names)
        return pd.DataFrame(mean, index=names.rename("believed"), columns=names.rename("holds"))

    @property
    def _names(self) -> list[str]:
        return list(map(str, self.plans.index))

    def _cells(self, prob: float) -> Array:
        """Return the mean and the two ends of every cell, shape (3, believed, holds)."""
        low, _, high = tail_quantiles(prob)
        cells = [
            (np.nanmean(regret), *np.nanquantile(regret, [low, high]))
            for regret in self.draws.values()
        ]
        return np.array(cells).T.reshape(3, len(self.plans), len(self.plans))

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Return the regret of every pair of laws.

        Returns
        -------
        DataFrame
            Indexed by ``believed`` and ``holds``: the expected ``regret`` as a share of the
            budget, its equal-tailed interval ``regret_lower`` and ``regret_upper`` over the
            posterior of the law that holds, and ``wasted``, the expected regret in the unit of
            the cost.
        """
        mean, lower, upper = self._cells(prob).reshape(3, -1)
        index = pd.MultiIndex.from_tuples(list(self.draws), names=["believed", "holds"])
        columns = {"regret": mean, "regret_lower": lower, "regret_upper": upper}
        return pd.DataFrame({**columns, "wasted": mean * self.budget}, index=index)

    def text_table(self, prob: float = 0.9) -> pd.DataFrame:
        """Return the matrix as people read it, with the plan of each law."""
        cells = self._cells(prob)
        columns = {
            "plan": [
                f"{format_count(row['n_params'])} on {format_count(row['n_tokens'])}"
                for _, row in self.plans.iterrows()
            ]
        }
        for i, holds in enumerate(self._names):
            columns[f"if {holds} holds"] = [
                f"{percent(mean)} % [{percent(lower)}, {percent(upper)}]"
                for mean, lower, upper in cells[:, :, i].T
            ]
        return pd.DataFrame(columns, index=pd.Index(self._names, name="planned by"))

    @property
    def sentences(self) -> tuple[str, ...]:
        """The dearest mistake, and the plan that is least wrong whichever law holds."""
        mean, names = self._cells(0.9)[0], self._names
        held = np.array([name in self.supported for name in names])
        # What is supposed to hold is what the runs support; one may believe anything.
        off = np.where(np.eye(len(mean), dtype=bool) | ~held, -np.inf, mean)
        believed, holds = (names[i] for i in divmod(int(off.argmax()), len(mean)))
        dearest = float(off.max())
        worst = np.where(held, np.where(held, mean, -np.inf).max(axis=1), np.inf)
        budget, lost = (format_budget(x * self.budget, self.cost.unit) for x in (1.0, dearest))
        among = "these laws" if held.all() else "the laws that the runs support"
        found = [
            f"At {budget}, planning by {believed} where {holds} holds wastes "
            f"{percent(dearest)} % of the budget ({lost}): the dearest mistake.",
            f"The plan of {names[int(worst.argmin())]} is the safest: whichever of {among} holds, "
            f"it is expected to waste at most {percent(float(worst.min()))} %.",
        ]
        if not held.all():
            others = ", ".join(name for name, there in zip(names, held, strict=True) if not there)
            found.append(f"The runs do not support {others}: a plan of it is not weighed.")
        return tuple(found)


def percent(share: float) -> str:
    """Return a share in per cent, to two digits; less than a hundredth of one is none."""
    return format_number(round(100.0 * share, 2), 2)


def cross_regret(
    sources: Mapping[str, Source],
    *,
    compute: object,
    cost: Cost | Callable[[Any, Any], Any] = six_nd,
    fixed: Mapping[str, object] | None = None,
    limits: Limits = NO_LIMITS,
    supported: Collection[str] | None = None,
) -> CrossRegret:
    """Plan by each law and pay under each other, over the posterior.

    Parameters
    ----------
    sources
        Fits, averages of laws or published constants, by name.
    compute
        The budget, in the unit of the cost.
    cost, fixed, limits
        As in `decide`.
    supported
        The laws that the runs support, such as those with a stacking weight: what is said of the
        safest plan and of the dearest mistake supposes that one of them holds. All unless given.

    Returns
    -------
    CrossRegret
        A plan for each law, and its regret under the draws of each.

    Raises
    ------
    AmountError
        If a budget cannot be read, or there are several.
    UnsuitableLawError
        If a law is not one of size and tokens.

    Notes
    -----
    The plan of a law is that of least expected regret under its own draws, as `decide` finds it.
    The diagonal is therefore not zero: it is what not knowing the constants of the law costs, and
    what a row has beyond it is the price of the wrong law.

    Examples
    --------
    >>> import bayescale as bs
    >>> papers = {n: bs.published(n) for n in ("hoffmann2022", "besiroglu2024")}
    >>> found = bs.cross_regret(papers, compute="5.76e23")
    >>> found.matrix.round(3).to_numpy().tolist()
    [[0.0, 0.205], [0.179, 0.0]]
    """
    if len(sources) < 2:
        raise ValueError(f"sources: found {len(sources)} laws, expected two or more, by name.")
    cost = as_cost(cost)
    budgets = parse_budgets(compute, cost)
    if len(budgets) > 1:
        raise AmountError(
            f"compute: found {len(budgets)} budgets, expected one; ask for each on its own."
        )
    budget = float(budgets[0])
    regrets = {}
    for name, source in sources.items():
        curve = as_posterior(source).curve
        split = Split.of(curve.law, fixed)
        regrets[name] = Regrets(curve, cost, budget, fixed=split.fixed, limits=limits)
    log_n = {name: least_regret(found) for name, found in regrets.items()}
    sizes = np.array(list(log_n.values()))
    spending = next(iter(regrets.values())).spending
    log_d = spending.log_tokens(sizes, np.zeros(len(sizes), dtype=np.intp))
    draws: dict[tuple[str, str], Array] = {}
    for holds, found in regrets.items():
        regret = found.regret(found.log_loss(sizes, log_d)).reshape(-1, len(sizes))
        draws |= {(name, holds): regret[:, i] for i, name in enumerate(log_n)}
    order = {(b, h): draws[b, h] for b in log_n for h in log_n}
    plans = pd.DataFrame(
        {"n_params": np.exp(sizes), "n_tokens": np.exp(log_d)},
        index=pd.Index(list(log_n), name="model"),
    )
    kept = tuple(name for name in log_n if supported is None or name in supported)
    if not kept:
        raise ValueError(f"supported: found none of {', '.join(log_n)}, expected one at least.")
    return CrossRegret(plans, order, budget, cost, kept)
