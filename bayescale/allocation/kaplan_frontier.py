"""The compute-efficient frontiers of Kaplan et al. 2020, in compute as spent or batch-adjusted."""

from functools import singledispatch

import numpy as np
import xarray as xr

from bayescale.costs import ProductCost
from bayescale.costs.budget import Array, Spending
from bayescale.errors import AmountError, UnsuitableLawError
from bayescale.laws.constants import EmpiricalFrontier
from bayescale.laws.optimum import Split
from bayescale.posterior.curve import Curve, curve_of_one_law
from bayescale.posterior.point import Source, as_posterior
from bayescale.units import parse_amounts


def frontier(
    source: Source,
    *,
    compute: object = None,
    compute_min: object = None,
    batch_tokens: object = None,
) -> xr.Dataset:
    """Return a frontier of Kaplan et al. 2020: size, batch, steps, tokens and loss.

    There are three, whose sizes differ severalfold at the same number of FLOP:

    - the power laws that a paper publishes for the optimum (an `EmpiricalFrontier`), as a function
      of the compute used in their fit;
    - the compute-efficient frontier of the law ``kaplan-ns`` (appendix B), at the critical batch
      size, as a function of the batch-adjusted `compute_min`;
    - the optimum of that law at a fixed batch size, as a function of `compute` as spent.

    Parameters
    ----------
    source
        A fit of ``kaplan-ns``, its published constants, or an empirical frontier.
    compute
        Compute as spent, 6 N B S: FLOP, or text such as ``"1 PF-days"``; one or several.
    compute_min
        Compute that reaches the same loss in the limit of small batches. At the critical batch
        size it is half of the compute spent.
    batch_tokens
        Tokens per batch, for the optimum at a fixed batch size.

    Returns
    -------
    Dataset
        Dims ``chain``, ``draw`` and ``compute`` or ``compute_min``. At the critical batch size,
        ``n_steps_min`` is the number of steps in the limit of large batches, while ``n_steps``
        (twice as many) and ``compute`` are those of the run itself.

    Raises
    ------
    AmountError
        If both kinds of compute are given, or neither, or not that of the source.
    UnsuitableLawError
        If the source has no such frontier.

    Examples
    --------
    >>> import bayescale as bs
    >>> printed = bs.frontier(bs.published("kaplan2020-frontier"), compute_min=1e21)
    >>> derived = bs.frontier(bs.published("kaplan2020-ns"), compute_min=1e21)
    >>> fixed = bs.frontier(bs.published("kaplan2020-ns"), compute=1e21, batch_tokens=2**19)
    >>> [f"{float(x['n_params'].squeeze()):.3g}" for x in (printed, derived, fixed)]
    ['7.77e+09', '3.1e+09', '2.8e+09']
    """
    if (compute is None) == (compute_min is None):
        raise AmountError(
            f"frontier: found {'neither' if compute is None else 'both'} of compute (as spent) and "
            "compute_min (batch-adjusted), expected one of them."
        )
    dim = "compute" if compute is not None else "compute_min"
    given = compute if compute is not None else compute_min
    amounts = parse_amounts(given, "compute", dim)
    axis = xr.DataArray(amounts, dims=dim, coords={dim: amounts})
    return _frontier(source, axis, batch_tokens)


@singledispatch
def _frontier(source: Source, axis: xr.DataArray, batch_tokens: object) -> xr.Dataset:
    """Return the frontier of a law, at its critical batch size or at a fixed one."""
    curve = curve_of_one_law(as_posterior(source).curve, "frontier", "a frontier")
    if not curve.law.has_critical_batch:
        raise UnsuitableLawError(
            f"The law {curve.law.name} has no critical batch size, so its only frontier is in "
            "compute as spent. Use bayescale.allocate."
        )
    if axis.dims == ("compute_min",):
        return _at_critical_batch(curve, axis)
    if batch_tokens is None:
        raise AmountError(
            "frontier: found compute as spent without batch_tokens. Give batch_tokens, or "
            "compute_min for batches at the critical size."
        )
    return _at_fixed_batch(curve, axis.to_numpy(), batch_tokens)


@_frontier.register
def _published(source: EmpiricalFrontier, axis: xr.DataArray, batch_tokens: object) -> xr.Dataset:
    """Return the power laws that a paper publishes."""
    (dim,) = axis.dims
    rows = [source.at(**{str(dim): float(c)}) for c in axis]
    return xr.Dataset(
        {
            _empirical_name(source, name): xr.DataArray(
                [[[row[name] for row in rows]]], dims=("chain", "draw", dim), coords=axis.coords
            )
            for name in rows[0]
        }
    )


def _at_critical_batch(curve: Curve, compute_min: xr.DataArray) -> xr.Dataset:
    found = curve.law.efficient_frontier(curve.parameters, compute_min=compute_min)
    steps = found["n_steps"]
    draws = xr.Dataset(
        {
            **{name: found[name] for name in ("n_params", "batch_tokens", "loss")},
            "n_steps_min": steps,
            "n_steps": 2.0 * steps,
            "n_tokens": 2.0 * steps * found["batch_tokens"],
            "compute": 2.0 * compute_min,
        }
    )
    # Compute is constant over draws, but has their dims like the other variables.
    return draws.transpose("chain", "draw", ..., missing_dims="ignore")


def _at_fixed_batch(curve: Curve, amounts: Array, batch_tokens: object) -> xr.Dataset:
    split = Split.of(curve.law, {"batch_tokens": batch_tokens})
    spending = Spending(ProductCost(6.0, "6ND"), amounts)
    log_n = curve.optimum(spending, split.fixed)
    log_d = log_n.copy(data=spending.log_tokens(log_n.to_numpy()))
    batch = split.fixed["batch_tokens"]
    return xr.Dataset(
        {
            "n_params": np.exp(log_n),
            "n_tokens": np.exp(log_d),
            "n_steps": np.exp(log_d) / batch,
            "batch_tokens": xr.full_like(log_n, batch),
            "loss": curve.loss(split, log_n, log_d),
        }
    )


def _empirical_name(source: EmpiricalFrontier, name: str) -> str:
    """Return the name of a quantity: steps of a batch-adjusted frontier are minimum steps."""
    adjusted = source.variable == "compute_min" and name == "n_steps"
    return "n_steps_min" if adjusted else name
