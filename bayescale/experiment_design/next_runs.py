"""next_runs: choose the runs to launch next by their expected value of information."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayescale.allocation.plans import columns_of_plans, parse_budgets
from bayescale.costs import Cluster, Cost, as_cost, six_nd
from bayescale.costs.budget import Array
from bayescale.costs.limits import NO_LIMITS, Limits
from bayescale.decision.decide import least_regret
from bayescale.decision.regret import Regrets
from bayescale.errors import AmountError, UnsuitableLawError
from bayescale.experiment_design.candidates import affordable, pool_of
from bayescale.experiment_design.preposterior import (
    JUDGED,
    SHRINKAGES,
    Learning,
    Outcomes,
    choose_batch,
    decisions,
    effective_draws,
)
from bayescale.experiment_design.result import MEANINGS, NextRuns, Objective
from bayescale.laws.optimum import Split
from bayescale.posterior.extrapolation import beyond_runs
from bayescale.posterior.point import Source, as_posterior
from bayescale.posterior.protocol import Posterior
from bayescale.units import (
    format_budget,
    format_count,
    parse_amount,
)


def next_runs(
    fit: Source,
    *,
    target: object,
    budget: object,
    candidates: object = None,
    objective: Objective | None = None,
    n_runs: int = 6,
    repeats: int = 1,
    cost: Cost | Callable[[Any, Any], Any] = six_nd,
    limits: Limits = NO_LIMITS,
    fixed: Mapping[str, object] | None = None,
    cluster: Cluster | None = None,
    seed: int | None = None,
) -> NextRuns:
    """Choose the runs to launch next that are expected to improve a decision most.

    Parameters
    ----------
    fit
        A fit, or an average of laws (`bayescale.model_average`).
    target
        The budget to decide on, such as ``"5.76e23"``; or a plan, such as ``("70B", "1.4T")``,
        whose loss is to be predicted.
    budget
        Total compute of the new runs, in FLOP.
    candidates
        Runs to choose from: pairs of size and tokens, or a DataFrame or mapping of the columns
        of the model. By default a grid over the tokens per parameter of the fitted runs, with
        budgets from 1/32 of `budget` to all of it.
    objective
        The quantity to reduce: the expected ``"regret"`` of the chosen plan (the default for a
        budget), the variance of the log optimal ``"size"``, or that of the log ``"loss"`` of a
        plan (the default for a plan).
    n_runs
        Maximal number of runs in a batch.
    repeats
        Maximal number of replicates of a candidate, which are informative on the noise.
    cost, limits, fixed
        As in `bayescale.decide`, for the decision; the new runs cost the training part of `cost`.
    cluster
        The training cluster, for days and money.
    seed
        Seed of the simulated outcomes; the fit's own unless given.

    Returns
    -------
    NextRuns
        The runs, the expected reduction with its Monte Carlo error, and its value.

    Raises
    ------
    AmountError
        If an amount cannot be read, or no candidate is within the budget.
    UnsuitableLawError
        If the law does not split a budget, or for published constants, which new runs do not
        change.
    ValueError
        If the objective does not apply to the target.

    Notes
    -----
    Outcomes of all candidates are simulated from every draw, including discrepancy, group effects
    and noise. The batch minimises the residual variance of the best linear predictor of the
    quantity of interest from the outcomes, within the budget. Half of the draws choose the batch
    and the shrinkage of the predictor, the other half evaluate it. For regret, each evaluation
    draw pays the regret of the size that the predictor selects on its simulated outcomes. A full
    refit is at least as good as the linear predictor, so the reduction is, up to Monte Carlo
    error, a lower bound on the expected one under the model.

    Examples
    --------
    >>> import bayescale as bs
    >>> fit = bs.fit("chinchilla", "chinchilla", seed=1, progress=False)
    >>> advice = bs.next_runs(fit, target="5.76e23", budget="1e22", n_runs=2)
    >>> len(advice.runs), advice.compute <= 1.001e22, advice.after < advice.before
    (2, True, True)
    """
    question = _Question.read(fit, target, objective, as_cost(cost), limits, fixed, cluster, seed)
    most = parse_amount(budget, "compute", "budget")
    for name, count in (("n_runs", n_runs), ("repeats", repeats)):
        if not isinstance(count, int | np.integer) or count < 1:
            raise ValueError(f"{name}: found {count!r}, expected an integer of at least 1.")
    pool = pool_of(question.source, candidates, most, question.training, question.fixed)
    pool = affordable(pool, most)
    # Replicates have independent noise, but share the group effects of their size.
    copies = pd.concat([pool] * min(n_runs, repeats), ignore_index=True)
    outcomes = question.outcomes(copies)
    choosing, _ = question.halves
    learning = Learning.of(outcomes, question.quantity, choosing)
    batch = choose_batch(learning, copies["compute"].to_numpy(), most, n_runs)
    return question.answer(copies, batch, learning, outcomes)


def value_of_runs(
    fit: Source,
    runs: object,
    *,
    target: object,
    objective: Objective | None = None,
    cost: Cost | Callable[[Any, Any], Any] = six_nd,
    limits: Limits = NO_LIMITS,
    fixed: Mapping[str, object] | None = None,
    cluster: Cluster | None = None,
    seed: int | None = None,
) -> NextRuns:
    """Return the expected value of sample information (EVSI) of given runs for a decision.

    Parameters
    ----------
    fit, target, objective, cost, limits, fixed, cluster, seed
        As in `next_runs`.
    runs
        The runs: pairs of size and tokens, or a DataFrame or mapping of the columns of the model.

    Returns
    -------
    NextRuns
        All of the runs, ordered by expected reduction per FLOP.

    Examples
    --------
    >>> import bayescale as bs
    >>> fit = bs.fit("chinchilla", "chinchilla", seed=1, progress=False)
    >>> five = bs.value_of_runs(fit, [("2B", "250B")] * 5, target="5.76e23")
    >>> 0 < five.reduction < five.before
    True
    """
    question = _Question.read(fit, target, objective, as_cost(cost), limits, fixed, cluster, seed)
    if isinstance(runs, Sequence) and not len(runs):
        raise AmountError("runs: found none, expected pairs of size and tokens.")
    pool = pool_of(question.source, runs, np.inf, question.training, question.fixed)
    outcomes = question.outcomes(pool)
    choosing, _ = question.halves
    learning = Learning.of(outcomes, question.quantity, choosing)
    batch = choose_batch(learning, pool["compute"].to_numpy(), np.inf, len(pool))
    rest = [run for run in range(len(pool)) if run not in batch]
    return question.answer(pool, [*batch, *rest], learning, outcomes)


@dataclass(frozen=True, eq=False)
class _Question:
    """The quantity of interest and the objective."""

    source: Posterior
    objective: Objective
    quantity: Array
    words: str
    beyond: pd.DataFrame
    training: Cost
    fixed: Mapping[str, float]
    regrets: Regrets | None
    cluster: Cluster | None
    seed: int

    @classmethod
    def read(
        cls,
        fit: Source,
        target: object,
        objective: Objective | None,
        cost: Cost,
        limits: Limits,
        fixed: Mapping[str, object] | None,
        cluster: Cluster | None,
        seed: int | None,
    ) -> "_Question":
        source = as_posterior(fit)
        if source.is_point:
            raise UnsuitableLawError(
                f"fit: found {source.description} New runs do not change published constants; "
                "give a fit of runs."
            )
        is_plan = isinstance(target, tuple | list) and len(target) == 2
        objective = objective or ("loss" if is_plan else "regret")
        if objective not in MEANINGS or (objective == "loss") != is_plan:
            raise ValueError(
                f"objective: found {objective!r} for the target {target!r}; expected regret or "
                "size for a budget, loss for a plan (size and tokens)."
            )
        curve = source.curve
        most = 1.0 if is_plan else float(_one_budget(target, cost))
        split = Split.of(curve.law, fixed)
        regrets = Regrets(curve, cost, most, split.fixed, limits)
        if is_plan:
            assert isinstance(target, tuple | list)
            size = parse_amount(target[0], "count", "target, n_params")
            tokens = parse_amount(target[1], "count", "target, n_tokens")
            at = xr.DataArray(np.log([size]), dims="plan")
            loss = curve.loss(split, at, xr.DataArray(np.log([tokens]), dims="plan"))
            quantity = np.log(loss.transpose("chain", "draw", "plan").to_numpy())
            words = f"of {format_count(size)} on {format_count(tokens)} tokens"
            log_n, log_d = np.log([size]), np.log([tokens])
        else:
            quantity = regrets.log_n_opt
            words = f"at {format_budget(most, cost.unit)}"
            log_n = np.array([np.nanmedian(quantity)])
            log_d = regrets.spending.log_tokens(log_n)
        return cls(
            source=source,
            objective=objective,
            quantity=quantity.ravel(),
            words=words,
            beyond=beyond_runs(source, columns_of_plans(source, split, log_n, log_d)),
            training=cost.training,
            fixed=split.fixed,
            regrets=None if is_plan else regrets,
            cluster=cluster,
            seed=source.seed if seed is None else seed,
        )

    @property
    def halves(self) -> tuple[Any, Any]:
        """Indices of the draws for choosing and for evaluation, among those with the quantity."""
        there = np.flatnonzero(np.isfinite(self.quantity))
        if len(there) < 100:
            raise AmountError(
                f"target: found {len(there)} draws with an optimum there, expected at least 100 to "
                "estimate the value of runs. Give another target, or limits."
            )
        return there[::2], there[1::2]

    def outcomes(self, pool: pd.DataFrame) -> Outcomes:
        return Outcomes.of(self.source, pool, self.seed)

    def answer(
        self,
        pool: pd.DataFrame,
        batch: list[int],
        learning: Learning,
        outcomes: Outcomes,
    ) -> NextRuns:
        """Evaluate a batch on the draws that were not used to choose it."""
        choosing, judging = self.halves
        start = self._best_now(learning)
        shrinkage = min(
            SHRINKAGES,
            key=lambda s: self._paid(start, s, batch, learning, outcomes, choosing, 1).mean(),
        )
        now = self._price_of(np.full(len(judging), start), judging)
        then = self._paid(start, shrinkage, batch, learning, outcomes, judging, JUDGED)
        gain = now - then
        return NextRuns(
            runs=learning.ranked(pool, batch),
            objective=self.objective,
            before=float(now.mean()),
            after=float(then.mean()),
            mcse=self._error(gain, judging),
            target=self.words,
            source=self.source,
            beyond=self.beyond,
            regrets=self.regrets,
            cluster=self.cluster,
        )

    def _paid(
        self,
        start: float,
        shrinkage: float,
        batch: list[int],
        learning: Learning,
        outcomes: Outcomes,
        draws: Any,
        repeats: int,
    ) -> Array:
        """Return the loss of each draw, averaged over decisions on its simulated outcomes."""
        paid = np.zeros(len(draws))
        for decided in decisions(learning, outcomes, batch, start, shrinkage, draws, repeats):
            paid += self._price_of(decided, draws) / repeats
        return paid

    def _best_now(self, learning: Learning) -> float:
        if self.objective != "regret" or self.regrets is None:
            return float(learning.target.mean())
        return least_regret(self.regrets)

    def _price_of(self, decided: Array, judging: Any) -> Array:
        """Return the loss of each evaluation draw for a decision, or for a point prediction."""
        if self.objective != "regret" or self.regrets is None:
            return np.asarray((decided - self.quantity[judging]) ** 2)
        regrets = self.regrets
        low, high = (float(end[0]) for end in regrets.spending.ends)
        # Other draws are assigned their own optimum; only the evaluation draws are used.
        log_n = np.where(np.isfinite(self.quantity), self.quantity, 0.5 * (low + high))
        log_n[judging] = np.clip(decided, low, high)
        log_n = log_n.reshape(*regrets.log_n_opt.shape, 1)
        log_d = regrets.spending.log_tokens(log_n)
        return np.asarray(regrets.regret(regrets.log_loss(log_n, log_d)).ravel()[judging])

    def _error(self, gain: Array, judging: Any) -> float:
        """Return the Monte Carlo standard error of the mean gain of the evaluation draws.

        The draws of an average of laws are strata of given sizes, each with chains of its own.
        """
        draws = self.quantity.size // self._chains
        of_chain, of_draw = judging // draws, judging % draws
        variance = 0.0
        for _, part, _ in self.source.pieces():
            own = np.isin(of_draw, np.arange(draws)[part])
            count = int(own.sum())
            if count:
                # A single draw does not determine the variance within its law.
                spread = float(gain[own].var(ddof=1)) if count > 1 else float(gain.var(ddof=1))
                effective = effective_draws(gain[own], of_chain[own], self._chains)
                variance += (count / len(gain)) ** 2 * spread / effective
        return float(np.sqrt(variance))

    @property
    def _chains(self) -> int:
        return next(self.source.pieces())[0].posterior.sizes["chain"]


def _one_budget(target: object, cost: Cost) -> float:
    found = parse_budgets(target, cost, "target")
    if len(found) > 1:
        raise AmountError(f"target: found {len(found)} budgets, expected one, or a plan.")
    return float(found[0])
