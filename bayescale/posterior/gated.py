"""The quantities whose convergence is checked: parameters, group effects and predictions."""

import hashlib
from itertools import product

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayescale.backend.observed import Scale
from bayescale.data.levels import column_of
from bayescale.data.runs import Runs
from bayescale.model.card import Model
from bayescale.posterior.curve import Curve

_MOST_AXES = 4
"""Maximal number of inputs whose extremes are combined: sixteen corners at most."""


def reported_quantities(model: Model, draws: xr.Dataset) -> xr.Dataset:
    """Return draws of all reported scalars: elasticities first, noise parameters last."""
    law, bare = model.law, without_index(draws)
    derived = law.derived({name: bare[name] for name in law.parameters})
    rest = set(model.all_priors) - set(law.coordinates)
    order = dict.fromkeys([*law.coordinates, *derived, *law.parameters, *sorted(rest)])
    return draws.assign(derived)[list(order)]


def gated_quantities(
    model: Model, scale: Scale, runs: Runs, draws: xr.Dataset, seed: int
) -> xr.Dataset:
    """Return draws of all quantities whose convergence is checked.

    These are scalars, group effects and predictions. Convergence of parameters does not imply that
    of functions of them, such as sums of correlated group effects and population parameters.
    Therefore the response at the corners of the design is checked too, and for laws of size and
    tokens the optimum at the budget of the largest run.
    """
    effects = draws[[effect.effect for effect in model.effects]]
    predicted = predicted_quantities(model, scale, runs, draws, seed)
    return xr.merge([reported_quantities(model, draws), effects, predicted], join="exact")


def predicted_quantities(
    model: Model, scale: Scale, runs: Runs, draws: xr.Dataset, seed: int
) -> xr.Dataset:
    """Return the response at the corners of the design, and ln N_opt at the largest budget."""
    law, draws = model.law, without_index(draws)
    logs = {name: np.log(runs.column(column)) for name, column in model.columns.items()}
    rows = corners(np.array(list(logs.values())))
    groups = {column: column_of(runs, column) for column in model.groupings}

    def curve_at(rows: NDArray[np.intp] | np.intp) -> Curve:
        there = {column: values[rows] for column, values in groups.items()}
        return Curve.of(model, scale, draws, there, dim="run", seed=seed)

    at = {name: xr.DataArray(x[rows], dims="run", coords={"run": rows}) for name, x in logs.items()}
    found = {f"{law.response} at run": curve_at(rows).response(at)}
    if law.takes_size_and_tokens:
        log_product = logs["n_params"] + logs["n_tokens"]
        largest = np.argmax(log_product)
        budget = xr.DataArray(log_product[[largest]], dims="budget", coords={"budget": [0.0]})
        optimum = curve_at(largest).optimal_log_params(budget).isel(budget=0, drop=True)
        # Draws without an optimum are counted elsewhere and are no sign of non-convergence.
        if bool(optimum.notnull().any()):
            found["ln n_opt at the largest run"] = optimum.fillna(optimum.median())
    return xr.Dataset(found)


def without_index(draws: xr.Dataset) -> xr.Dataset:
    """Return draws without the numbers of chains and draws, which arithmetic need not compare."""
    return draws.drop_vars(["chain", "draw"], errors="ignore")


def corners(logs: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the indices of the most extreme run in each diagonal direction of the inputs.

    Parameters
    ----------
    logs
        Log inputs, with one row per input.
    """
    spread = logs.std(axis=1, keepdims=True)
    standard = (logs - logs.mean(axis=1, keepdims=True)) / np.where(spread > 0.0, spread, 1.0)
    standard = standard[:_MOST_AXES]
    signs = np.array(list(product((1.0, -1.0), repeat=len(standard))))
    return np.unique((signs @ standard).argmax(axis=1))


def digest_of(draws: xr.Dataset) -> str:
    """Return a digest of all draws, which identifies those that diagnostics belong to."""
    digest = hashlib.sha256()
    for name, values in sorted(draws.data_vars.items(), key=lambda item: str(item[0])):
        digest.update(str(name).encode() + np.ascontiguousarray(values.to_numpy()).tobytes())
    return digest.hexdigest()
