"""The terms of a plan on the page, and the decision for them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from bayescale.allocation.plans import largest_compute
from bayescale.costs import Cluster, Cost, Lifetime, Serving, six_nd
from bayescale.costs.limits import Limits
from bayescale.decision.decide import decide
from bayescale.decision.result import Decision
from bayescale.errors import AmountError
from bayescale.laws.constants import Constants
from bayescale.posterior.average import with_draws
from bayescale.posterior.fit import Fit
from bayescale.posterior.point import as_posterior

QUICK = 400
"""Number of draws of a first answer: the Monte Carlo error of an optimum is then one twentieth of
its standard deviation."""

FEWEST = 100
"""Minimum number of draws inside a range of floors for a decision."""

UTILISATION = 0.4
"""Share of the peak rate that training attains, as in the examples of the documentation."""

_STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
_BELOW, _BEYOND = 1, 4
"""Decades below and beyond the largest run that budgets cover."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """The terms of a plan.

    Attributes
    ----------
    budget
        Compute in FLOP, of training, or of training and serving if there are served tokens.
    serving_tokens
        Tokens to be served; zero for none.
    cluster
        GPUs, their peak, utilisation and price.
    max_tokens
        Available training tokens; None if they are unlimited.
    plans
        Plans to compare, as ``"7B,2T; small=3B,1T"``.
    floor
        Lowest and highest floor of the law that are considered; None for all draws.
    certain
        Take the law's median coefficients as known, without noise or discrepancy.
    prob
        Probability of bands and intervals.
    fixed
        Values of the law's other inputs.
    """

    budget: float
    serving_tokens: float = 0.0
    cluster: Cluster
    max_tokens: float | None = None
    plans: str = ""
    floor: tuple[float, float] | None = None
    certain: bool = False
    prob: float = 0.9
    fixed: Mapping[str, str] = field(default_factory=dict)

    def answer(self, fit: Fit, draws: int | None = None) -> Decision:
        """Return the decision for these terms, from about a number of draws, or from all."""
        posterior = fit if self.floor is None else between_floors(fit, *self.floor)
        source = median_of(fit) if self.certain else posterior.thin(draws) if draws else posterior
        return decide(
            source,
            budget=self.budget,
            plans=read_plans(self.plans),
            cost=self._cost,
            cluster=self.cluster,
            limits=Limits(max_tokens=self.max_tokens),
            fixed=self.fixed or None,
            prob=self.prob,
        )

    @property
    def _cost(self) -> Cost:
        if not self.serving_tokens:
            return six_nd
        return Lifetime(Serving(n_tokens=self.serving_tokens), train=six_nd)


def median_of(fit: Fit) -> Constants:
    """Return the law with the median coefficients of the posterior, as if they were known."""
    return Constants(
        name=fit.model.id,
        law=fit.law.name,
        parameters=fit.coefficients(),
        source="the median coefficients of the fit",
    )


def between_floors(fit: Fit, low: float, high: float) -> Fit:
    """Return the posterior conditional on a floor in a range: the draws inside the range.

    Raises
    ------
    AmountError
        If there are too few of them.
    """
    floors = floors_of(fit)
    inside = np.flatnonzero((low <= floors) & (floors <= high))
    if len(inside) < FEWEST:
        raise AmountError(
            f"floor: found {len(inside)} of {len(floors)} draws between {low:g} and {high:g}, "
            f"expected at least {FEWEST}. Widen the range, or state the floor of a new fit (fit "
            "--floor)."
        )
    return fit if len(inside) == len(floors) else with_draws(fit, inside)


def floors_of(fit: Fit) -> np.ndarray:
    """Return the floor of each draw, one chain after the other; empty without a floor."""
    name = fit.law.floor
    if not name:
        return np.empty(0)
    draws = fit.parameters[name].transpose("chain", "draw")
    return np.asarray(draws.to_numpy().ravel(), dtype=float)


def read_plans(text: str) -> dict[str, tuple[str, str]]:
    """Return plans to compare, of text such as ``"7B,2T; small=3B,1T"``.

    Examples
    --------
    >>> from bayescale.explore.question import read_plans
    >>> read_plans("7B,2T; small=3B,1T")
    {'7B on 2T': ('7B', '2T'), 'small': ('3B', '1T')}
    """
    found = {}
    for entry in filter(None, map(str.strip, text.split(";"))):
        name, _, plan = entry.rpartition("=")
        parts = [part.strip() for part in plan.split(",")]
        if len(parts) != 2 or not all(parts):
            raise AmountError(
                f"plans: found {entry!r}, expected size and tokens such as 7B,2T, with a ; between "
                "plans."
            )
        found[name.strip() or f"{parts[0]} on {parts[1]}"] = (parts[0], parts[1])
    return found


def budgets_for(fit: Fit, budget: float | None = None) -> tuple[list[float], float]:
    """Return the budgets of the slider, and its initial one: ten times the largest run."""
    largest = largest_compute(as_posterior(fit), six_nd)
    first = math.floor(math.log10(largest)) - _BELOW
    found = {
        float(f"{step}e{power}")
        for power in range(first, first + _BELOW + _BEYOND + 1)
        for step in _STEPS
    }
    if budget is not None:
        return sorted(found | {budget}), budget
    return sorted(found), min(x for x in found if x >= 10 * largest)
