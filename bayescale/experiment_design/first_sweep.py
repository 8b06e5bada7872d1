"""first_sweep: design a sweep before any run, from the prior of a model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayescale._seeds import Stream, generator, seed_of
from bayescale.allocation.hyperparameters import hyperparameters as best_pair
from bayescale.allocation.plans import parse_budgets
from bayescale.costs import Cluster, Cost, as_cost, six_nd
from bayescale.costs.budget import Array
from bayescale.costs.limits import NO_LIMITS, Limits, expect_limits
from bayescale.data.plausibility import FEWEST_PARAMS
from bayescale.errors import AmountError, RunsError, UnsuitableLawError, expect_mapping
from bayescale.experiment_design.candidates import pairs
from bayescale.experiment_design.judge import Judge, Verdict
from bayescale.experiment_design.prior_laws import PriorLaws, planned_runs
from bayescale.experiment_design.sweep_designs import IsoFlop, standard_designs
from bayescale.experiment_design.sweep_result import RECOMMENDED, FirstSweep
from bayescale.laws.hyperparameters import HyperparameterRule, hyperparameter_rule
from bayescale.laws.optimum import Split
from bayescale.model.card import DEFAULT_CARD, Model, load_model
from bayescale.model.identifiability import unidentified
from bayescale.model.pooling import Pooling
from bayescale.posterior.point import Source
from bayescale.units import format_compute, format_count, parse_amount, parse_amounts

_SEARCHED, _FEW = 300, 24
"""Number of projects on which the search evaluates designs, and of posterior draws of each."""

_DRAWS, _SETS = 64, 16
"""Posterior draws of each project of the comparison, and sets of scales that are drawn for it."""

_ROUNDS = 3
_DIGITS = 3
"""Significant digits of the sizes of runs."""


def first_sweep(
    model: str | Path | Model = DEFAULT_CARD,
    *,
    budget: object,
    target: object,
    designs: Mapping[str, object] | None = None,
    n_runs: int = 35,
    tokens_per_param: float = 20.0,
    run_limits: Limits = NO_LIMITS,
    hyperparameters: Source | HyperparameterRule | str | None = None,
    cost: Cost | Callable[[Any, Any], Any] = six_nd,
    limits: Limits = NO_LIMITS,
    fixed: Mapping[str, object] | None = None,
    cluster: Cluster | None = None,
    simulations: int = 400,
    seed: int = 0,
) -> FirstSweep:
    """Design the first sweep of a project, before any run, from the prior of a model.

    Parameters
    ----------
    model
        A card of a law of size and tokens: its id, its path, or a `Model`. The default card has
        priors learnt from public sweeps; `bayescale.learn_prior` makes one from your own.
    budget
        Total training compute of the sweep, in FLOP.
    target
        The budget of the large run that the sweep is for, in the unit of `cost`.
    designs
        Sweeps of your own to compare, by name: pairs of size and tokens, or a DataFrame or mapping
        with ``n_params`` and ``n_tokens``.
    n_runs
        Largest number of runs.
    tokens_per_param
        Tokens per parameter in the middle of the sweep. The optimum is assumed near it a priori,
        since a card's priors of elasticities are stated at the centre of the runs.
    run_limits
        Limits on the size and tokens of each run, in addition to the budget.
    hyperparameters
        A rule for the learning rate and batch size of each run: a published one, its name such as
        ``"steplaw2025"``, or a fit of the law ``learning-rate-batch``; none unless given.
    cost, limits, fixed
        As in `bayescale.decide`, for the target. The sweep costs the training part of `cost`.
    cluster
        The training cluster, for days and money.
    simulations
        Number of simulated projects in the comparison.
    seed
        Seed of the projects.

    Returns
    -------
    FirstSweep
        The runs to launch, and the comparison of designs.

    Raises
    ------
    AmountError
        If an amount cannot be read, or no sweep is within the limits.
    RunsError
        If a design of your own does not identify the law, such as one ratio of tokens to size.
    UnsuitableLawError
        If the law does not split a budget, or the model pools parts of it or states its floor.

    Notes
    -----
    A project is a law drawn from the prior, with its discrepancy and noise. Its runs are simulated
    and conditioned on (`bayescale.experiment_design.prior_laws.PriorLaws.learn`), the size at the
    target is decided as the posterior mean of ln N_opt, and its regret is evaluated under the
    project's true law. The mean over projects is the expected regret of a design before its runs,
    and its reduction relative to no runs is their expected value of sample information. An isoFLOP
    sweep is optimised over the number of budgets and sizes, their spans and seeds, on other
    projects than those of the comparison. The page ``docs/first-sweep.md`` has checks by NUTS.

    Examples
    --------
    >>> import bayescale as bs
    >>> sweep = bs.first_sweep("chinchilla", budget="1e20", target="1e22", simulations=100)
    >>> len(sweep.runs) <= 35, sweep.compute <= 1e20
    (True, True)
    >>> regret = sweep.designs["regret"]
    >>> bool(regret["recommended"] < regret["two diagonals"] < sweep.before)
    True
    """
    expect_limits(limits)
    expect_limits(run_limits, "run_limits")
    question = _Question.read(
        load_model(model), budget, target, tokens_per_param, as_cost(cost), limits, fixed, n_runs
    )
    if not isinstance(simulations, int | np.integer) or simulations < 50:
        raise ValueError(f"simulations: found {simulations!r}, expected an integer of at least 50.")
    pair = (
        hyperparameter_rule(hyperparameters)
        if isinstance(hyperparameters, str)
        else (hyperparameters)
    )
    example = "{'mine': [('70M', '1.4B'), ('160M', '3.2B')]}"
    designs = expect_mapping(designs or {}, "designs", example)
    own = {str(name): question.given(str(name), design) for name, design in designs.items()}
    judge = question.judge(simulations, seed_of(seed, Stream.SWEEP, 0))
    chosen = question.search(run_limits, seed)
    standard = {
        name: placed.costing(question.budget, tokens_per_param, question.training)
        for name, placed in standard_designs(generator(seed, Stream.SWEEP, 2)).items()
    }
    tables = {RECOMMENDED: question.table(chosen), **standard, **own}
    verdicts = {
        name: judge.verdict(table, count=_DRAWS, sets=_SETS, seed=seed_of(seed, Stream.SWEEP, 3))
        for name, table in tables.items()
    }
    return FirstSweep(
        runs=_to_launch(tables[RECOMMENDED], question, pair),
        designs=_compared(tables, verdicts),
        design=chosen,
        model=load_model(model),
        judge=judge,
        rule=getattr(pair, "description", ""),
        cluster=cluster,
    )


@dataclass(frozen=True, eq=False)
class _Question:
    """The target of the sweep, and its limits."""

    model: Model
    split: Split
    budget: float
    target: float
    ratio: float
    cost: Cost
    limits: Limits
    n_runs: int

    @classmethod
    def read(
        cls,
        model: Model,
        budget: object,
        target: object,
        ratio: float,
        cost: Cost,
        limits: Limits,
        fixed: Mapping[str, object] | None,
        n_runs: int,
    ) -> "_Question":
        split = Split.of(model.law, fixed)
        # Errors that runs of one size share are left out, which a caveat states.
        model = replace(model, pooling=tuple(e for e in model.pooling if not _shared(model, e)))
        grouped = ", ".join(dict.fromkeys(effect.over for effect in model.pooling))
        if grouped or model.floor is not None:
            what = f"pooling by {grouped}" if grouped else "a stated floor"
            raise UnsuitableLawError(
                f"model: found {model.id} with {what}. A first sweep is of one law whose loss is "
                "not known yet; give a card without."
            )
        targets = parse_budgets(target, cost, "target")
        if len(targets) > 1:
            raise AmountError(f"target: found {len(targets)} budgets, expected one.")
        ratio = parse_amount(ratio, "count", "tokens_per_param")
        if not isinstance(n_runs, int | np.integer) or n_runs < 1:
            raise ValueError(f"n_runs: found {n_runs!r}, expected an integer of at least 1.")
        total = parse_amount(budget, "compute", "budget")
        found = cls(model, split, total, float(targets[0]), ratio, cost, limits, int(n_runs))
        usual = found.table(IsoFlop())
        if (smallest := float(usual["n_params"].min())) < FEWEST_PARAMS:
            raise AmountError(
                f"budget: found {format_compute(total)}, with which the smallest model of an "
                f"isoFLOP sweep has {format_count(smallest)} parameters, expected at least "
                f"{format_count(FEWEST_PARAMS)}. Give the compute of all runs together, in FLOP."
            )
        for sentence in found._unidentified(usual):
            raise UnsuitableLawError(
                f"model: {sentence} A first sweep varies size and tokens alone; give a card of a "
                "law of these two."
            )
        return found

    @property
    def training(self) -> Cost:
        return self.cost.training

    def table(self, design: IsoFlop) -> pd.DataFrame:
        return design.placed.costing(self.budget, self.ratio, self.training)

    def judge(self, count: int, seed: int) -> Judge:
        """Draw projects, with the priors stated at the centre of the usual sweep."""
        log_n, log_d = logs(self.table(IsoFlop()))
        laws = PriorLaws.about(self.model, self.split, log_n, log_d, count=count, seed=seed)
        return Judge.of(laws, self.cost, self.target, self.limits)

    def given(self, name: str, design: object) -> pd.DataFrame:
        """Return a design of the user's as a table, or raise RunsError for an unidentified law."""
        whole = isinstance(design, Mapping | pd.DataFrame)
        columns = {c: design[c] for c in design} if whole else pairs(design, f"designs, {name}")  # type: ignore
        missing = {"n_params", "n_tokens"} - set(columns)
        if missing:
            raise AmountError(
                f"designs, {name}: found no {' and no '.join(sorted(missing))}; expected n_params "
                "and n_tokens of each run."
            )
        size, tokens = (
            parse_amounts(columns[c], "count", f"designs, {name}, {c}")
            for c in ("n_params", "n_tokens")
        )
        if len(size) != len(tokens):
            raise AmountError(
                f"designs, {name}: found {len(size)} of n_params and {len(tokens)} of n_tokens, "
                "expected as many of each."
            )
        table = pd.DataFrame({"n_params": size, "n_tokens": tokens})
        for sentence in self._unidentified(table):
            raise RunsError(f"designs, {name}: {sentence}")
        return table.assign(seed=1, compute=np.asarray(self.training(size, tokens), dtype=float))

    def _unidentified(self, table: pd.DataFrame) -> tuple[str, ...]:
        runs = planned_runs(self.model, self.split, *logs(table))
        return unidentified(self.model, runs, observed=False)

    def search(self, limits: Limits, seed: int) -> IsoFlop:
        """Return the isoFLOP sweep that minimises expected regret, by coordinate descent."""
        judge = self.judge(_SEARCHED, seed_of(seed, Stream.SWEEP, 1))
        known: dict[IsoFlop, float] = {}

        def regret(design: IsoFlop) -> float:
            if design not in known:
                known[design] = np.inf
                table = self.table(design)
                if self._allowed(table, limits):
                    noise = seed_of(seed, Stream.SWEEP, 4)
                    known[design] = judge.verdict(table, count=_FEW, sets=0, seed=noise).smooth
            return known[design]

        # The first that is allowed, since searches from others reach the same sweep.
        best = next((d for d in IsoFlop.starts() if np.isfinite(regret(d))), IsoFlop())
        if not np.isfinite(known[best]):
            raise AmountError(
                f"run_limits: found no sweep of at most {self.n_runs} runs and "
                f"{format_compute(self.budget)} within them ({limits}) that identifies the law "
                f"({self.model.n_free} parameters). Give a larger budget, more runs "
                "or wider limits."
            )
        for _ in range(_ROUNDS):
            before = best
            for changes in IsoFlop.changes():
                best = min((best, *(replace(best, **change) for change in changes)), key=regret)
            if best == before:
                break
        return best

    def _allowed(self, table: pd.DataFrame, limits: Limits) -> bool:
        size, tokens = table["n_params"], table["n_tokens"]
        return bool(
            len(table) <= self.n_runs
            and size.min() >= float(limits.min_params or 1.0)
            and size.max() <= float(limits.max_params or np.inf)
            and tokens.min() >= float(limits.min_tokens or 1.0)
            and tokens.max() <= float(limits.most_tokens or np.inf)
            and table["compute"].max() <= float(limits.most_compute or np.inf)
            and not self._unidentified(table)
        )


