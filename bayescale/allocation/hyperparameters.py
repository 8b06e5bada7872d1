"""The optimal learning rate and batch size of plans, and the excess loss of other ones."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayescale.laws.hyperparameters import HyperparameterRule, hyperparameter_rule
from bayescale.posterior.curve import curve_of_one_law
from bayescale.posterior.point import Source, as_posterior
from bayescale.posterior.predict import parse_plans
from bayescale.posterior.summary import flag_failure, interval_columns

PAIR = ("learning_rate", "batch_tokens")


def hyperparameters(
    source: Source | HyperparameterRule | str,
    *,
    n_params: object,
    n_tokens: object,
    prob: float = 0.9,
) -> pd.DataFrame:
    """Return the best learning rate and batch size of plans.

    Parameters
    ----------
    source
        A fit of the law ``learning-rate-batch``, or a published rule or its name, such as
        ``"steplaw2025"`` (`bayescale.laws.hyperparameters.RULES`).
    n_params, n_tokens
        Amounts, or lists of amounts of equal length; single amounts are broadcast.
    prob
        Probability of the intervals.

    Returns
    -------
    DataFrame
        One row per plan: ``n_params``, ``n_tokens``, and of ``learning_rate`` and
        ``batch_tokens`` the median and the equal-tailed interval (``_lower``, ``_upper``); of a
        rule the value alone, since no uncertainty is published.

    Raises
    ------
    AmountError
        If an amount cannot be read.
    UnknownNameError
        If there is no such rule.
    UnsuitableLawError
        If the law has no learning rate and batch size.

    Examples
    --------
    >>> import bayescale as bs
    >>> table = bs.hyperparameters("steplaw2025", n_params="1B", n_tokens="100B")
    >>> f"{table['learning_rate'].item():.2e}, {table['batch_tokens'].item():.2e}"
    '1.63e-03, 1.11e+06'
    """
    plans = parse_plans({"n_params": n_params, "n_tokens": n_tokens}, ("n_params", "n_tokens"))
    if isinstance(source, str):
        source = hyperparameter_rule(source)
    log_n, log_d = (np.log(plans[name]) for name in ("n_params", "n_tokens"))
    if isinstance(source, HyperparameterRule):
        best = source.log_optimum({"n_params": log_n, "n_tokens": log_d})
        return _given(plans).assign(**{name: np.exp(x) for name, x in best.items()})
    posterior = as_posterior(source)
    curve = curve_of_one_law(posterior.curve, "hyperparameters", "an optimum")
    at = {
        "n_params": xr.DataArray(log_n, dims="plan"),
        "n_tokens": xr.DataArray(log_d, dims="plan"),
    }
    best = curve.law.log_optimum(at, curve.parameters)
    draws = xr.Dataset({name: np.exp(best[name]) for name in PAIR})
    return flag_failure(_with_intervals(plans, draws, prob), posterior.diagnostics)


def loss_lost(
    source: Source,
    *,
    n_params: object,
    n_tokens: object,
    learning_rate: object,
    batch_tokens: object,
    prob: float = 0.9,
) -> pd.DataFrame:
    """Return the relative excess loss of a learning rate and batch size over the optimal pair.

    Parameters
    ----------
    source
        A fit of the law ``learning-rate-batch``.
    n_params, n_tokens, learning_rate, batch_tokens
        Amounts, or lists of amounts of equal length; single amounts are broadcast.
    prob
        Probability of the interval.

    Returns
    -------
    DataFrame
        One row per plan: the four inputs and ``lost``, the median and the equal-tailed interval
        of L / L_best - 1, where each draw has its own optimal pair.

    Raises
    ------
    AmountError
        If an amount cannot be read.
    UnsuitableLawError
        If the law has no learning rate and batch size.
    """
    posterior = as_posterior(source)
    curve = curve_of_one_law(posterior.curve, "hyperparameters", "an optimum")
    law, parameters = curve.law, curve.parameters
    named = {"n_params": n_params, "n_tokens": n_tokens}
    named |= {"learning_rate": learning_rate, "batch_tokens": batch_tokens}
    plans = parse_plans(named, tuple(named))
    at = {name: xr.DataArray(np.log(plans[name]), dims="plan") for name in named}
    best = law.formula({**at, **law.log_optimum(at, parameters)}, parameters)
    lost = xr.Dataset({"lost": law.formula(at, parameters) / best - 1.0})
    return flag_failure(_with_intervals(plans, lost, prob), posterior.diagnostics)


def _given(plans: Mapping[str, NDArray[np.float64]]) -> pd.DataFrame:
    return pd.DataFrame(plans).rename_axis("plan")


def _with_intervals(
    plans: Mapping[str, NDArray[np.float64]], draws: xr.Dataset, prob: float
) -> pd.DataFrame:
    """Return the plans with the median and the interval of draws along ``plan``."""
    given = _given(plans)
    return given.join(interval_columns(draws.assign_coords(plan=given.index), prob, "plan"))
