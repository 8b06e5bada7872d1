"""The compute-optimal size under a law: in closed form, or by a numerical search."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayescale.costs.budget import Array, Spending
from bayescale.errors import AmountError, NoClosedFormError, UnsuitableLawError, expect_mapping
from bayescale.laws import Law, Value
from bayescale.units import parse_amounts, quantity_of

_GRID = 33
"""Grid points of the first stage of the search, between the limits of a budget."""

_EDGE = 1e-3
"""Distance from a limit, in ln N, from which an optimum is an interior one."""

_TOLERANCE = 1e-7
"""Tolerance in ln N; closer to the minimum, the loss is constant up to rounding."""

_UNDEFINED = 1e30
"""Finite substitute for an undefined loss, at which the minimiser would stop."""

_DIMS = ("chain", "draw")


@dataclass(frozen=True, eq=False)
class Split:
    """Maps size and tokens to all inputs of a law.

    Attributes
    ----------
    law
        A law of ``n_params``, and of ``n_tokens`` or ``n_steps``.
    fixed
        Values of its other inputs.
    """

    law: Law
    fixed: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, law: Law, fixed: Mapping[str, object] | None = None) -> "Split":
        """Parse the fixed inputs and check that they are complete.

        Raises
        ------
        UnsuitableLawError
            If the law is not a function of size and tokens.
        AmountError
            If an input is missing, unknown or cannot be read.
        """
        fixed = expect_mapping(fixed or {}, "fixed", "{'n_experts': 64}")
        if not law.splits_compute:
            raise UnsuitableLawError(
                f"The law {law.name} is one of {law.response} in {', '.join(law.inputs)}; compute "
                "can be split between size and tokens only under a law of the loss in n_params and "
                "n_tokens. Use bayescale.predict for its value, or fit a law of both."
            )
        needed = [n for n in law.inputs if n not in ("n_params", "n_tokens", "n_steps")]
        missing = [name for name in needed if name not in fixed]
        unknown = [name for name in fixed if name not in needed]
        if missing:
            example = ", ".join(f'"{name}": ...' for name in missing)
            options = " ".join(f"--at {name}=AMOUNT" for name in missing)
            raise AmountError(
                f"fixed: the law {law.name} also takes {', '.join(missing)}; expected its value. "
                f"Give fixed={{{example}}} ({options})."
            )
        if unknown:
            raise AmountError(
                f"fixed (--at): found {', '.join(unknown)}, expected "
                f"{', '.join(needed) or 'nothing'}: the law {law.name} is of "
                f"{', '.join(law.inputs)}."
            )
        parsed = {n: parse_amounts(v, quantity_of(n), n) for n, v in fixed.items()}
        return cls(law, {name: float(values[0]) for name, values in parsed.items()})

    def __call__(self, log_n: Value, log_d: Value) -> dict[str, Value]:
        """Return logs of the law's inputs at logs of size and tokens."""
        inputs: dict[str, Value] = {"n_params": log_n}
        if "n_tokens" in self.law.inputs:
            inputs["n_tokens"] = log_d
        else:
            inputs["n_steps"] = log_d - np.log(self.fixed["batch_tokens"])
        return {**inputs, **{name: np.log(value) for name, value in self.fixed.items()}}


def closed_form(
    law: Law, parameters: Mapping[str, xr.DataArray], spending: Spending
) -> xr.DataArray:
    """Return ln N_opt of every draw and budget in closed form, inside the limits.

    Raises
    ------
    NoClosedFormError
        If the law, or the cost, has no closed form.
    """
    logs = spending.log_product
    if logs is None:
        raise NoClosedFormError(f"Under {spending.cost.name} no optimum has a closed form.")
    log_product = xr.DataArray(logs, dims="budget", coords={"budget": spending.budgets})
    unconstrained: xr.DataArray = law.optimal_log_params(parameters, log_product)
    low, high = spending.ends
    if not spending.limits:
        # At least one parameter and one token.
        lower, upper = (xr.DataArray(end, dims="budget") for end in (low, high))
        return unconstrained.where((unconstrained >= lower) & (unconstrained <= upper))
    # Along a budget the loss is unimodal, so that the constrained optimum is the nearest feasible
    # size. Below the size at which the limit on tokens binds, the loss falls with size.
    smallest = np.maximum(low, spending.log_least_sizes)
    inside = unconstrained.clip(
        xr.DataArray(np.minimum(smallest, high), dims="budget"), xr.DataArray(high, dims="budget")
    )
    return inside.assign_coords(budget=spending.budgets)


def search(
    split: Split, parameters: Mapping[str, xr.DataArray], spending: Spending
) -> xr.DataArray:
    """Return ln N_opt of every draw and budget by a search; NaN for a draw without an optimum.

    The search is on a grid of sizes shared by all draws, since the tokens of a budget do not depend
    on the law; then elementwise, inside the cells with the least loss.
    """
    from scipy.optimize import elementwise

    law, names = split.law, list(parameters)
    values = [parameters[name].transpose(*_DIMS).to_numpy()[..., None] for name in names]
    shape = (*np.broadcast_shapes(*(v.shape for v in values))[:-1], len(spending.budgets))

    def loss(log_n: Any, which: Any, *values: Any) -> Any:
        log_d = spending.log_tokens(log_n, which.astype(np.intp), exact=False)
        found = law.formula(split(log_n, log_d), dict(zip(names, values, strict=True)))
        return np.where(np.isfinite(found), found, _UNDEFINED)

    budgets = np.arange(len(spending.budgets))
    low, high = spending.ends
    grid = low + (high - low) * np.linspace(0.0, 1.0, _GRID)[:, None]
    with np.errstate(all="ignore"):
        at = _argmin(lambda log_n: loss(log_n, budgets, *values), grid, shape)
        left, right = (grid[np.clip(at + i, 0, _GRID - 1), budgets] for i in (-1, 1))
        middle = grid[at, budgets]
        # At an end of the grid, bracket an interior minimum next to it if there is one.
        middle = np.where(at == 0, middle + _EDGE, middle)
        middle = np.where(at == _GRID - 1, middle - _EDGE, middle)
        at_end = (at == 0) | (at == _GRID - 1)
        end = np.where(at == 0, low, high)
        at_end &= ~(loss(middle, budgets, *values) < loss(end, budgets, *values))
        inside = ~at_end
        arguments = [np.broadcast_to(v, shape)[inside] for v in (budgets, *values)]
        found = elementwise.find_minimum(
            loss,
            tuple(np.broadcast_to(x, shape)[inside] for x in (left, middle, right)),
            args=tuple(arguments),
            tolerances={"xatol": _TOLERANCE, "xrtol": 0.0, "fatol": 0.0, "frtol": 0.0},
        )
    log_n = np.empty(shape)
    log_n[inside] = np.where(found.success, found.x, np.nan)
    # An end of the range is an optimum only if it is a limit set by the user.
    low_set, high_set = spending.limited
    is_limit = np.where(at == 0, low_set, high_set)
    log_n[at_end] = np.where(is_limit, end, np.nan)[at_end]
    return xr.DataArray(log_n, dims=(*_DIMS, "budget"), coords={"budget": spending.budgets})


def _argmin(
    loss: Callable[[Array], Array], grid: Array, shape: tuple[int, ...]
) -> NDArray[np.intp]:
    """Return the index of the grid point with the least loss, one point in memory at a time."""
    least, at = np.full(shape, np.inf), np.zeros(shape, dtype=np.intp)
    for i, log_n in enumerate(grid):
        found = loss(log_n)
        better = found < least
        least[better] = np.broadcast_to(found, shape)[better]
        at[better] = i
    return at
