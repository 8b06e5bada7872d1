"""Pool the scores of many fits over held-out runs, with standard errors of coverage."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bayescale.errors import as_list

_SQUARED = ("rmsle",)
"""Scores whose squares are averaged."""

_AVERAGED = ("bias", "width_90", "interval_score_90", "crps")


def pooled_scores(
    scores: pd.DataFrame,
    by: str | Sequence[str] = (),
    *,
    clusters: str | Sequence[str] = (),
) -> pd.DataFrame:
    """Pool the scores of many fits, weighting each held-out run equally.

    Parameters
    ----------
    scores
        One row per fit: ``n_test`` and other columns of `bayescale.Score.summary`,
        as `bayescale.leave_scale_out` and `bayescale.hold_out` return them, with any columns that
        identify the row. Rows without scores only count as fits.
    by
        Columns, or levels of the index, to group by, such as the source of the runs; all rows
        are pooled unless given.
    clusters
        Columns that identify rows with shared errors, such as the table of several cuts; each
        row is its own cluster unless given.

    Returns
    -------
    DataFrame
        Indexed by `by`, in the order of the rows (one row, ``"all"``, without it): ``n_fits``,
        ``n_failed`` (fits that are not ``ok``, if the scores have that column), ``n_test``; each
        ``coverage_*`` over all held-out runs and its standard error ``coverage_*_se``; and the
        pooled ``rmsle``, ``bias``, ``width_90``, ``interval_score_90`` and ``crps``, as available.

    Raises
    ------
    ValueError
        If there is no row, or a column is missing.

    See Also
    --------
    coverage_se : The standard error alone.

    Examples
    --------
    >>> import pandas as pd
    >>> scores = pd.DataFrame(
    ...     {"source": ["a", "a", "b"], "n_test": [10, 30, 10], "coverage_90": [1.0, 0.8, 0.5]}
    ... )
    >>> pooled_scores(scores, by="source")["coverage_90"].to_dict()
    {'a': 0.85, 'b': 0.5}
    >>> pooled_scores(scores).loc["all", "coverage_90"]
    np.float64(0.78)
    """
    by, clusters = as_list(by), as_list(clusters)
    scores = _rows(scores, ("n_test", *by, *clusters))
    if not len(scores):
        raise ValueError("scores: found no row; expected one for each fit.")
    if not by:
        return pd.DataFrame([_pooled(scores, clusters)], index=["all"])
    groups = list(scores.groupby(by, sort=False, dropna=False))
    places = pd.MultiIndex.from_tuples([place for place, _ in groups], names=by)
    index = places if len(by) > 1 else places.get_level_values(0)
    return pd.DataFrame([_pooled(group, clusters) for _, group in groups], index=index)


def coverage_se(
    scores: pd.DataFrame, prob: float = 0.9, *, clusters: str | Sequence[str] = ()
) -> float:
    """Return the standard error of the share of held-out runs inside an interval.

    Parameters
    ----------
    scores, clusters
        As in `pooled_scores`.
    prob
        The interval: 0.5, 0.8, 0.9 or 0.95.

    Returns
    -------
    float
        NaN for fewer than two clusters.

    Notes
    -----
    Runs predicted by one fit share its error, so clusters are independent, not runs. The pooled
    coverage is a ratio of sums over clusters; its standard error is the linearised one of a ratio
    estimator (Cochran 1977, *Sampling Techniques*, 3rd edition, equation 6.13, without the finite
    population correction)::

        sqrt(G / (G - 1) * sum_g (n_g (c_g - c))^2) / sum_g n_g

    for G clusters of n_g held-out runs with coverage c_g, and pooled coverage c. For clusters of
    equal size it is the standard error of their mean.

    Examples
    --------
    >>> import pandas as pd
    >>> scores = pd.DataFrame({"n_test": [10, 10], "coverage_90": [0.8, 1.0]})
    >>> round(coverage_se(scores), 6)
    0.1
    """
    column, names = f"coverage_{round(100 * prob)}", as_list(clusters)
    return _coverage_se(_rows(scores, ("n_test", column, *names)), column, names)


def _pooled(group: pd.DataFrame, clusters: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {"n_fits": len(group)}
    if "ok" in group:
        found["n_failed"] = int((~group["ok"].astype(bool)).sum())
    found["n_test"] = int(group["n_test"].sum())
    for name in (str(c) for c in group if str(c).startswith("coverage_")):
        found[name] = _mean(group[name], group["n_test"])
        found[f"{name}_se"] = _coverage_se(group, name, clusters)
    found |= {
        c: float(np.sqrt(_mean(group[c] ** 2, group["n_test"]))) for c in _SQUARED if c in group
    }
    found |= {c: _mean(group[c], group["n_test"]) for c in _AVERAGED if c in group}
    return found


def _coverage_se(scores: pd.DataFrame, column: str, clusters: Sequence[str]) -> float:
    known = scores.dropna(subset=[column, "n_test"])
    count = known["n_test"]
    off = count * (known[column] - _mean(known[column], count))
    if clusters:
        off = off.groupby([known[name] for name in clusters], dropna=False).sum()
    if len(off) < 2:
        return float("nan")
    return float(np.sqrt((off**2).sum() * len(off) / (len(off) - 1)) / count.sum())


def _mean(values: "pd.Series[float]", weights: "pd.Series[float]") -> float:
    """Return the weighted mean of the non-missing values; NaN if there are none."""
    known = values.notna() & (weights > 0)
    if not known.any():
        return float("nan")
    return float(np.average(values[known], weights=weights[known]))


def _rows(scores: pd.DataFrame, needed: Sequence[str]) -> pd.DataFrame:
    """Return the scores with the named levels of their index as columns."""
    levels = [name for name in scores.index.names if name is not None]
    rows = scores.reset_index(levels) if levels else scores
    missing = [name for name in needed if name not in rows]
    if missing:
        raise ValueError(
            f"scores: found columns {', '.join(map(str, rows))}, expected {', '.join(missing)} too."
        )
    return rows
