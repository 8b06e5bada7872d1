"""The pointwise log likelihood of runs."""

import numpy as np
from numpy.typing import NDArray

from bayescale.data.runs import Runs
from bayescale.posterior.fitted import FittedModel
from bayescale.posterior.predict import noise_at_runs


def log_densities(fit: FittedModel, runs: Runs) -> NDArray[np.float64]:
    """Return the log density of the log response of each row, with shape (chain, draw, run).

    Correlated checkpoints are conditional on the preceding row of the same run, so that the sum
    over the rows of a run is their joint log density.
    """
    runs = runs.for_law(tuple(fit.columns.values()), fit.response)
    noise, log_mean = noise_at_runs(fit, runs)
    found = noise.log_density(np.log(runs.column(fit.response)) - log_mean)
    return np.asarray(found)
