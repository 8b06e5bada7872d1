"""Elasticities: relative decrease of the response per relative increase of an input."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from bayescale.posterior.curve import AnyCurve
from bayescale.posterior.point import Source, as_posterior
from bayescale.posterior.predict import asked_inputs, parse_plans
from bayescale.posterior.protocol import Posterior
from bayescale.posterior.summary import interval_columns

_STEP = 1e-3
"""Step in ln of an input; fourth-order differences have an error of about 1e-11."""

_SYMBOLS: Mapping[str, str] = {"n_params": "e_n", "n_tokens": "e_d", "x": "e"}
"""Symbols of elasticities in common inputs, as in the coordinates of laws."""


def elasticities(
    sources: Source | Mapping[str, Source],
    *,
    n_params: object = None,
    n_tokens: object = None,
    inputs: Mapping[str, object] | None = None,
    prob: float = 0.9,
) -> pd.DataFrame:
    """Return the elasticities of one or several laws at common points, with intervals.

    Parameters
    ----------
    sources
        A fit, an average of laws or published constants; or several by name.
    n_params, n_tokens
        Amounts, or lists of amounts of equal length; single amounts are broadcast. Defaults to
        the centre of the runs of the first fit.
    inputs
        The same for laws with other inputs, by column of the runs.
    prob
        Probability of the intervals.

    Returns
    -------
    DataFrame
        Indexed by law and point: the inputs, and for each of them the median and equal-tailed
        interval (``_lower``, ``_upper``) of ``-d ln L / d ln input``: ``e_n`` in size and ``e_d``
        in tokens.

    Raises
    ------
    AmountError
        If an amount is missing or cannot be read, or belongs to an input that a law lacks.

    Notes
    -----
    Elasticities are comparable between laws, unlike exponents. They include the discrepancy term
    of a model, if any, and are therefore computed by finite differences (of fourth order in ln of
    the input). Without a discrepancy these agree with the derivatives of the law to ten digits.

    Examples
    --------
    >>> import bayescale as bs
    >>> papers = {n: bs.published(n) for n in ("besiroglu2024", "kaplan2020-nd")}
    >>> table = bs.elasticities(papers, n_params="1B", n_tokens="20B")
    >>> table[["e_n", "e_d"]].round(4).to_numpy().tolist()
    [[0.0491, 0.0514], [0.0605, 0.021]]
    """
    several = sources if isinstance(sources, Mapping) else {"law": sources}
    named = {name: as_posterior(source) for name, source in several.items()}
    asked = asked_inputs(n_params, n_tokens, inputs) or _centre(list(named.values()))
    tables = {}
    for name, source in named.items():
        curve, columns = source.curve, source.columns
        points = parse_plans(asked, tuple(columns.values()))
        draws = elasticity_draws(curve, {n: np.log(points[c]) for n, c in columns.items()})
        found = interval_columns(draws, prob, "point")
        tables[name] = pd.concat([pd.DataFrame(points, index=found.index), found], axis=1)
    table = pd.concat(tables, names=["model", "point"])
    return table if isinstance(sources, Mapping) else table.droplevel("model")


def elasticity_draws(curve: AnyCurve, log_inputs: Mapping[str, np.ndarray]) -> xr.Dataset:
    """Return draws of the elasticity in each input, with dims chain, draw and point."""
    at = {name: xr.DataArray(x, dims="point") for name, x in log_inputs.items()}
    found = {}
    for name in at:

        def log_response(step: float, name: str = name) -> xr.DataArray:
            moved = {**at, name: at[name] + step}
            log: xr.DataArray = np.log(curve.response(moved))  # type: ignore[assignment]
            return log

        near = log_response(_STEP) - log_response(-_STEP)
        far = log_response(2.0 * _STEP) - log_response(-2.0 * _STEP)
        slope = (8.0 * near - far) / (12.0 * _STEP)
        found[symbol_of(name)] = -slope.transpose("chain", "draw", "point")
    count = len(next(iter(log_inputs.values())))
    return xr.Dataset(found).assign_coords(point=np.arange(count))


def symbol_of(name: str) -> str:
    """Return the symbol of the elasticity in an input."""
    return _SYMBOLS.get(name, f"e_{name}")


def _centre(sources: Sequence[Posterior]) -> dict[str, object]:
    """Return the geometric centre of the runs of the first fit."""
    for source in sources:
        if not source.is_point:
            return {
                source.columns[name]: float(np.exp(np.log(values).mean()))
                for name, values in source.inputs.items()
            }
    return {}
