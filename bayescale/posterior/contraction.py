"""Posterior contraction of each coordinate of a law, and prior-data conflict."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayescale._seeds import Stream, generator
from bayescale.backend.build import draw_prior
from bayescale.laws import Values
from bayescale.model.checks import Check, verdict
from bayescale.model.identifiability import unidentified
from bayescale.posterior.fitted import FittedModel
from bayescale.units import format_number

WELL_IDENTIFIED = 0.5
"""Contraction below which a coordinate counts as weakly identified: the posterior retains more
than half of the prior variance."""

BARELY_IDENTIFIED = 0.25
"""Contraction below which posterior intervals are at least 0.87 times as wide as prior ones."""

_WIDE, _WIDE_EXPONENT = 0.2, 0.1
"""Standard deviations, in ln units and of the exponent of N_opt. Narrower posteriors are not
reported, since a prior that gives them is informative on purpose."""

SURPRISING, IMPOSSIBLE = 0.002, 1e-4
"""Prior tail probabilities of a posterior median: of any parameter, below which there is a remark,
and of the noise scale, below which the check fails."""

_PRIOR_DRAWS = 4000
_EXPONENT, _SCATTER, _TAILS = "a", "sigma", "nu"


def contraction(fit: FittedModel) -> "pd.Series[float]":
    """Return the posterior contraction of each elasticity and exponent of a law.

    Returns
    -------
    Series
        ``1 - posterior variance / prior variance`` on the unconstrained scale (the logarithm of
        positive parameters): one if identified by the runs, zero if not, and negative if the
        posterior is wider than the prior (for example with two modes). The level of the law is
        left out, since any run identifies it. Source: Betancourt 2018, arXiv:1803.08393.

    Examples
    --------
    >>> import bayescale as bs
    >>> from bayescale.posterior.contraction import contraction
    >>> fit = bs.fit("chinchilla", "chinchilla", draws=200, seed=1, progress=False)
    >>> bool(contraction(fit)["alpha"] > 0.9)
    True
    """
    return _contraction(fit, _prior_draws(fit))


def weakly_identified(fit: FittedModel) -> tuple[str, ...]:
    """Return the names of weakly identified coordinates: all, if the law is not identifiable."""
    found = contraction(fit)
    if unidentified(fit.model, fit.runs):
        return tuple(map(str, found.index))
    return tuple(map(str, found.index[found < WELL_IDENTIFIED]))


def check_learning(fit: FittedModel) -> Check:
    """Check that the runs identify the elasticities and exponents, and thus the optimum.

    The check fails if the exponent of N_opt in compute, or every coordinate of a law without one,
    has hardly contracted, and remarks on weakly identified coordinates. Narrow posteriors are
    exempt, since their priors are informative on purpose.
    """
    drawn = _prior_draws(fit)
    found = _contraction(fit, drawn)
    wide = [_spread(fit, str(name), fit.posterior[str(name)]) > _WIDE for name in found.index]
    found_wide = found[wide]
    weak = [str(name) for name in found_wide.index[found_wide < WELL_IDENTIFIED]]
    before, after = _exponents(fit, drawn)
    if before is not None and after is not None:
        left = float(after.var() / before.var())
        if 1.0 - left < BARELY_IDENTIFIED and after.std() > _WIDE_EXPONENT:
            return Check(
                name="learning",
                status="failed",
                statistic=1.0 - left,
                sentence=f"The runs hardly identify the exponent of N_opt in compute: its 90 % "
                f"interval is {_ends(after)}, and {_ends(before)} in the prior, so plans mostly "
                "follow the priors. Add runs over a wider range, or with less noise.",
            )
    elif len(found) and len(found_wide) == len(found) and bool((found < BARELY_IDENTIFIED).all()):
        return Check(
            name="learning",
            status="failed",
            statistic=float(found.max()),
            sentence=f"The runs hardly identify {', '.join(map(str, found.index))}: their "
            "posteriors mostly follow the priors. Add runs over a wider range, or with less noise.",
        )
    return Check(
        name="learning",
        status=verdict(failed=False, remark=bool(weak)),
        statistic=float(found.min()) if len(found) else np.nan,
        sentence=f"The runs only weakly identify {', '.join(weak)}: more than half of the prior "
        "variance remains."
        if weak
        else "The runs identify every elasticity and exponent that the priors leave open.",
    )


def check_priors(fit: FittedModel) -> Check:
    """Check for prior-data conflict (Box 1980).

    The noise scale is checked in the upper tail only, since less noise than expected is harmless.
    The weight of the noise's tails has a separate check.
    """
    tails, middles = {}, {}
    for name, prior in fit.model.stated_priors.items():
        if name != _TAILS:
            middles[name] = float(fit.posterior[name].median())
            unit = fit.scale.response if prior.relative_to else 1.0
            above = prior.above(middles[name] / unit)
            tails[name] = above if name == _SCATTER else 2.0 * min(above, 1.0 - above)
    if tails.get(_SCATTER, 1.0) < IMPOSSIBLE:
        sentence = (
            f"The scatter of log {fit.response} is {format_number(middles[_SCATTER], 2)}, to which "
            f"the prior of sigma, {fit.model.all_priors[_SCATTER]}, gives a tail probability "
            f"of {tails[_SCATTER]:.0e}: the misfit is far larger than the card allows for. Look "
            "for rows read wrongly or for several sources in one table; if runs do scatter this "
            "much, give a wider prior."
        )
        return Check(name="priors", status="failed", statistic=tails[_SCATTER], sentence=sentence)
    at = min(tails, key=lambda name: tails[name])
    odd = tails[at] < SURPRISING
    return Check(
        name="priors",
        status=verdict(failed=False, remark=odd),
        statistic=tails[at],
        sentence=f"The posterior median of {at}, {format_number(middles[at], 2)}, lies in the tail "
        f"of its prior, {fit.model.stated_priors[at]} (probability {tails[at]:.1g}): the runs and "
        "the prior conflict."
        if odd
        else "The posterior is consistent with the priors.",
    )


def _contraction(fit: FittedModel, drawn: Values) -> "pd.Series[float]":
    spreads = {
        name: (_spread(fit, name, drawn[name]), _spread(fit, name, fit.posterior[name]))
        for name in fit.model.priors
        if name != fit.law.level
    }
    found = {name: 1.0 - (after / before) ** 2 for name, (before, after) in spreads.items()}
    return pd.Series(found, name="contraction", dtype=float)


def _prior_draws(fit: FittedModel) -> dict[str, NDArray[np.float64]]:
    rng = generator(0, Stream.PRIOR)
    return draw_prior(fit.model, rng, _PRIOR_DRAWS, typical=fit.scale.response)


def _spread(fit: FittedModel, name: str, values: object) -> float:
    """Return the standard deviation on the unconstrained scale."""
    return float(np.std(fit.model.priors[name].unconstrain(np.asarray(values))))


def _exponents(
    fit: FittedModel, drawn: Values
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """Return prior and posterior draws of the exponent of N_opt in compute, or None."""
    law = fit.law
    after = law.derived(fit.parameters).get(_EXPONENT) if law.takes_size_and_tokens else None
    if after is None:
        return None, None
    coordinates = {name: drawn[name] for name in law.coordinates}
    before = law.derived(law.from_reference(coordinates, fit.scale.reference))[_EXPONENT]
    return np.asarray(before), np.asarray(after).ravel()


def _ends(values: NDArray[np.float64]) -> str:
    low, high = np.quantile(values, [0.05, 0.95])
    return f"[{low:.2f}, {high:.2f}]"
