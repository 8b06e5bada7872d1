"""What runs taught of each coordinate of a law: how far its posterior contracted from its prior."""

import numpy as np
import pandas as pd

from bayescale._seeds import Stream, generator
from bayescale.build import draw_prior
from bayescale.identifiability import unidentified
from bayescale.posterior import Fit

LEARNT = 0.5
"""Less contraction than this is called a coordinate that the runs do not tell: more than half of
the variance that it had before the runs is left."""

_PRIOR_DRAWS = 4000


def contraction(fit: Fit) -> "pd.Series[float]":
    """Return by how much the runs narrowed each elasticity and exponent of a law.

    Returns
    -------
    Series
        One less the ratio of posterior to prior variance, on the scale that is sampled (the
        logarithm of what is positive): one for what the runs determine, zero for what they say
        nothing of, below zero where they leave it wider than the prior (two modes). The level of
        the law is left out; any run determines it. Source: Betancourt 2018, arXiv:1803.08393.

    Examples
    --------
    >>> import bayescale as bs
    >>> from bayescale.learning import contraction
    >>> fit = bs.fit("chinchilla", draws=200, seed=1, progress=False)
    >>> bool(contraction(fit)["alpha"] > 0.9)
    True
    """
    drawn = draw_prior(fit.model, generator(0, Stream.PRIOR), _PRIOR_DRAWS)
    found = {}
    for name, prior in fit.model.priors.items():
        if name != fit.law.level:
            before, after = (
                float(np.var([prior.unconstrain(x) for x in values.ravel()]))
                for values in (drawn[name], fit.posterior[name].to_numpy())
            )
            found[name] = 1.0 - after / before
    return pd.Series(found, name="contraction")


def not_told(fit: Fit) -> tuple[str, ...]:
    """Return the names of what the runs do not tell: all, where they cannot tell terms apart."""
    found = contraction(fit)
    if unidentified(fit.model, fit.runs):
        return tuple(map(str, found.index))
    return tuple(map(str, found.index[found < LEARNT]))
