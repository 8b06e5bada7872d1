"""comparison_runs: the runs that best resolve which of two recipes is better."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayescale._seeds import Stream, seed_of
from bayescale.allocation.equal_loss import REACH
from bayescale.allocation.plans import parse_budgets
from bayescale.allocation.speedup_result import Speedup
from bayescale.costs.budget import Array
from bayescale.errors import AmountError, UnknownNameError, UnsuitableLawError, did_you_mean
from bayescale.experiment_design.candidates import affordable, pool_of
from bayescale.experiment_design.preposterior import (
    JUDGED,
    SHRINKAGES,
    Learning,
    Outcomes,
    Simulated,
    choose_batch,
    decisions,
    effective_draws,
)
from bayescale.experiment_design.result import text_of_runs
from bayescale.posterior.diagnostics import with_status
from bayescale.posterior.result import Result
from bayescale.units import (
    format_budget,
    format_compute,
    format_number,
    parse_amount,
)

_FEWEST = 100
"""Smallest number of draws of a speedup."""


@dataclass(frozen=True, eq=False, repr=False)
class ComparisonRuns(Result):
    """Runs of a baseline and a recipe, and the probability of a wrong choice after them.

    Attributes
    ----------
    runs
        One row per run, ordered by value per FLOP: ``recipe``, the inputs of the model,
        ``compute`` (FLOP), and ``after``, the expected share of the variance of the log speedup
        that remains after this and the preceding runs.
    comparison
        The comparison.
    recipe, budget
        The recipe, and the budget of the baseline at which it is compared.
    before, after
        Probability of choosing the worse recipe, now and on average after the runs.
    mcse
        Monte Carlo standard error of their difference.
    """

    runs: pd.DataFrame
    comparison: Speedup
    recipe: str
    budget: float
    before: float
    after: float
    mcse: float

    @property
    def compute(self) -> float:
        """Total compute of the runs, in FLOP."""
        return float(self.runs["compute"].sum())

    @property
    def headline(self) -> str:
        """What is compared, with failed checks first."""
        said, diagnostics = self.comparison.headline, self.comparison.diagnostics
        return said if diagnostics is None else with_status(said, diagnostics)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The advice in words."""
        sign = f"The sign of the difference between {self.recipe} and {self.comparison.baseline}"
        where = f"at {format_budget(self.budget, self.comparison.cost.unit)}"
        if self.before == 0.0:
            return (f"{sign} {where} is the same in all draws, and no run is needed to decide it.",)
        wrong = format_number(100 * self.before, 2)
        if not len(self.runs):
            return (
                f"{sign} {where} is misjudged with probability {wrong} % now, and no run within "
                "the budget is expected to lower it.",
            )
        count = "the run" if len(self.runs) == 1 else f"the {len(self.runs)} runs"
        found = [
            f"{sign} {where} is misjudged with probability {wrong} % now, and "
            f"{format_number(100 * self.after, 2)} % on average after {count} "
            f"({format_compute(self.compute)}); the Monte Carlo standard error of the difference "
            f"is {format_number(100 * self.mcse, 2)} %."
        ]
        if self.before - self.after <= 2.0 * self.mcse:
            found.append("The difference is within Monte Carlo error.")
        return tuple(found)

    @property
    def caveats(self) -> tuple[str, ...]:
        """Caveats of the comparison."""
        return self.comparison.caveats

    def table(self) -> pd.DataFrame:
        """Return the runs."""
        return self.runs.copy()

    def text_table(self) -> pd.DataFrame:
        """Return the table formatted for display."""
        return text_of_runs(self.runs)


