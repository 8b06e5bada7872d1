"""Where a budget is best spent under a law: in closed form, or by a search."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayescale.costs import ProductCost
from bayescale.errors import NoClosedFormError
from bayescale.laws import Law

END = 1e-3
"""How near, in ln N, a searched optimum may come to one parameter or one token."""


def log_product_of(budgets: NDArray[np.float64], cost: ProductCost) -> xr.DataArray:
    """Return ln (N D) that each budget allows, along ``compute``."""
    logs = np.log(budgets / cost.flop_per_param_token)
    return xr.DataArray(logs, dims="compute", coords={"compute": budgets})


def optimal_log_params(
    law: Law, parameters: Mapping[str, xr.DataArray], log_product: xr.DataArray
) -> xr.DataArray:
    """Return ln N_opt of every draw and budget: in closed form, or by a search."""
    try:
        return law.optimal_log_params(parameters, log_product)  # type: ignore[no-any-return]
    except NoClosedFormError:
        names = list(parameters)
        found: xr.DataArray = xr.apply_ufunc(
            partial(_search_optimum, law, names),
            log_product,
            *(parameters[name] for name in names),
        )
        return found


def _search_optimum(
    law: Law, names: Sequence[str], log_product: NDArray[np.float64], *values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Minimise the loss over ln N in ]0, ln P[ at fixed product P, elementwise."""
    from scipy.optimize import elementwise

    log_product, *others = np.broadcast_arrays(log_product, *values)

    def loss(log_n: Any, log_product: Any, *values: Any) -> Any:
        inputs = {"n_params": log_n, "n_tokens": log_product - log_n}
        return law.formula(inputs, dict(zip(names, values, strict=True)))

    bracket = elementwise.bracket_minimum(
        loss,
        0.5 * log_product,
        xmin=np.zeros_like(log_product),
        xmax=log_product,
        args=(log_product, *others),
    )
    found = elementwise.find_minimum(loss, bracket.bracket, args=(log_product, *others))
    # A search that ends at the end of its range has found no optimum.
    inside = (found.x > END) & (found.x < log_product - END)
    return np.where(bracket.success & found.success & inside, found.x, np.nan)