def _shared(model: Model, effect: Pooling) -> bool:
    """Whether an effect is an error of the response that runs of one setting share."""
    return effect.of == model.law.response and set(effect.over.split("+")) <= {
        *model.columns.values()
    }


def logs(table: pd.DataFrame) -> tuple[Array, Array]:
    """Return the logs of the sizes and tokens of runs."""
    return tuple(np.log(table[c].to_numpy(dtype=float)) for c in ("n_params", "n_tokens"))  # type: ignore


def _compared(tables: Mapping[str, pd.DataFrame], verdicts: Mapping[str, Verdict]) -> pd.DataFrame:
    """Return one row per design."""
    best = verdicts[RECOMMENDED]
    rows = {}
    for name, verdict in verdicts.items():
        more = verdict.regret - best.regret
        table = tables[name]
        rows[name] = {
            "runs": len(table),
            "compute": float(table["compute"].sum()),
            "largest": float(table["compute"].max()),
            "regret": float(verdict.regret.mean()),
            "mcse": _error(verdict.regret),
            "more": float(more.mean()),
            "more_mcse": _error(more),
            "factor": float(np.exp(np.median(verdict.sds))),
            "contraction": verdict.contraction,
            **verdict.contractions.add_prefix("contraction_"),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("design")


def _error(values: Array) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def _to_launch(
    table: pd.DataFrame, question: _Question, pair: Source | HyperparameterRule | None
) -> pd.DataFrame:
    """Return the runs with round sizes, cheapest first, and their learning rates and batches."""
    cost = question.training
    budget = 1 + np.unique(np.round(np.log(table["compute"]), 6), return_inverse=True)[1]
    table = table.assign(budget=budget).sort_values(["budget", "n_params", "seed"])
    digits = 10.0 ** (np.floor(np.log10(table["n_params"])) - _DIGITS + 1)
    size = np.floor(table["n_params"] / digits + 1e-9) * digits
    tokens = np.floor(cost.tokens_for(table["compute"].to_numpy(), size.to_numpy()))
    found = pd.DataFrame(
        {
            "run": [f"run-{i:02d}" for i in range(1, len(table) + 1)],
            "budget": table["budget"].to_numpy(),
            "n_params": size.to_numpy().astype(np.int64),
            "n_tokens": tokens.astype(np.int64),
            "seed": table["seed"].to_numpy(),
            "compute": np.asarray(cost(size.to_numpy(), tokens), dtype=float),
        }
    )
    if pair is not None:
        best = best_pair(pair, n_params=found["n_params"], n_tokens=found["n_tokens"])
        found["learning_rate"] = best["learning_rate"].to_numpy()
        found["batch_tokens"] = np.rint(best["batch_tokens"].to_numpy()).astype(np.int64)
    for name, value in question.split.fixed.items():
        found[name] = value
    if "batch_tokens" in found:
        found["n_steps"] = np.ceil(found["n_tokens"] / found["batch_tokens"]).astype(np.int64)
    return found.set_index("run")
