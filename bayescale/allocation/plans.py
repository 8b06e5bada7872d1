"""Plans as columns of runs, what runs cost, and budgets in the unit of a cost."""

import numpy as np
from numpy.typing import NDArray

from bayescale.costs import Cost
from bayescale.laws.optimum import Split
from bayescale.posterior.protocol import Posterior
from bayescale.units import parse_amounts

FAR = 10.0
"""Ratio to the largest run above which a budget is called a far extrapolation."""


def columns_of_plans(
    source: Posterior, split: Split, log_n: NDArray[np.float64], log_d: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Return plans as columns of runs, from logs of their size and tokens."""
    columns = source.columns
    return {
        columns[name]: np.exp(np.broadcast_to(np.asarray(values), log_n.shape))
        for name, values in split(log_n, log_d).items()
    }


def tokens_of_runs(source: Posterior) -> NDArray[np.float64]:
    """Return the tokens of the fitted runs, computed from steps if not given."""
    runs = source.runs
    assert runs is not None
    if "n_tokens" in runs.table:
        return runs.n_tokens
    return runs.column("n_steps") * runs.column("batch_tokens")


def cost_of_runs(source: Posterior, cost: Cost) -> NDArray[np.float64]:
    """Return the cost of each fitted run."""
    return np.asarray(cost(source.inputs["n_params"], tokens_of_runs(source)), dtype=float)


def largest_compute(source: Posterior, cost: Cost) -> float:
    """Return the compute of the largest fitted run, in FLOP."""
    runs = source.runs
    assert runs is not None
    if "compute" in runs.table:
        return float(runs.compute.max())
    return float(np.max(cost.training(runs.n_params, tokens_of_runs(source))))


def parse_budgets(values: object, cost: Cost, name: str = "budget") -> NDArray[np.float64]:
    """Parse budgets in the unit of a cost; `name` is the argument's, for messages."""
    return parse_amounts(values, "compute" if cost.unit == "FLOP" else "money", name)
