"""cross_regret: the regret of planning by one law if another is true."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayescale.allocation.plans import parse_budgets
from bayescale.costs import Cost, as_cost, six_nd
from bayescale.costs.budget import Array
from bayescale.costs.limits import NO_LIMITS, Limits
from bayescale.decision.decide import least_regret
from bayescale.decision.regret import Regrets
from bayescale.errors import AmountError, UnsuitableLawError, as_list, expect_mapping, listed
from bayescale.laws.optimum import Split
from bayescale.posterior.point import Source, as_posterior
from bayescale.posterior.result import Result
from bayescale.posterior.summary import tail_quantiles
from bayescale.units import format_budget, format_count, format_number


@dataclass(frozen=True, eq=False, repr=False)
class CrossRegret(Result):
    """The regret of the plan of each law, under the posterior of each law.

    Attributes
    ----------
    plans
        The plan of minimum expected regret of each law: ``n_params`` and ``n_tokens``, by law.
    draws
        Draws of regret, by the law used for planning and the law that holds: the share of the
        budget that a draw's optimal plan of the same loss saves. NaN without an optimum.
    budget, cost
        The budget, and the cost function.
    supported
        The laws that are supported by the runs, to which the sentences are restricted.
    """

    plans: pd.DataFrame
    draws: Mapping[tuple[str, str], Array]
    budget: float
    cost: Cost
    supported: tuple[str, ...]

    @property
    def matrix(self) -> pd.DataFrame:
        """Expected regret, with rows for the law believed and columns for the law that holds."""
        mean = self._cells(0.9)[0]
        names = pd.Index(self._names)
        return pd.DataFrame(mean, index=names.rename("believed"), columns=names.rename("holds"))

    @property
    def _names(self) -> list[str]:
        return list(map(str, self.plans.index))

    def _cells(self, prob: float) -> Array:
        """Return the mean and the interval of every cell, of shape (3, believed, holds)."""
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
        """Return the matrix formatted as text, with the plan of each law."""
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
    def headline(self) -> str:
        """The laws and the budget."""
        budget = format_budget(self.budget, self.cost.unit)
        return (
            f"Regret of the plan of each of {len(self.plans)} laws where each holds, at {budget}."
        )

    @property
    def sentences(self) -> tuple[str, ...]:
        """Sentences on the largest expected regret, and on the minimax plan."""
        mean, names = self._cells(0.9)[0], self._names
        held = np.array([name in self.supported for name in names])
        # Only supported laws may hold, but any law may be believed.
        off = np.where(np.eye(len(mean), dtype=bool) | ~held, -np.inf, mean)
        believed, holds = (names[i] for i in divmod(int(off.argmax()), len(mean)))
        largest = float(off.max())
        worst = np.where(held, np.where(held, mean, -np.inf).max(axis=1), np.inf)
        budget, lost = (format_budget(x * self.budget, self.cost.unit) for x in (1.0, largest))
        among = "these laws" if held.all() else "the laws that the runs support"
        found = [
            f"At {budget}, planning by {believed} where {holds} holds wastes "
            f"{percent(largest)} % of the budget ({lost}): the costliest error.",
            f"The plan of {names[int(worst.argmin())]} is the minimax one: whichever of {among} "
            f"holds, its expected regret is at most {percent(float(worst.min()))} % of the budget.",
        ]
        if not held.all():
            others = ", ".join(name for name, there in zip(names, held, strict=True) if not there)
            found.append(f"Not considered, since the runs do not support them: {others}.")
        return tuple(found)


def percent(share: float) -> str:
    """Format a share in per cent, to two digits; below 0.005 % it is zero."""
    return format_number(round(100.0 * share, 2), 2)


def cross_regret(
    sources: Mapping[str, Source],
    *,
    budget: object,
    cost: Cost | Callable[[Any, Any], Any] = six_nd,
    fixed: Mapping[str, object] | None = None,
    limits: Limits = NO_LIMITS,
    supported: Collection[str] | None = None,
) -> CrossRegret:
    """Return the regret of the plan of each law under the posterior of every law.

    Parameters
    ----------
    sources
        Fits, averages of laws or published constants, by name.
    budget
        The budget, in the unit of the cost.
    cost, fixed, limits
        As in `decide`.
    supported
        The laws supported by the runs, such as those with a positive stacking weight. Sentences on
        the safest plan and the largest regret assume that one of them holds. All by default.

    Returns
    -------
    CrossRegret
        The plan of each law, and draws of its regret under every law.

    Raises
    ------
    AmountError
        If a budget cannot be read, or there are several.
    UnsuitableLawError
        If a law is not a law of size and tokens.

    Notes
    -----
    The plan of a law minimises expected regret under its own posterior, as in `decide`. The
    diagonal is the expected regret due to uncertain parameters, and therefore not zero; the rest
    of a column beyond it is due to planning by the wrong law.

    Examples
    --------
    >>> import bayescale as bs
    >>> papers = {n: bs.published(n) for n in ("hoffmann2022", "besiroglu2024")}
    >>> found = bs.cross_regret(papers, budget="5.76e23")
    >>> found.matrix.round(3).to_numpy().tolist()
    [[0.0, 0.205], [0.179, 0.0]]
    """
    example = "{'coupled': fit, 'chinchilla': other}"
    expect_mapping(sources, "sources", example, UnsuitableLawError)
    if len(sources) < 2:
        raise ValueError(f"sources: found {len(sources)} laws, expected two or more, by name.")
    cost = as_cost(cost)
    budgets = parse_budgets(budget, cost)
    if len(budgets) > 1:
        raise AmountError(
            f"budget: found {len(budgets)} budgets, expected one; ask for each on its own."
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
    among = list(log_n) if supported is None else as_list(supported)
    kept = tuple(name for name in log_n if name in among)
    if not kept:
        raise ValueError(
            f"supported: found {listed(among) or 'none'}, expected one at least of {listed(log_n)}."
        )
    return CrossRegret(plans, order, budget, cost, kept)
