"""A cost law fitted to recorded costs of runs, with its uncertainty."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, override

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayescale._seeds import Stream, generator
from bayescale.costs.base import Cost
from bayescale.costs.hardware import Cluster
from bayescale.errors import AmountError
from bayescale.units import parse_amounts

type Form = Literal["power", "additive"]
type Array = NDArray[np.float64]

_MIN_RUNS = 4
_SAME = 0.05
"""Range of ln size, or ln tokens, below which its exponent is not identified."""

_MEAN, _SD = np.array([0.0, 1.0, 1.0]), np.array([100.0, 0.2, 0.1])
"""Prior mean and standard deviation of ln k and of the exponents of size and tokens, at a residual
scale of 5 %, with which they grow: cost is nearly proportional to both."""

_SHAPE, _SCALE = 2.0, 2.0 * 0.05**2
"""Inverse gamma prior of the residual variance: typical residuals of 5 %."""

_GRID = 200


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CostLaw(Cost):
    """A cost law C = k (N + n0)^a D^b, at its posterior means, and its posterior draws.

    Created by `fit_cost_law`. Its unit as a cost is FLOP; `allocate` and `decide` accept it.

    Attributes
    ----------
    draws
        One row per posterior draw: ``log_k``, ``n0``, ``a``, ``b`` and ``sigma``, the scale of the
        residuals of the log of the cost.
    name
        Name in tables and reports.
    """

    draws: pd.DataFrame
    name: str

    @override
    def __call__(self, n_params: Any, n_tokens: Any) -> Any:
        at = self.draws.mean()
        size = np.asarray(n_params, dtype=float) + at["n0"]
        return np.exp(at["log_k"] + at["a"] * np.log(size) + at["b"] * np.log(n_tokens))

    @override
    def tokens_for(self, budget: Any, n_params: Any) -> Any:
        at = self.draws.mean()
        size = np.asarray(n_params, dtype=float) + at["n0"]
        return np.exp((np.log(budget) - at["log_k"] - at["a"] * np.log(size)) / at["b"])

    def draw(self, number: int) -> "CostLaw":
        """Return the law of one posterior draw, to propagate its uncertainty to a decision."""
        row = self.draws.iloc[[number]]
        return CostLaw(draws=row, name=f"{self.name}, draw {number}")

    def interval(
        self, n_params: object, n_tokens: object, prob: float = 0.9, *, seed: int = 0
    ) -> pd.DataFrame:
        """Return the predictive interval of the cost of runs, in FLOP.

        Returns
        -------
        DataFrame
            ``n_params``, ``n_tokens``, and the median and equal-tailed interval of ``compute`` of
            one new run each, including its residual.
        """
        size, tokens = np.broadcast_arrays(
            parse_amounts(n_params, "count", "n_params"),
            parse_amounts(n_tokens, "count", "n_tokens"),
        )
        d = {name: self.draws[name].to_numpy()[:, None] for name in self.draws}
        noise = generator(seed, Stream.COST_LAW, 1).standard_normal((len(self.draws), len(size)))
        found = d["log_k"] + d["a"] * np.log(size + d["n0"]) + d["b"] * np.log(tokens)
        tail = (1.0 - prob) / 2.0
        ends = np.exp(np.quantile(found + d["sigma"] * noise, [0.5, tail, 1.0 - tail], axis=0))
        names = ("compute", "compute_lower", "compute_upper")
        return pd.DataFrame(
            {"n_params": size, "n_tokens": tokens, **dict(zip(names, ends, strict=True))}
        )


def fit_cost_law(
    table: pd.DataFrame | Mapping[str, Any],
    *,
    form: Form = "power",
    cluster: Cluster | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> CostLaw:
    """Fit a cost law to the recorded costs of runs.

    Parameters
    ----------
    table
        Columns ``n_params``, ``n_tokens``, and ``compute`` (FLOP) or ``gpu_hours``.
    form
        ``"power"``: k N^a D^b; or ``"additive"``: k (N + n0) D, where n0 is the cost of a token
        at any size, such as that of embeddings or attention.
    cluster
        The cluster of the GPU-hours, for their conversion to FLOP at its rate and overhead.
    draws, seed
        Number of posterior draws, and their seed.

    Returns
    -------
    CostLaw
        The law, as a cost and with its draws.

    Raises
    ------
    AmountError
        If columns are missing or cannot be read, there are fewer than four runs, sizes or tokens
        do not vary, or GPU-hours come without a cluster.

    Notes
    -----
    The log of the cost is Normal about that of the law. The posterior is exact: conjugate (Normal,
    inverse gamma) given n0, with n0 on a grid from zero to a hundred times the median size.

    Examples
    --------
    >>> from bayescale.costs import fit_cost_law
    >>> runs = {"n_params": [1e8, 1e9, 1e8, 1e9], "n_tokens": [2e9, 2e9, 2e10, 2e10]}
    >>> runs["compute"] = [1.3e18, 1.25e19, 1.31e19, 1.24e20]
    >>> law = fit_cost_law(runs, seed=1)
    >>> row = law.interval("7B", "140B").iloc[0]
    >>> bool(row["compute_lower"] < 6 * 7e9 * 1.4e11 * 1.05 < row["compute_upper"])
    True
    """
    if form not in ("power", "additive"):
        raise ValueError(f"form: found {form!r}, expected power or additive.")
    size, tokens, cost = _read(table, cluster)
    names = {"size": size} if form == "power" else {}
    for what, values in {**names, **({"tokens": tokens} if form == "power" else {})}.items():
        if np.ptp(np.log(values)) < _SAME:
            raise AmountError(
                f"costs: found one number of {what} for all runs, which does not identify its "
                "exponent. Add runs, or use form='additive'."
            )
    if len(cost) < _MIN_RUNS:
        raise AmountError(
            f"costs: found {len(cost)} runs, expected at least {_MIN_RUNS} to identify "
            "the law and its scatter."
        )
    rng = generator(seed, Stream.COST_LAW, 0)
    rows = np.stack([np.ones(len(cost)), np.log(size), np.log(tokens)], axis=1)
    if form == "power":
        found = _conjugate(rows, np.log(cost), _MEAN, _SD, draws, rng)[0]
        n0 = np.zeros(draws)
    else:
        grid = np.append(0.0, np.median(size) * np.geomspace(1e-4, 100.0, _GRID - 1))
        fits = [
            _conjugate(
                rows[:, :1], np.log(cost / tokens / (size + x)), _MEAN[:1], _SD[:1], draws, rng
            )
            for x in grid
        ]
        weights = np.exp([f[1] - max(g[1] for g in fits) for f in fits])
        at = rng.choice(len(grid), draws, p=weights / weights.sum())
        n0, drawn = grid[at], np.array([fits[i][0][j] for j, i in enumerate(at)])
        ones = np.ones(draws)
        found = np.stack([drawn[:, 0], ones, ones, drawn[:, 1]], axis=1)
    log_k, a, b, sigma = found.T
    columns = {"log_k": log_k, "n0": n0, "a": a, "b": b, "sigma": sigma}
    return CostLaw(draws=pd.DataFrame(columns), name=f"the recorded costs of {len(cost)} runs")


def _conjugate(
    rows: Array, response: Array, mean: Array, sd: Array, draws: int, rng: np.random.Generator
) -> tuple[Array, float]:
    """Return draws of the coefficients and the residual scale, and the log marginal likelihood."""
    typical = _SCALE / _SHAPE
    prior = np.diag(typical / sd**2)
    precision = prior + rows.T @ rows
    best = np.linalg.solve(precision, prior @ mean + rows.T @ response)
    shape = _SHAPE + len(response) / 2.0
    squares = response @ response + mean @ prior @ mean - best @ precision @ best
    scale = _SCALE + max(float(squares), 0.0) / 2.0
    variance = scale / rng.gamma(shape, size=draws)
    root = np.linalg.inv(np.linalg.cholesky(precision))
    steps = rng.standard_normal((draws, len(mean))) @ root
    found = best + np.sqrt(variance)[:, None] * steps
    marginal = -0.5 * np.linalg.slogdet(precision)[1] - shape * np.log(scale)
    return np.column_stack([found, np.sqrt(variance)]), float(marginal)


def _read(
    table: pd.DataFrame | Mapping[str, Any], cluster: Cluster | None
) -> tuple[Array, Array, Array]:
    recorded = [name for name in ("compute", "gpu_hours") if name in table]
    missing = [name for name in ("n_params", "n_tokens") if name not in table]
    if missing or len(recorded) != 1:
        raise AmountError(
            f"costs: found columns {', '.join(map(str, table))}; expected n_params, n_tokens and "
            "one of compute (FLOP) and gpu_hours."
        )
    quantity: Any = "compute" if recorded == ["compute"] else "count"
    size, tokens = (
        parse_amounts(list(table[name]), "count", f"costs, {name}")
        for name in ("n_params", "n_tokens")
    )
    cost = parse_amounts(list(table[recorded[0]]), quantity, f"costs, {recorded[0]}")
    if len({len(size), len(tokens), len(cost)}) > 1:
        raise AmountError(
            f"costs: found {len(size)} sizes, {len(tokens)} of tokens and {len(cost)} costs, "
            "expected equal numbers."
        )
    if recorded == ["gpu_hours"]:
        if cluster is None:
            raise AmountError(
                "costs: found gpu_hours without a cluster, which converts them to FLOP."
            )
        cost = cost * cluster.compute(gpu_hours=1.0)
    return size, tokens, cost
