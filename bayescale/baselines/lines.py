"""Random-effects regression of a line on optima with known standard errors."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def line_through(
    log_c: NDArray[np.float64], log_n: NDArray[np.float64], rng: np.random.Generator
) -> pd.DataFrame:
    """Return draws of a line through uncertain optima, given as draws with dims (draw, budget).

    The scatter about the line exceeds the standard errors of the parabolas. The excess variance is
    common to all budgets, so that a parabola that fits well by chance does not dominate.
    """
    complete = log_n[np.isfinite(log_n).all(axis=1)]
    low, high = np.quantile(complete, [0.16, 0.84], axis=0)
    variance = np.maximum(0.5 * (high - low), 1e-9) ** 2
    middle = log_c.mean()
    design = np.stack([np.ones_like(log_c), log_c - middle], axis=1)
    excess = _excess_variance(design, np.median(complete, axis=0), variance)
    to_coefficients = _weighted(design, variance + excess)
    lines = complete @ to_coefficients.T
    dof = len(log_c) - 2
    if dof > 0:
        scale = np.sqrt(excess * dof / rng.chisquare(dof, len(lines)))
        lines = lines + scale[:, None] * (rng.standard_normal(complete.shape) @ to_coefficients.T)
    return pd.DataFrame({"ln_k": lines[:, 0] - lines[:, 1] * middle, "a": lines[:, 1]})


def _weighted(design: NDArray[np.float64], variance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the matrix that maps responses to weighted least-squares coefficients."""
    root = np.sqrt(variance)
    to_coefficients: NDArray[np.float64] = np.linalg.pinv(design / root[:, None]) / root
    return to_coefficients


def _excess_variance(
    design: NDArray[np.float64], response: NDArray[np.float64], variance: NDArray[np.float64]
) -> float:
    """Return the excess variance at which the weighted residuals match their degrees of freedom.

    Paule and Mandel 1982, doi:10.6028/jres.087.022.
    """
    from scipy.optimize import brentq

    dof = len(response) - design.shape[1]

    def excess_deviance(log_extra: float) -> float:
        total = variance + np.exp(log_extra)
        residual = response - design @ (_weighted(design, total) @ response)
        return float((residual**2 / total).sum() - dof)

    # From far below the standard errors of the parabolas to more than ten e-folds of size.
    lower, upper = np.log(variance.min()) - 7.0, 5.0
    if dof == 0 or excess_deviance(lower) <= 0.0:
        return 0.0
    if excess_deviance(upper) >= 0.0:
        return float(np.exp(upper))
    root: float = brentq(excess_deviance, lower, upper)
    return float(np.exp(root))
