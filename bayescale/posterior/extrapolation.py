"""Extrapolation: the distance of plans from the range of the runs, by input and in compute."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bayescale.data.plausibility import FEWEST_PARAMS
from bayescale.posterior.diagnostics import Diagnostics, with_status
from bayescale.posterior.protocol import Posterior
from bayescale.units import format_number

_COMPUTE = "compute"
_NONE = 0.05
"""E-folds below which a distance is shown as zero."""

_MOST = 700.0
"""E-folds above which the factor would overflow."""


def beyond_runs(source: Posterior, plans: Mapping[str, ArrayLike]) -> pd.DataFrame:
    """Return the distance of plans from the range of the fitted runs, in e-folds.

    Parameters
    ----------
    source
        A posterior; published constants have no runs, and give an empty table.
    plans
        Amounts by column of the runs, for the inputs of the law that are known.

    Returns
    -------
    DataFrame
        One row per plan. For each input, and for compute if the law has size and tokens: the log
        ratio to the largest run if above it, to the smallest (negative) if below it, and zero
        inside the range.
    """
    columns = source.columns
    asked = {
        name: np.atleast_1d(np.asarray(plans[columns[name]], dtype=float))
        for name in source.inputs
        if columns[name] in plans
    }
    runs, asked = (
        {columns[name]: values for name, values in source.law.comparable(amounts).items()}
        for amounts in (source.inputs, asked)
    )
    if {"n_params", "n_tokens"} <= asked.keys():
        # The product, which is independent of the runs' convention for compute.
        for amounts in (runs, asked):
            amounts[_COMPUTE] = amounts["n_params"] * amounts["n_tokens"]
    found = {column: _outside(np.log(x), np.log(runs[column])) for column, x in asked.items()}
    return pd.DataFrame(found)


def farthest(beyond: pd.DataFrame) -> "pd.Series[float]":
    """Return the largest distance of each plan from the range of the runs, over columns."""
    return beyond.abs().max(axis="columns").rename("beyond")


def describe_extrapolation(beyond: pd.DataFrame) -> str:
    """Describe how far the farthest plans lie outside the range of the runs."""
    if beyond.isna().to_numpy().all():
        return ""  # no plan with finite amounts
    columns = sorted(beyond.columns, key=lambda name: name != _COMPUTE)
    parts = []
    for side, sign in (("beyond the runs", 1.0), ("below the runs", -1.0)):
        far = {column: float((sign * beyond[column]).max()) for column in columns}
        said = [
            f"{column} {e_folds:.1f} ({format_number(float(np.exp(min(e_folds, _MOST))), 2)} times)"
            for column, e_folds in far.items()
            if e_folds >= _NONE
        ]
        if said:
            parts.append(f"{side}, in e-folds: {', '.join(said)}")
    if not parts:
        return "Inside the range of the runs."
    return f"Extrapolates {'; '.join(parts)}."


def headline_at(
    source: Posterior, plans: Mapping[str, ArrayLike], diagnostics: Diagnostics | None = None
) -> str:
    """Return the headline of results at plans: description, extrapolation and diagnostics.

    Parameters
    ----------
    source, plans
        As in `beyond_runs`.
    diagnostics
        The diagnostics of the results; those of the posterior unless given.
    """
    caution = _caution(source, plans)
    if source.diagnostics is None:
        return f"{source.description} {caution}".strip()
    label = describe_extrapolation(beyond_runs(source, plans))
    said = " ".join(filter(None, (source.answering, label, caution)))
    return with_status(said, diagnostics or source.diagnostics)


def _caution(source: Posterior, plans: Mapping[str, ArrayLike]) -> str:
    """Return a warning of sizes that no model has, unless the fitted runs have such sizes too."""
    sizes = np.asarray(plans.get("n_params", ()), dtype=float)
    of_runs = {source.columns[name]: values for name, values in source.inputs.items()}
    smallest = min([FEWEST_PARAMS, *of_runs.get("n_params", ())])
    if not (sizes < smallest).any():
        return ""
    return (
        f"Caution: found {format_number(float(np.nanmin(sizes)))} parameters, and no model has "
        f"fewer than {format_number(FEWEST_PARAMS)}; write sizes with their unit, such as 70M."
    )


def _outside(log: NDArray[np.float64], of_runs: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(log - of_runs.max(), 0.0) + np.minimum(log - of_runs.min(), 0.0)
