"""Summary tables of draws: medians and equal-tailed intervals of explicit probability."""

import warnings

import numpy as np
import pandas as pd
import xarray as xr

from bayescale.errors import BayescaleWarning
from bayescale.posterior.diagnostics import Diagnostics
from bayescale.units import format_share


def tail_quantiles(prob: float) -> list[float]:
    """Return the probabilities of the lower end, the median and the upper end of an interval.

    Raises
    ------
    ValueError
        If `prob` is not strictly between 0 and 1.
    """
    if not 0.0 < prob < 1.0:
        raise ValueError(f"prob: found {prob!r}, expected a probability between 0 and 1.")
    return [(1.0 - prob) / 2.0, 0.5, (1.0 + prob) / 2.0]


def shown_probs(prob: float) -> tuple[float, ...]:
    """Return the probabilities whose intervals stand side by side: one half, and `prob`."""
    return (0.5,) if prob == 0.5 else (0.5, prob)


def quantiles(draws: xr.Dataset, prob: float) -> xr.Dataset:
    """Return lower end, median and upper end of equal-tailed intervals, along dim ``quantile``.

    Unlike highest-density intervals, these are equivariant under the log transformation.
    """
    return draws.quantile(tail_quantiles(prob), dim=("chain", "draw"))


def summarise(draws: xr.Dataset, prob: float) -> pd.DataFrame:
    """Return median, interval and standard deviation, with one row per scalar variable."""
    found = quantiles(draws, prob)
    rows = {
        str(name): {
            "median": float(found[name][1]),
            "lower": float(found[name][0]),
            "upper": float(found[name][2]),
            "sd": float(draws[name].std()),
        }
        for name in draws.data_vars
    }
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index.name = f"{format_share(prob)} interval"
    return table


def interval_columns(draws: xr.Dataset, prob: float, index: str) -> pd.DataFrame:
    """Return ``x``, ``x_lower`` and ``x_upper`` of each variable, one row per value of `index`."""
    found = quantiles(draws, prob)
    columns: dict[str, object] = {}
    for name in draws.data_vars:
        lower, median, upper = np.asarray(found[name].transpose("quantile", index))
        columns |= {str(name): median, f"{name}_lower": lower, f"{name}_upper": upper}
    return pd.DataFrame(columns, index=pd.Index(draws[index].to_numpy(), name=index))


def without_intervals(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of a point estimate without the columns of intervals."""
    return table[[c for c in table if not str(c).endswith(("_lower", "_upper", "_quantile"))]]


def flag_failure(table: pd.DataFrame, diagnostics: Diagnostics | None) -> pd.DataFrame:
    """Mark the header of the table and warn, if the diagnostics failed."""
    if diagnostics is not None and not diagnostics.ok:
        table.columns.name = "FIT FAILED ITS GATES"
        warnings.warn(diagnostics.status, BayescaleWarning, stacklevel=3)
    return table
