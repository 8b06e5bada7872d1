"""Predict planned runs from a posterior, and seal the predictions."""

import hashlib
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayescale._io import plain
from bayescale._version import __version__
from bayescale.data.levels import NEW
from bayescale.data.runs import Runs
from bayescale.errors import (
    AmountError,
    UnsuitableLawError,
    did_you_mean,
    expect_mapping,
    listed,
    quoted,
)
from bayescale.posterior.extrapolation import headline_at
from bayescale.posterior.point import Source, as_posterior
from bayescale.posterior.predict import predict
from bayescale.posterior.protocol import Posterior
from bayescale.records.preregistration import Preregistration, refuse_existing
from bayescale.units import parse_amount, quantity_of

DRAWS = 400
"""Number of draws of each prediction that are kept."""

_LIBRARIES = ("numpy", "scipy", "xarray", "pymc")

type Planned = Mapping[str, Mapping[str, object]]
"""Planned runs: by name the inputs of each, and its levels."""


def preregister(
    fit: Source, runs: Planned, path: str | Path | None = None, *, replace: bool = False
) -> Preregistration:
    """Predict planned runs, and seal the predictions before the runs are made.

    Parameters
    ----------
    fit
        A fit or an average of laws.
    runs
        The planned runs: by name the inputs of each, as
        ``{"big": {"n_params": "70B", "n_tokens": "1.4T"}}``, and for a model with partial pooling
        the levels (``"family": "c4"``). A level that is not stated is that of `Fit.sel`, or else
        a new one.
    path
        A ``.json`` file to write.
    replace
        Whether earlier forecasts at `path` may be replaced.

    Returns
    -------
    Preregistration
        The predictive distribution of each run, with the digests of the fitted runs and of the
        model card, the versions, the date, and a digest of all of it.

    Raises
    ------
    AmountError
        If a run lacks an input, has an unknown one, or an amount cannot be read.
    UnknownNameError
        If a level was not fitted.
    UnsuitableLawError
        If published constants are given, which have no predictive distribution, or if a
        prediction is not a positive finite number.
    FileExistsError
        If there is a file at `path` already.

    See Also
    --------
    score_forecasts : Score the forecasts when the runs are finished.

    Notes
    -----
    The digest proves that the file was not changed since it was sealed, but not the date: commit
    the file, or give its digest to somebody else.

    Examples
    --------
    >>> import bayescale as bs
    >>> fit = bs.fit("chinchilla", "chinchilla", seed=1, progress=False)
    >>> made = bs.preregister(fit, {"big": {"n_params": "70B", "n_tokens": "1.4T"}})
    >>> made.text_table()["loss"].iloc[0]
    '1.9...'
    """
    if path is not None:
        refuse_existing(path, replace=replace)
    source = as_posterior(fit)
    if source.is_point or source.runs is None:
        raise UnsuitableLawError(
            "preregister: found published constants, which have no predictive distribution to be "
            "scored. Give a fit."
        )
    planned = _parsed(runs, source)
    inputs = {c: [row[c] for row in planned.values()] for c in source.columns.values()}
    levels = _levels(runs, source)
    drawn = predict(source, inputs=inputs, groups=levels)
    quantiles = np.quantile(
        drawn[f"{source.response}_run"], (np.arange(DRAWS) + 0.5) / DRAWS, axis=(0, 1)
    )
    _refuse_undefined(quantiles, list(planned), source)
    arrays = {column: np.array(amounts) for column, amounts in inputs.items()}
    found = Preregistration(
        plain(
            {
                "date": now(),
                "response": source.response,
                "unit": unit_of(source.response, source.runs),
                "posterior": {
                    "headline": headline_at(source, arrays),
                    **_facts(source, source.runs),
                },
                "versions": versions(),
                "runs": {
                    name: {
                        "inputs": row,
                        "levels": {
                            factor: None if of_runs[i] is NEW else str(of_runs[i])
                            for factor, of_runs in levels.items()
                        },
                        "beyond": drawn["beyond"].to_numpy()[i],
                        "draws": [float(f"{x:.8g}") for x in quantiles[:, i]],
                    }
                    for i, (name, row) in enumerate(planned.items())
                },
            }
        )
    )
    if path is not None:
        found.save(path, replace=replace)
    return found


