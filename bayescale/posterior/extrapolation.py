"""How far beyond the runs a plan lies: in each input of the law, and in compute."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bayescale.posterior.diagnostics import Diagnostics, lead_with_status
from bayescale.posterior.protocol import Posterior
from bayescale.units import format_number

_COMPUTE = "compute"
_NONE = 0.05
"""E-folds that are none, to the digit that is shown."""

_MOST = 700.0
"""E-folds of which the factor is still a number."""


def beyond_runs(source: Posterior, plans: Mapping[str, ArrayLike]) -> pd.DataFrame:
    """Return by how many e-folds plans lie beyond the runs of a fit.

    Parameters
    ----------
    source
        A posterior; of published constants, which have no runs, nothing is returned.
    plans
        Amounts by column of the runs: each input of the law that is known.

    Returns
    -------
    DataFrame
        A row a plan. For each input, and for compute where the law takes size and tokens: the
        log of the amount over the largest of the runs, below zero over the smallest, and zero
        inside their range.
    """
    runs = {source.columns[name]: values for name, values in source.inputs.items()}
    asked = {
        column: np.atleast_1d(np.asarray(plans[column], dtype=float))
        for column in runs
        if column in plans
    }
    if {"n_params", "n_tokens"} <= asked.keys():
        # As a product, so that the rule by which runs count compute does not matter.
        for amounts in (runs, asked):
            amounts[_COMPUTE] = amounts["n_params"] * amounts["n_tokens"]
    found = {column: _outside(np.log(x), np.log(runs[column])) for column, x in asked.items()}
    return pd.DataFrame(found)


def farthest(beyond: pd.DataFrame) -> "pd.Series[float]":
    """Return how far each plan lies beyond the runs, in what it lies farthest in."""
    return beyond.abs().max(axis="columns").rename("beyond")


def say_beyond(beyond: pd.DataFrame) -> str:
    """Return the label of answers: how far beyond the runs the farthest of their plans lie."""
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
    """Return what answers at some plans rest on, led by the failure if the gates were not passed.

    Parameters
    ----------
    source, plans
        As in `beyond_runs`.
    diagnostics
        The checks of the answers, where there are more than those of the posterior.
    """
    if source.diagnostics is None:
        return source.description
    label = say_beyond(beyond_runs(source, plans))
    return lead_with_status(f"{source.answering} {label}", diagnostics or source.diagnostics)


def _outside(log: NDArray[np.float64], of_runs: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(log - of_runs.max(), 0.0) + np.minimum(log - of_runs.min(), 0.0)