def comparison_runs(
    comparison: Speedup,
    *,
    budget: object,
    recipe: str | None = None,
    at: object = None,
    candidates: object = None,
    n_runs: int = 6,
    seed: int | None = None,
) -> ComparisonRuns:
    """Choose the runs that best resolve whether a recipe is better than the baseline.

    Parameters
    ----------
    comparison
        What `bayescale.speedup` returned of one fit whose levels are the recipes.
    budget
        Total compute of the new runs, in FLOP.
    recipe
        The recipe to compare with the baseline; the one whose P(better) is nearest to a half unless
        given.
    at
        The budget of the comparison, one of those that it was made for; the largest unless given.
    candidates
        Runs to choose from, of either recipe, as in `bayescale.next_runs`.
    n_runs
        Maximal number of runs.
    seed
        Seed of the simulated outcomes; that of the fit unless given.

    Returns
    -------
    ComparisonRuns
        The runs by recipe, and the probability of a wrong choice before and after them.

    Raises
    ------
    UnsuitableLawError
        If the comparison is of separate fits or constants, whose draws are not joint.
    UnknownNameError
        If there is no such recipe.
    AmountError
        If an amount cannot be read, no candidate is within the budget, or the speedup is defined
        in too few draws.

    Notes
    -----
    As in `bayescale.next_runs`, outcomes of all candidates are simulated from every draw, and the
    batch minimises the residual variance of the best linear predictor of the log speedup. Half of
    the draws choose the batch and the shrinkage of the predictor, the other half count how often
    the sign that it predicts is wrong. New runs share the group effects of their recipe alone.

    Examples
    --------
    >>> import bayescale as bs
    >>> runs = bs.load_runs("overtraining").where("n_params > 5e7 and family != 'c4'")
    >>> fit = bs.fit(runs, "chinchilla-quality", seed=1, draws=250, progress=False)
    >>> found = bs.speedup(fit, baseline="redpajama", budget="1e21")
    >>> advice = bs.comparison_runs(found, budget="1e20", n_runs=2)
    >>> set(advice.runs["recipe"]) <= {"redpajama", "refinedweb"}, advice.compute <= 1.001e20
    (True, True)
    """
    if not comparison.is_paired:
        raise UnsuitableLawError(
            "comparison: found separate fits, whose draws are not joint. Fit the recipes as levels "
            "of one model, with a card such as chinchilla-recipes."
        )
    if not isinstance(n_runs, int | np.integer) or n_runs < 1:
        raise ValueError(f"n_runs: found {n_runs!r}, expected an integer of at least 1.")
    most = parse_amount(budget, "compute", "budget")
    place = _budget_of(comparison, at)
    name = _recipe_of(comparison, recipe, place)
    chosen = comparison.draws.sel(recipe=name).isel(budget=place).transpose("chain", "draw")
    with np.errstate(divide="ignore"):
        log_speedup = np.clip(np.log(chosen.to_numpy()), -REACH, REACH)
    known = np.flatnonzero(np.isfinite(log_speedup.ravel()))
    if len(known) < _FEWEST:
        raise AmountError(
            f"comparison: found {len(known)} draws with a speedup of {name}, expected at least "
            f"{_FEWEST}. Compare at another budget, or draw more."
        )
    pool, outcomes = _outcomes(comparison, name, candidates, most, seed)
    choosing, judging = known[::2], known[1::2]
    learning = Learning.of(outcomes, log_speedup.ravel(), choosing)
    batch = choose_batch(learning, pool["compute"].to_numpy(), most, n_runs)
    judge = _Judge(log_speedup, learning, batch, outcomes)
    shrinkage = min(SHRINKAGES, key=lambda s: judge.wrong(s, choosing, 1).mean())
    now, then = judge.wrong(0.0, judging, 1), judge.wrong(shrinkage, judging, JUDGED)
    return ComparisonRuns(
        runs=learning.ranked(pool, batch),
        comparison=comparison,
        recipe=name,
        budget=float(comparison.budgets[place]),
        before=float(now.mean()),
        after=float(then.mean()),
        mcse=_error(now - then, judging // log_speedup.shape[1], len(log_speedup)),
    )


@dataclass(frozen=True, eq=False)
class _OfRecipes:
    """Outcomes of runs of several recipes, one after another, from joint draws."""

    parts: tuple[Outcomes, ...]

    @cached_property
    def mean(self) -> xr.DataArray:
        """Draws of the mean response, with dims chain, draw, run."""
        return xr.concat([part.mean for part in self.parts], dim="run", coords="minimal")

    def simulate(self, repeat: int) -> Array:
        """Return one simulated ln response of each draw and run."""
        return np.concatenate([part.simulate(repeat) for part in self.parts], axis=-1)


@dataclass(frozen=True, eq=False)
class _Judge:
    """The error rate of a rule that chooses the better recipe from simulated outcomes."""

    log_speedup: Array
    learning: Learning
    batch: list[int]
    outcomes: Simulated

    def wrong(self, shrinkage: float, draws: NDArray[np.intp], repeats: int) -> Array:
        """Return the share of simulated outcomes of each draw with a wrong choice."""
        found, values = np.zeros(len(draws)), self.log_speedup.ravel()[draws]
        start = float(np.median(self.learning.target))
        for predicted in decisions(
            self.learning, self.outcomes, self.batch, start, shrinkage, draws, repeats
        ):
            found += (predicted > 0.0) != (values > 0.0)
        return found / repeats


def _outcomes(
    comparison: Speedup, recipe: str, candidates: object, budget: float, seed: int | None
) -> tuple[pd.DataFrame, _OfRecipes]:
    """Return the affordable runs of the baseline and of the recipe, and their outcomes."""
    tables, parts = [], []
    for number, name in enumerate((comparison.baseline, recipe)):
        source = comparison.sources[name]
        pool = pool_of(source, candidates, budget, comparison.cost.training, comparison.fixed)
        pool = affordable(pool, budget)
        own = seed_of(source.seed if seed is None else seed, Stream.COMPARISON_RUNS, number)
        parts.append(Outcomes.of(source, pool, own))
        pool.insert(0, "recipe", name)
        tables.append(pool)
    return pd.concat(tables, ignore_index=True), _OfRecipes(tuple(parts))


def _budget_of(comparison: Speedup, at: object) -> int:
    """Return the place of a budget among those of a comparison."""
    budgets = comparison.budgets
    if at is None:
        return int(budgets.argmax())
    asked = parse_budgets(at, comparison.cost, "at")
    places = np.flatnonzero(np.isclose(budgets, asked[0], rtol=1e-6))
    if len(asked) > 1 or not len(places):
        shown = ", ".join(comparison.text_budget(float(b)) for b in budgets)
        raise AmountError(f"at: found {at!r}, expected a budget of the comparison: {shown}.")
    return int(places[0])


def _recipe_of(comparison: Speedup, recipe: str | None, place: int) -> str:
    """Return the given recipe, or the one whose P(better) is nearest to a half."""
    if recipe is None:
        doubt = (comparison.p_better.iloc[place] - 0.5).abs()
        return str(doubt.idxmin())
    if recipe not in comparison.recipes:
        raise UnknownNameError(
            f"recipe: found {recipe!r}, expected one of {', '.join(comparison.recipes)}."
            f"{did_you_mean(str(recipe), comparison.recipes)}"
        )
    return recipe


def _error(gain: Array, of_chain: NDArray[np.intp], chains: int) -> float:
    """Return the Monte Carlo standard error of the mean gain of the evaluation draws."""
    if np.ptp(gain) == 0.0:
        return 0.0
    return float(gain.std(ddof=1) / np.sqrt(effective_draws(gain, of_chain, chains)))
