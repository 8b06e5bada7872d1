"""Leave-one-out and leave-one-group-out cross-validation of laws.

Densities are of log responses, and joint for a group: the density of each run given the earlier
ones of its group, under the noise of the card.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayescale._seeds import Stream, generator
from bayescale.data.levels import Levels, column_of
from bayescale.data.runs import Runs
from bayescale.errors import RunsError
from bayescale.inference.fit import fit_quietly
from bayescale.inference.parallel import Task, task_key
from bayescale.inference.refits import RefitOptions, Refits
from bayescale.model.card import Model
from bayescale.posterior.fit import Fit
from bayescale.posterior.likelihood import log_densities

HIGHEST_K = 0.7
"""Pareto k above which importance sampling does not converge at a practical number of draws."""


@dataclass(frozen=True, eq=False)
class Units:
    """The units of cross-validation, each left out as a whole.

    Attributes
    ----------
    codes
        Index of the unit of each run.
    labels
        Name of each unit.
    by
        The grouping factor whose levels they are; empty for single runs.
    why
        The reason for these units, as a sentence.
    """

    codes: NDArray[np.int64]
    labels: tuple[str, ...]
    by: str
    why: str

    def __len__(self) -> int:
        return len(self.labels)

    def sums(self, of_runs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sums over the runs of each unit, along the last axis."""
        found = np.zeros((*of_runs.shape[:-1], len(self)))
        np.add.at(np.moveaxis(found, -1, 0), self.codes, np.moveaxis(of_runs, -1, 0))
        return found


def units_of(runs: Runs, models: Mapping[str, Model], by: str | None = None) -> Units:
    """Return the units to leave out: single runs, unless runs share errors.

    Parameters
    ----------
    runs
        A table of runs.
    models
        The models to compare, by name.
    by
        The grouping factor whose levels are left out as a whole. By default chosen if rows are
        checkpoints of one run, or correlated by the noise of a model.

    Raises
    ------
    RunsError
        If the factor has only one level, or splits rows correlated by the noise of a model.
    """
    related = {
        name: model.noise.checkpoints.run
        for name, model in models.items()
        if model.noise.checkpoints
    }
    if by is None:
        by, why = _choose(runs, related)
    else:
        why = f"Whole groups of one {by} are left out, as asked."
    if not by:
        labels = tuple(map(str, range(len(runs))))
        return Units(np.arange(len(runs)), labels, "", why)
    levels = Levels.of(runs, by)
    codes = levels.codes(column_of(runs, by))
    if len(levels) < 2:
        raise RunsError(
            f"{runs.name}: found one level of {by}, expected several to leave out one after "
            "another. Name another column (by)."
        )
    for name, column in related.items():
        whole = Levels.of(runs, column).codes(column_of(runs, column))
        if len(np.unique(np.stack([whole, codes]), axis=1).T) > len(np.unique(whole)):
            raise RunsError(
                f"{runs.name}: found by = {by!r}, which splits runs of one {column}, but the "
                f"noise of {name} correlates those. Leave out whole groups of {column}."
            )
    texts = [f"{x:.4g}" if isinstance(x, float) else str(x) for x in levels.labels.tolist()]
    return Units(codes, tuple(texts), by, why)


