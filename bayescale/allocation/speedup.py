"""speedup: the compute-equivalent speedup of a recipe over another, for every draw."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bayescale.allocation.equal_loss import speedup_draws
from bayescale.allocation.plans import parse_budgets
from bayescale.allocation.speedup_result import Speedup
from bayescale.costs import Cost, as_cost, six_nd
from bayescale.costs.limits import NO_LIMITS, Limits
from bayescale.errors import (
    CardError,
    UnknownNameError,
    UnsuitableLawError,
    as_list,
    did_you_mean,
)
from bayescale.laws.optimum import Split
from bayescale.posterior.point import Source, as_posterior
from bayescale.posterior.protocol import Posterior


def speedup(
    source: Source | Mapping[str, Source],
    *,
    budget: object,
    baseline: str,
    by: str | None = None,
    recipes: Sequence[str] | None = None,
    cost: Cost | Callable[[Any, Any], Any] = six_nd,
    fixed: Mapping[str, object] | None = None,
    limits: Limits = NO_LIMITS,
) -> Speedup:
    """Return the compute-equivalent speedup of recipes over a baseline, for every draw.

    The speedup of a recipe at a budget C is C over the smallest budget with which the recipe
    reaches the loss of the baseline's compute-optimal plan for C; both use their own
    compute-optimal plans.

    Parameters
    ----------
    source
        A fit whose model groups runs by recipe, which is compared draw by draw; or separate fits,
        averages of laws or published constants by name, whose draws are independent.
    budget
        One or several budgets of the baseline: FLOP, or text such as ``"5.76e23"``.
    baseline
        The recipe to compare with: a level, or a name.
    by
        The grouping factor of which the recipes are levels; the only one of the fit unless given.
    recipes
        The recipes to compare with the baseline; all others unless given.
    cost
        The cost of a plan (`bayescale.costs`), the same for every recipe.
    fixed, limits
        Values of the law's inputs other than size and tokens, and constraints on plans.

    Returns
    -------
    Speedup
        Draws of the speedup, its summaries, and the probability that a recipe is better.

    Raises
    ------
    UnsuitableLawError
        If a law is not one of size and tokens.
    CardError, UnknownNameError
        If the model does not group runs by `by`, or there is no such recipe.
    AmountError
        If a budget cannot be read, or plans within the limits cannot spend it.

    Notes
    -----
    A recipe whose floor lies above the loss never reaches it. The speedup of such draws is zero,
    so that they count in medians, intervals and P(better), and their share is stated. Speedups
    beyond a million count as a million.

    In one fit, recipes share what their model shares: population, noise, the floor unless it is
    pooled by recipe, and the discrepancy. Runs of several recipes at one size and number of tokens
    are paired if the model has an effect of settings, ``[pooling.loss."n_params+n_tokens"]``.

    Examples
    --------
    >>> import bayescale as bs
    >>> papers = {n: bs.published(n) for n in ("hoffmann2022", "besiroglu2024")}
    >>> found = bs.speedup(papers, baseline="hoffmann2022", budget="5.76e23")
    >>> round(float(found.draws.squeeze()), 3)
    0.161
    """
    cost = as_cost(cost)
    budgets = np.unique(parse_budgets(budget, cost))
    if isinstance(source, Mapping):
        if by is not None:
            raise ValueError(f"by: found {by!r} with separate fits, expected a fit of all recipes.")
        if len(source) < 2:
            raise ValueError(
                f"source: found {', '.join(map(str, source)) or 'nothing'}, expected two recipes "
                "or more by name."
            )
        sources, by = {str(name): as_posterior(each) for name, each in source.items()}, ""
        split, *_ = (Split.of(each.law, fixed) for each in sources.values())
    else:
        split = Split.of(as_posterior(source).law, fixed)
        sources, by = levels_of(source, by)
    asked = as_list(recipes or list(sources))
    chosen = [baseline, *(name for name in asked if name != baseline)]
    for i, name in enumerate(chosen):
        if name not in sources:
            raise UnknownNameError(
                f"{'recipes' if i else 'baseline'}: found {name!r}, expected one of "
                f"{', '.join(sources)}.{did_you_mean(str(name), sources)}"
            )
    if len(chosen) < 2:
        raise ValueError(f"recipes: found {baseline!r} alone, expected another one to compare.")
    sources = {name: sources[name] for name in chosen}
    draws = speedup_draws(sources, budgets, cost, split.fixed, limits, paired=bool(by))
    return Speedup(draws, sources, by, cost, split.fixed, limits)


def levels_of(source: Source, by: str | None) -> tuple[dict[str, Posterior], str]:
    """Return the fit at each level of a grouping factor, by name, and the factor."""
    posterior = as_posterior(source)
    if len(posterior.fits) != 1:
        raise UnsuitableLawError(
            f"source: found {source!r}, expected a fit whose model groups runs by recipe, or "
            "several sources by name."
        )
    (fit,) = posterior.fits.values()
    inputs = set(fit.columns.values())
    known = [c for c in fit.groupings if not inputs & set(c.split("+"))]
    if by is None and len(known) != 1:
        raise CardError(
            f"by: the model {fit.model.id} groups runs by {', '.join(known) or 'nothing'}; "
            "expected one grouping factor of recipes. Give by=, or use a card that pools over one, "
            "such as chinchilla-recipes."
        )
    by = known[0] if by is None else by
    if by in fit.groups:
        raise CardError(
            f"{by}: found a fit of {fit.groups[by]} alone, expected one of all levels. Leave "
            "out its selection: sel, or --group and --new-level."
        )
    levels = [str(level) for level in fit.levels(by).labels]
    return {level: posterior.sel(**{by: level}) for level in levels}, by