def now() -> str:
    """Return the date and time in ISO 8601 form."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def unit_of(response: str, runs: Runs) -> str:
    """Return the unit of the response of runs; empty if none is stated."""
    return runs.loss_unit if response == "loss" else runs.units.get(response, "")


def _parsed(runs: Planned, source: Posterior) -> dict[str, dict[str, float]]:
    """Return the inputs of planned runs as numbers."""
    expected = "{'big': {'n_params': '7B', 'n_tokens': '2T'}}"
    if not expect_mapping(runs, "runs", expected):
        raise AmountError(f"runs: found {runs}, expected one or more by name, such as {expected}.")
    columns, found = tuple(source.columns.values()), {}
    known = (*columns, *source.groupings)
    for name, row in runs.items():
        label = f"planned run {quoted(name)}"
        if not isinstance(name, str) or not name or name != name.strip():
            raise AmountError(f"{label}: expected a name, as text without spaces around it.")
        if not isinstance(row, Mapping):
            raise AmountError(f"{label}: found {quoted(row)}, expected its inputs: {expected}.")
        for column in row:
            if column not in known:
                raise AmountError(
                    f"{label}: found {quoted(column)}, expected {listed(known)}."
                    f"{did_you_mean(str(column), known)}"
                )
        if missing := [column for column in columns if column not in row]:
            raise AmountError(
                f"{label}: found {listed(row) or 'nothing'}, expected {listed(missing)} too, "
                f"which the law {source.law.name} needs."
            )
        found[name] = {
            column: parse_amount(row[column], quantity_of(column), f"{label}, {column}")
            for column in columns
        }
    return found


def _levels(runs: Planned, source: Posterior) -> dict[str, list[object]]:
    """Return the levels of planned runs, by each grouping factor that is selected or stated."""
    selected = next(source.pieces())[0].groups
    stated = {f for row in runs.values() for f in row if f in source.groupings}
    return {
        factor: [row.get(factor, selected.get(factor, NEW)) for row in runs.values()]
        for factor in source.groupings
        if factor not in source.columns.values() and factor in {*stated, *selected}
    }


def _refuse_undefined(quantiles: NDArray[np.float64], names: list[str], source: Posterior) -> None:
    for name, draws in zip(names, quantiles.T, strict=True):
        if not (np.isfinite(draws) & (draws > 0.0)).all():
            raise UnsuitableLawError(
                f"planned run {quoted(name)}: the law {source.law.name} predicts a "
                f"{source.response} that is not a positive finite number in some draws. Plan a "
                "run nearer to those that were fitted."
            )


def _facts(source: Posterior, runs: Runs) -> dict[str, Any]:
    """Return the origin of predictions, with digests of the cards and of the fitted runs."""
    diagnostics = source.diagnostics
    return {
        "passed": diagnostics is not None and diagnostics.ok,
        "draws": source.n_draws,
        "cards": [
            {
                "id": part.model.id,
                "law": part.law.name,
                "sha256": hashlib.sha256(part.model.to_toml().encode()).hexdigest(),
                "weight": part.n_draws / source.n_draws,
                "fit": part.provenance,
            }
            for part, _, _ in source.pieces()
        ],
        "runs": {
            "name": runs.name,
            "count": len(runs),
            "sha256": runs.digest(source.groupings),
        },
    }


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python, bayescale and the packages on which predictions depend."""
    libraries = {name: version(name) for name in _LIBRARIES}
    return {"python": platform.python_version(), "bayescale": __version__, **libraries}