def _choose(runs: Runs, related: Mapping[str, str]) -> tuple[str, str]:
    """Return the column whose levels share errors, if any, and the reason as a sentence."""
    if related:
        column = min(related.values(), key=lambda c: len(Levels.of(runs, c)))
        names = ", ".join(name for name, own in related.items() if own == column)
        return column, (
            f"Whole groups of one {column} are left out: the noise of {names} correlates them."
        )
    if "run" in runs.table and runs.table["run"].duplicated().any():
        return "run", "Whole runs are left out: rows of one run are its checkpoints."
    return "", "Runs are left out one by one."


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Predictive densities of each law for units left out of its fit.

    Attributes
    ----------
    units
        The units left out.
    elpd
        Log predictive density of the log responses of each unit, one column per law.
    pareto_k
        Pareto k of each unit and law; missing for K-fold cross-validation.
    exact
        Which densities are from a refit without the unit.
    failed
        Number of refits of each law that failed, or did not pass their gates.
    how
        The method, as a sentence.
    """

    units: Units
    elpd: pd.DataFrame
    pareto_k: pd.DataFrame
    exact: pd.DataFrame
    failed: Mapping[str, int]
    how: str


def score_left_out(
    fits: Mapping[str, Fit],
    runs: Runs,
    units: Units,
    *,
    folds: int,
    **options: Unpack[RefitOptions],
) -> LeftOut:
    """Predict every unit by each law fitted to the other units.

    Single runs are left out by Pareto-smoothed importance sampling (Vehtari, Gelman and Gabry
    2017, doi:10.1007/s11222-016-9696-4), with exact refits for those with high Pareto k. If there
    are more than `folds` of these, or units are groups, the scores are from K-fold
    cross-validation with `folds` folds of whole units.
    """
    refits = Refits.of(options, draws=500)
    index = pd.Index(units.labels, name=units.by or "run")
    empty = pd.DataFrame(np.nan, index=index, columns=list(fits))
    elpd, shapes = empty.copy(), empty.copy()
    bad: dict[str, list[NDArray[np.int64]]] = {}
    if not units.by:
        for name, fit in fits.items():
            elpd[name], shapes[name] = importance_sampled(log_densities(fit, runs))
            in_all = fit.posterior.sizes["chain"] * fit.posterior.sizes["draw"]
            highest = min(HIGHEST_K, 1.0 - 1.0 / np.log10(in_all))
            # No refits for a law that failed its gates, since it cannot win.
            doubtful = ~(shapes[name] <= highest) & fit.gates.ok
            bad[name] = [np.array([i]) for i in np.flatnonzero(doubtful)]
    too_many = max(map(len, bad.values()), default=0) > folds
    if units.by or too_many:
        shuffled = generator(refits.seed, Stream.FOLDS).permutation(len(units))
        parts = [np.sort(part) for part in np.array_split(shuffled, min(folds, len(units)))]
        bad = dict.fromkeys(fits, parts)
        how = f"{units.why} {len(parts)} folds, each predicted by fits to the others" + (
            ", since importance sampling fails for many runs." if too_many else "."
        )
    else:
        count = sum(map(len, bad.values()))
        how = f"{units.why} By Pareto-smoothed importance sampling" + (
            f", and refitted {count} times where its k is above {HIGHEST_K}." if count else "."
        )
    tasks, places = [], []
    for name, parts in bad.items():
        model = fits[name].model
        for part in parts:
            out = np.isin(units.codes, part)
            key = task_key(model, runs, "left out", units.by, part.tolist(), *refits.key)
            tasks.append(Task(key, (model, runs, out, units.codes[out].tolist(), refits.sampling)))
            places.append((name, part))
    results = refits.run(_without, tasks, "leaving runs out")
    exact = empty.notna()
    failed = dict.fromkeys(fits, 0)
    for (name, part), result in zip(places, results, strict=True):
        failed[name] += not result.get("ok", False)
        elpd.loc[elpd.index[part], name] = result.get("elpd", np.nan)
        exact.loc[exact.index[part], name] = True
    return LeftOut(units, elpd, shapes, exact, failed, how)


def importance_sampled(
    log_density: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the log predictive density of each run left out, and its Pareto k.

    Parameters
    ----------
    log_density
        Log density of each run under each draw; shape (chain, draw, run).
    """
    from arviz_stats.base import array_stats

    by_run = np.moveaxis(log_density, -1, 0)
    worth = array_stats.ess(
        np.exp(by_run - by_run.max(axis=(1, 2), keepdims=True)), method="mean", relative=True
    )
    efficiency = float(np.clip(np.nanmean(worth), 0.01, 1.0))
    elpd, shape, _ = array_stats.loo(by_run, r_eff=efficiency)
    return np.asarray(elpd), np.asarray(shape)


def _without(
    model: Model,
    runs: Runs,
    out: NDArray[np.bool_],
    codes: Sequence[int],
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """Fit a model without some units, and return the log density of each of these, in order."""
    found = fit_quietly(runs.where(~out, "not left out"), model, **options)
    density = log_densities(found, runs.where(out, "left out"))
    _, units = np.unique(codes, return_inverse=True)
    joint = np.stack([density[..., units == i].sum(axis=-1) for i in range(units.max() + 1)])
    elpd = np.logaddexp.reduce(joint.reshape(len(joint), -1), axis=1) - np.log(joint[0].size)
    return {"elpd": elpd.tolist(), "ok": found.gates.ok}
