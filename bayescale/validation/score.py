"""Scores of posterior predictions on held-out runs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import singledispatch
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from bayescale.data.levels import Levels, column_of
from bayescale.data.load import RunsSource, as_runs
from bayescale.data.runs import Runs
from bayescale.errors import (
    CardError,
    RunsError,
    SamplingError,
    UnknownNameError,
    UnsuitableLawError,
    as_list,
    did_you_mean,
)
from bayescale.inference.fit import fit_quietly
from bayescale.model.card import Model, load_model
from bayescale.model.identifiability import check_identifiable, runs_needed
from bayescale.model.inputs import runs_for
from bayescale.posterior.fit import Fit
from bayescale.posterior.point import PointPosterior, Source, as_posterior
from bayescale.posterior.predict import noise_at_runs, stream_of_noise
from bayescale.posterior.protocol import Posterior
from bayescale.validation.scored import Score, pointwise_scores

BREAK_CARDS = (
    "power-law-floor",
    "broken-power-law-1",
    "broken-power-law-2",
    "broken-power-law-3",
    "broken-power-law-4",
)
"""Cards of laws with zero to four breaks."""


def score(fit: Source, runs: RunsSource, *, new_levels: Collection[str] = ()) -> Score:
    """Score a posterior on held-out runs.

    Parameters
    ----------
    fit
        A fit, or published constants: then only errors, since point estimates have neither a
        density nor intervals.
    runs
        Held-out runs, or anything that `load_runs` accepts, with the columns of the fit's model.
        Levels that were not fitted, such as another family, are scored as new ones.
    new_levels
        Columns by which the model groups runs, in which every level that was not fitted is a new
        one, also where its name resembles one that was.

    Returns
    -------
    Score

    Raises
    ------
    RunsError
        If a column is missing or holds anything but positive numbers.
    UnknownNameError
        If a level that was not fitted is spelt nearly as one that was, in a column that is not
        among `new_levels`.
    CardError
        If the model does not group runs by a column in `new_levels`.

    Notes
    -----
    Densities and widths are on the scale of the log response; subtract the sum of the log
    responses from ``elpd`` for the density of the responses themselves.

    Examples
    --------
    >>> import bayescale as bs
    >>> runs = bs.load_runs("chinchilla")
    >>> fit = bs.fit(runs.where("compute < 1e21"), "chinchilla", seed=1, progress=False)
    >>> larger = bs.score(fit, runs.where("compute >= 1e21"))
    >>> larger.coverage(0.9) < 0.8
    True
    """
    return _score(as_posterior(fit), runs, as_list(new_levels))


@singledispatch
def _score(source: Posterior, runs: RunsSource, new_levels: Collection[str]) -> Score:
    """Raise UnsuitableLawError: the source is neither a fit nor published constants."""
    raise UnsuitableLawError(
        "score: found an average of laws, expected a fit or published constants. Score each "
        "fit, and combine the scores by their weights with bayescale.Score.mix."
    )


@_score.register
def _of_fit(fit: Fit, runs: RunsSource, new_levels: Collection[str]) -> Score:
    """Return the score of every draw."""
    model, law = fit.model, fit.law
    runs = runs_for(runs, [model])
    _refuse_misspelt_levels(fit, runs, new_levels)
    runs = held_out = runs.for_law(tuple(model.columns.values()), law.response)
    # Validate before fitted checkpoints are prepended, so that errors name the user's rows.
    model.noise.facts(runs)
    runs, fitted, links = _after_fitted(fit, runs)
    noise, log_mean = noise_at_runs(fit, runs, links)
    facts = noise.facts
    observed = np.log(runs.column(law.response))
    residual = observed - log_mean
    known = residual.copy()
    known[..., fitted:] = np.nan
    simulated = log_mean + noise.draw(stream_of_noise(fit), log_mean.shape, known)
    density = noise.log_density(residual)[..., fitted:]
    below = noise.cdf(residual)[..., fitted:].mean(axis=(0, 1))
    draws = density.shape[0] * density.shape[1]
    observed = observed[fitted:]
    elpd = np.logaddexp.reduce(density, axis=(0, 1)) - np.log(draws)
    drawn = simulated[..., fitted:].reshape(draws, -1)
    pointwise = pointwise_scores(drawn, observed, elpd, below)
    if "censored" in facts:
        # A censored run has a probability, but no error.
        pointwise.loc[
            facts["censored"][fitted:] > 0.5, ["error", "pit", "interval_score_90", "crps"]
        ] = np.nan
    if links is not None:
        density = replace(noise, facts=model.noise.facts(runs)).log_density(residual)[..., fitted:]
    joint = np.logaddexp.reduce(density.sum(axis=-1), axis=None) - np.log(draws)
    return Score(pointwise, float(joint), drawn, observed, fit, held_out)


@_score.register
def _of_constants(source: PointPosterior, runs: RunsSource, new_levels: Collection[str]) -> Score:
    """Return the errors of published constants, which have no density and no interval."""
    columns = source.columns
    needs = tuple(columns.values())
    runs = as_runs(runs, needs=needs, response=source.response).for_law(needs, source.response)
    logs = {n: xr.DataArray(np.log(runs.column(c)), dims="run") for n, c in columns.items()}
    predicted = np.log(source.curve_of(None, "run").response(logs).to_numpy()).reshape(1, -1)
    observed = np.log(runs.column(source.response))
    errors = pd.DataFrame({"error": observed - predicted[0]})
    return Score(errors, float("nan"), predicted, observed, source, runs)


def _refuse_misspelt_levels(fit: Fit, runs: Runs, new_levels: Collection[str]) -> None:
    """Raise for a level of a grouping column that is spelt nearly as one that was fitted."""
    columns = fit.model.grouping_columns
    for name in new_levels:
        if name not in columns:
            raise CardError(
                f"new_levels: found {name!r}, expected columns by which {fit.model.id} groups "
                f"runs: {', '.join(columns) or 'none'}."
            )
    for column in columns:
        # Inputs of the law are amounts, which are not spelt.
        if column in new_levels or column in fit.columns.values():
            continue
        known, found = Levels.of(fit.runs, column), Levels.of(runs, column)
        if "f" in (known.labels.dtype.kind, found.labels.dtype.kind):
            continue
        for label in map(str, found.labels[known.codes(found.labels) < 0]):
            if hint := did_you_mean(label, map(str, known.labels)):
                raise UnknownNameError(
                    f"{runs.name}: found {column} {label!r}; the levels that were fitted are "
                    f"{known}.{hint} If it is a new level, give new_levels=[{column!r}], on the "
                    f"command line --new-level {column}."
                )


def _after_fitted(fit: Fit, runs: Runs) -> tuple[Runs, int, dict[str, NDArray[np.float64]] | None]:
    """Return runs with the fitted checkpoints of the same runs prepended.

    Returns
    -------
    runs, fitted
        All of them, and the number that were fitted.
    links
        For each row the last fitted one before it; None if runs have no checkpoints.
    """
    checkpoints = fit.model.noise.checkpoints
    if checkpoints is None:
        return runs, 0, None
    levels = Levels.of(fit.runs, checkpoints.run)
    ahead = levels.codes(column_of(runs, checkpoints.run))
    same = np.isin(levels.codes(column_of(fit.runs, checkpoints.run)), ahead)
    fitted = int(same.sum())
    if fitted:
        runs = fit.runs.where(same).followed_by(runs)
    is_fitted = np.arange(len(runs)) < fitted
    return runs, fitted, fit.model.noise.links(runs, is_fitted)


def hold_out(
    runs: RunsSource,
    models: Sequence[str | Path | Model],
    train: str | ArrayLike,
    *,
    seed: int = 0,
    draws: int = 1000,
    target_accept: float | None = None,
) -> pd.DataFrame:
    """Fit several models to part of the runs and score each on the rest.

    Parameters
    ----------
    runs
        All runs: a source for `load_runs`, or its result.
    models
        Card ids, paths of cards, or models.
    train
        The runs to fit, as in `Runs.where`: a condition or a boolean for each run.
    seed, draws, target_accept
        As in `fit`.

    Returns
    -------
    DataFrame
        One row per model, best first: ``n_train`` and the columns of `Score.summary`;
        ``elpd_diff`` to the best and its standard error ``se_diff``; whether the fit passed its
        gates (``ok``), its worst ``r_hat`` and ``ess``; and its ``status``, or the reason if it
        could not be fitted.

    Examples
    --------
    >>> import bayescale as bs
    >>> runs = bs.load_runs("chinchilla")
    >>> table = bs.hold_out(runs, ["chinchilla", "kaplan-nd"], "compute < 1e21", seed=1)
    >>> table.index[0]
    'chinchilla'
    """
    loaded = [load_model(entry) for entry in as_list(models)]
    runs = runs_for(runs, loaded)
    return _hold_out(loaded, runs, train, {}, seed, draws, target_accept)


def compare_breaks(
    runs: RunsSource,
    x: str,
    *,
    most: int = 3,
    last: float = 0.25,
    seed: int = 0,
    draws: int = 1000,
    target_accept: float | None = None,
) -> pd.DataFrame:
    """Compare power laws with zero and more breaks by their predictions of the last runs.

    Parameters
    ----------
    runs
        A curve: one value of `x` per run.
    x
        The column of the variable.
    most
        The largest number of breaks, at most four. Laws with fewer than five runs per segment
        are left out, with the reason.
    last
        Share of the runs, those of largest `x`, to hold out.
    seed, draws, target_accept
        As in `fit`.

    Returns
    -------
    DataFrame
        As `hold_out`; the index is the cards' names.

    Notes
    -----
    Leave-one-out would reward breaks between neighbouring points, while extrapolation is what
    matters. No comparison can foresee a break beyond the data: the status gives the posterior
    probability that a fitted break lies beyond the runs.

    Examples
    --------
    >>> import bayescale as bs
    >>> import numpy as np, pandas as pd
    >>> x = np.geomspace(1e6, 1e12, 30)
    >>> curve = pd.DataFrame({"examples": x, "loss": 1 + 40 * x**-0.3})
    >>> noise = np.exp(0.005 * np.random.default_rng(1).standard_normal(30))
    >>> runs = bs.load_runs(curve.assign(loss=curve.loss * noise), needs=["examples"])
    >>> table = bs.compare_breaks(runs, "examples", most=1, seed=1)
    >>> sorted(table.index)
    ['broken-power-law-1', 'power-law-floor']
    """
    if not 0 <= most < len(BREAK_CARDS):
        raise ValueError(f"most: found {most}, expected 0 to {len(BREAK_CARDS) - 1} breaks.")
    if not 0.0 < last < 1.0:
        raise ValueError(f"last: found {last}, expected a share between 0 and 1.")
    runs = as_runs(runs, needs=(x,))
    values = runs.column(x)
    train = values < np.quantile(values, 1.0 - last)
    models = [replace(load_model(card), inputs={"x": x}) for card in BREAK_CARDS[: most + 1]]
    count = int(train.sum())
    check_identifiable(models[0], runs.where(train))
    skipped = {
        model.id: f"left out: {count} runs are too few for its segments"
        for model in models
        if count < runs_needed(model)
    }
    return _hold_out(models, runs, train, skipped, seed, draws, target_accept)


def fit_and_score(
    model: Model,
    seen: Runs,
    unseen: Runs,
    *,
    seed: int,
    draws: int = 1000,
    target_accept: float | None = None,
) -> tuple[dict[str, Any], Score]:
    """Fit a model to some runs and score it on others; return scores and diagnostics.

    Raises
    ------
    RunsError, SamplingError
        If the model cannot be fitted to these runs.
    """
    found = fit_quietly(seen, model, seed=seed, draws=draws, target_accept=target_accept)
    # Both come from one table, so new levels are not misspelt.
    scored = score(found, unseen, new_levels=found.model.grouping_columns)
    facts = {"n_train": len(seen), **scored.summary(), **found.gates.facts}
    return facts, scored


def _hold_out(
    models: Sequence[Model],
    runs: Runs,
    train: str | ArrayLike,
    skipped: Mapping[str, str],
    seed: int,
    draws: int,
    target_accept: float | None,
) -> pd.DataFrame:
    mask = runs.mask(train)
    seen, unseen = runs.where(mask, "to be fitted"), runs.where(~mask, "held out")
    rows: dict[str, dict[str, Any]] = {}
    densities: dict[str, pd.Series[float]] = {}
    for model in models:
        if model.id in rows:
            raise ValueError(f"models: found {model.id} twice, expected different ids.")
        try:
            if model.id in skipped:
                raise RunsError(skipped[model.id])
            rows[model.id], scored = fit_and_score(
                model, seen, unseen, seed=seed, draws=draws, target_accept=target_accept
            )
        except (RunsError, SamplingError) as error:
            rows[model.id] = {"n_train": len(seen), "ok": False, "status": str(error)}
        else:
            densities[model.id] = scored.pointwise["elpd"]
    return _ranked(rows, densities)


def _ranked(
    rows: Mapping[str, Mapping[str, Any]], densities: "Mapping[str, pd.Series[float]]"
) -> pd.DataFrame:
    table = pd.DataFrame(list(rows.values()), index=pd.Index(list(rows), name="model"))
    if not densities:
        return table
    best = max(densities, key=lambda name: float(densities[name].sum()))
    for name, density in densities.items():
        difference = density - densities[best]
        table.loc[name, "elpd_diff"] = difference.sum()
        table.loc[name, "se_diff"] = float(np.sqrt(len(difference)) * difference.std(ddof=1))
    first = ["n_train", "n_test", "elpd", "elpd_diff", "se_diff"]
    order = [*first, *(c for c in table.columns if c not in first)]
    return table[order].sort_values("elpd", ascending=False)
