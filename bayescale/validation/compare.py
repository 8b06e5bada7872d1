"""compare: compare several laws fitted to the same runs."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bayescale.data.levels import Levels, column_of
from bayescale.data.load import RunsSource
from bayescale.data.runs import Runs
from bayescale.data.same_runs import check_same_runs
from bayescale.errors import BayescaleWarning, RunsError, SamplingError, as_list, expect_mapping
from bayescale.inference.fit import fit as fit_model
from bayescale.inference.refits import RefitOptions, Refits
from bayescale.model.card import Model, load_model
from bayescale.model.inputs import runs_for
from bayescale.posterior.contraction import weakly_identified
from bayescale.posterior.fit import Fit
from bayescale.units import Amount
from bayescale.validation.leave_one_out import Units, score_left_out, units_of
from bayescale.validation.leave_scale_out import leave_scale_out
from bayescale.validation.result import Comparison
from bayescale.validation.scales import ScalesLeftOut, usual_scale
from bayescale.validation.stacking import stacking_weights

CUTS = (0.5, 0.7, 0.85)
"""Quantiles of the scale at which the default cuts lie."""


def compare(
    fits: Mapping[str, Fit] | Sequence[str | Path | Model],
    runs: RunsSource | None = None,
    *,
    cuts: Sequence[Amount] | None = None,
    scale: str | None = None,
    leave_out: str | None = None,
    folds: int = 10,
    others: Mapping[str, ArrayLike] | None = None,
    refit_draws: int = 500,
    **options: Unpack[RefitOptions],
) -> Comparison:
    """Compare laws on the same runs by out-of-sample predictive density.

    Parameters
    ----------
    fits
        Fits of the same runs, by name; or cards (ids, paths or models), which are fitted to
        `runs`. A card that cannot be fitted remains in the table with the reason.
    runs
        A source of runs as for `load_runs`, if cards are given.
    cuts
        Values of `scale`: runs below a cut are fitted, those above predicted. By default the 50,
        70 and 85 % quantiles of the runs.
    scale
        The column of the scale: by default compute if the runs have it, else the first input of
        the laws.
    leave_out
        The grouping factor whose levels are left out as a whole in the secondary score: a size, a
        run, a family. By default chosen, with the reason stated, if rows are checkpoints of one
        run or correlated by the noise of a card; else single runs are left out.
    folds
        Number of refits of each law for groups; maximal number for single runs.
    others
        External predictions, by name: the held-out log density of each response itself (not of
        its logarithm), one for each run, or for each group that is left out, in order.
    refit_draws
        Draws per chain of the refits.
    **options
        Options of the fits (`RefitOptions`): `seed`, `draws` (1000 per chain, of the fits of
        cards), `target_accept`, `executor`, `store` and `progress`.

    Returns
    -------
    Comparison
        ``print`` it for the verdict and the table; ``comparison.weights`` are for
        `bayescale.model_average`.

    Raises
    ------
    RunsError
        If the fits use different runs; if runs are missing, or a cut or a column does not split
        them.
    ValueError
        If names are duplicated, `runs` is given with fits, or `others` have the wrong length.

    Notes
    -----
    The primary score is the log predictive density of held-out larger scales (`leave_scale_out`),
    since plans are extrapolations; the secondary one is that of left-out single runs (or groups),
    which measures how well a law describes the runs. Standard errors of differences are over
    runs, or clustered by size if several runs share one; differences within two standard errors
    are ties. A law that failed its gates, or has a coordinate that the runs do not identify
    (posterior variance above half of the prior variance), is scored but cannot win.

    If checkpoints are correlated, a group left out is scored by the joint density of its rows.
    Above a cut, rows are scored one by one, given the last fitted checkpoint of their run.

    Examples
    --------
    >>> import bayescale as bs
    >>> options = {"draws": 200, "seed": 1, "progress": False}
    >>> fits = {card: bs.fit("chinchilla", card, **options) for card in ("chinchilla", "kaplan-nd")}
    >>> found = bs.compare(fits, **options)
    >>> print(found.sentences[0].split(" within")[0])
    Larger scales support chinchilla
    """
    refits = Refits.of(options, draws=1000)
    densities = expect_mapping(others or {}, "others", "{'ours': densities}", RunsError)
    unfitted: Mapping[str, str] = {}
    if not isinstance(fits, Mapping):
        fits, unfitted = _fit_all(fits, runs, refits)
    elif runs is not None:
        raise ValueError(
            "runs: found them together with fits, which contain their own; expected runs with "
            "cards only."
        )
    if folds < 2:
        raise ValueError(f"folds: found {folds}, expected two or more.")
    if not fits:
        raise RunsError(
            "compare: found no law that could be fitted: "
            + (" ".join(unfitted.values()) or "give fits by name, or cards and runs.")
        )
    check_same_runs({name: fit.runs for name, fit in fits.items()})
    # The table with the columns of all models, independent of the order of the fits.
    table = fits[min(fits, key=lambda name: (-fits[name].runs.table.shape[1], name))].runs
    models = {name: replace(fit.model, id=name) for name, fit in fits.items()}
    units = units_of(table, models, leave_out)
    elsewhere = _others(densities, units, {*fits, *unfitted})
    scale = scale or usual_scale(table, fits[min(fits)].columns.values())
    cuts = usual_cuts(table.column(scale)) if cuts is None else cuts
    options["draws"] = refit_draws
    scales = leave_scale_out(table, [*models.values()], cuts, scale=scale, **options)
    left_out = score_left_out(fits, table, units, folds=folds, **options)
    clustered_by, clusters = _clusters(table, units)
    found = Comparison(
        fits=dict(fits),
        runs=table,
        scales=scales,
        left_out=left_out,
        weights=pd.Series(dtype=float),
        unfitted=unfitted,
        weakly_identified={name: weakly_identified(fit) for name, fit in fits.items()},
        scale=scale,
        clusters=clusters,
        clustered_by=clustered_by,
        others=elsewhere,
    )
    return replace(found, weights=_weights(scales, found.eligible))


def _fit_all(
    cards: Sequence[str | Path | Model],
    runs: RunsSource | None,
    refits: Refits,
) -> tuple[dict[str, Fit], dict[str, str]]:
    """Fit cards to runs; return the reason for those that cannot be fitted."""
    if runs is None:
        raise ValueError(
            "runs: found none, expected those that the cards are fitted to. Give runs, or "
            "fits by name."
        )
    models = [load_model(card) for card in as_list(cards)]
    names = [model.id for model in models]
    if len(set(names)) < len(names):
        raise ValueError(f"fits: found the cards {', '.join(names)}, expected different ids.")
    responses = {model.law.response for model in models}
    if len(responses) > 1:
        raise RunsError(
            f"fits: found laws of {' and '.join(sorted(responses))}, which are different columns "
            "of the runs. Compare laws of one response."
        )
    runs = runs_for(runs, models)
    fits, unfitted = {}, {}
    for model in models:
        try:
            with warnings.catch_warnings():
                # Weak identification is reported for each law by its prior-to-posterior change.
                warnings.simplefilter("ignore", BayescaleWarning)
                fits[model.id] = fit_model(runs, model, **refits.sampling, progress=refits.progress)
        except (RunsError, SamplingError) as error:
            unfitted[model.id] = str(error)
    return fits, unfitted


def usual_cuts(values: NDArray[np.float64]) -> list[float]:
    """Return cuts at the `CUTS` quantiles of the runs, midway between neighbouring values."""
    ordered = np.unique(values)
    if len(ordered) < 2:
        raise RunsError(
            f"scale: found one value, {ordered[0]:g}, for all runs, expected several. Name another "
            "column (scale)."
        )
    found = []
    for share in CUTS:
        at = int(np.clip(np.searchsorted(ordered, np.quantile(values, share)), 1, len(ordered) - 1))
        found.append(float(np.sqrt(ordered[at - 1] * ordered[at])))
    return sorted(set(found))


def _clusters(runs: Runs, units: Units) -> tuple[str, NDArray[np.int64]]:
    """Return the column that clusters runs with shared errors, and the cluster of each run."""
    if units.by:
        return units.by, units.codes
    if "n_params" in runs.table:
        sizes = Levels.of(runs, "n_params")
        if 1 < len(sizes) < len(runs):
            return "n_params", sizes.codes(column_of(runs, "n_params"))
    return "", units.codes


def _weights(scales: ScalesLeftOut, eligible: Sequence[str]) -> "pd.Series[float]":
    among = scales.of(eligible)
    try:
        return stacking_weights(among).rename("weight")
    except ValueError:  # no eligible law was scored at every cut
        return pd.Series(dtype=float, index=pd.Index([], name="model"), name="weight")


def _others(
    others: Mapping[str, ArrayLike], units: Units, taken: set[str]
) -> dict[str, NDArray[np.float64]]:
    found = {name: np.asarray(values, dtype=np.float64) for name, values in others.items()}
    for name, values in found.items():
        if name in taken:
            raise ValueError(f"others: the name {name!r} is that of a law; give another.")
        if values.shape != (len(units),):
            raise ValueError(
                f"others, {name!r}: found densities of shape {values.shape}, expected one for each "
                f"of the {len(units)} {units.by or 'run'}s that are left out."
            )
    return found
