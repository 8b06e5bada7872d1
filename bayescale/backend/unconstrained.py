"""The unconstrained variables of a model: names, transforms and starting values."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from bayescale.data.levels import Sizes
from bayescale.laws import Value, Values
from bayescale.model.card import Model
from bayescale.model.discrepancy import MODES, SLOPES

TOTAL, ODDS = "log_total_elasticity", "log_odds_of_elasticities"
"""Names of the variables behind two elasticities that runs along one line do not separate."""

REDUCIBLE, TERMS = "logit_reducible_share", "log_odds_of_shares"
"""Names of the variables behind two shares whose sum a stated floor determines."""

_FALLBACK_REMAINDER = 0.1
"""Remainder of the simplex of a starting point whose exponents leave none."""


def logit_name(exponent: str) -> str:
    """Return the name of the sampled variable behind an exponent."""
    return f"logit_share_{exponent}"


def variables_of(model: Model) -> tuple[str, ...]:
    """Return the names of the sampled variables behind the coordinates."""
    law = model.law
    sampled = dict(zip(law.traded, (TOTAL, ODDS), strict=False))
    sampled |= {name: logit_name(name) for name in law.shares}
    if _by_sum(model):
        sampled |= dict(zip(law.shares, (REDUCIBLE, TERMS), strict=True))
    return tuple(sampled.get(name, name) for name in law.coordinates)


def coordinates_of(model: Model, sampled: Values) -> tuple[dict[str, Value], Value]:
    """Return the law's coordinates and the log of the simplex remainder, from sampled variables.

    Two elasticities are sampled as the log of their sum and of their ratio, a change of variables
    with unit Jacobian. Runs at a constant ratio of tokens to parameters identify only the sum; in
    these variables the resulting ridge is straight. For the same reason two shares are sampled as
    the logit of their sum and the log of their ratio, also with unit Jacobian, if the floor is
    stated: a narrow prior on it fixes the sum.
    """
    law, priors = model.law, model.priors
    if _by_sum(model):
        total, odds = sampled[REDUCIBLE], sampled[TERMS]
        logits = (total - np.log1p(np.exp(-odds)), total - np.log1p(np.exp(odds)))
        weights = {name: np.exp(x) for name, x in zip(law.shares, logits, strict=True)}
    else:
        weights = {name: np.exp(sampled[logit_name(name)]) for name in law.shares}
    total = 1.0 + sum(weights.values())
    separated = dict(sampled)
    if law.traded:
        sides = zip(law.traded, (-sampled[ODDS], sampled[ODDS]), strict=True)
        separated |= {name: sampled[TOTAL] - np.log1p(np.exp(odds)) for name, odds in sides}
    coordinates: dict[str, Value] = {
        name: priors[name].constrain(separated[name])
        for name in law.coordinates
        if name not in weights
    }
    for name, elasticities in law.shares.items():
        coordinates[name] = sum(coordinates[e] for e in elasticities) * total / weights[name]
    return {name: coordinates[name] for name in law.coordinates}, -np.log(total)


def steps_of(model: Model, sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the (nearly) standard normal variables of a model, by name."""
    n_levels = dict(sizes)
    effects = {effect.effect: (n_levels[effect.over],) for effect in model.effects}
    return {**effects, **({SLOPES: (MODES,)} if model.discrepancy else {})}


def starting_point(
    model: Model, instead: Mapping[str, float] | None = None, sizes: Sizes = ()
) -> dict[str, Any]:
    """Return typical prior values of the sampled variables, by name.

    Parameters
    ----------
    model
        The model.
    instead
        Coordinates and other scalars to start from instead.
    sizes
        Padded number of levels, as `Design.sizes`.
    """
    law, priors = model.law, model.priors
    at = {n: prior.typical for n, prior in model.all_priors.items()} | dict(instead or {})
    start = {n: priors[n].unconstrain(at[n]) for n in law.coordinates if n not in law.shares}
    if law.traded:
        one, other = (start.pop(name) for name in law.traded)
        start |= {TOTAL: float(np.logaddexp(one, other)), ODDS: one - other}
    shares = {name: sum(at[e] for e in law.shares[name]) / at[name] for name in law.shares}
    remainder = 1.0 - sum(shares.values())
    remainder = remainder if remainder > 0.0 else _FALLBACK_REMAINDER
    logits = {name: float(np.log(share / remainder)) for name, share in shares.items()}
    if _by_sum(model):
        one, other = logits.values()
        start |= {REDUCIBLE: float(np.logaddexp(one, other)), TERMS: one - other}
    else:
        start |= {logit_name(name): logit for name, logit in logits.items()}
    others = {name: prior.unconstrain(at[name]) for name, prior in model.other_priors.items()}
    steps = {name: np.zeros(shape) for name, shape in steps_of(model, sizes).items()}
    return {**{name: start[name] for name in variables_of(model)}, **others, **steps}


def _by_sum(model: Model) -> bool:
    """Return whether two shares are sampled as their sum and their ratio."""
    return model.floor is not None and len(model.law.shares) == 2


def slices_of(shapes: Mapping[str, tuple[int, ...]]) -> list[slice]:
    """Return the slice of each variable in a flat position vector."""
    ends = np.cumsum([math.prod(shape) for shape in shapes.values()])
    return [
        slice(int(b) - math.prod(s), int(b)) for b, s in zip(ends, shapes.values(), strict=True)
    ]
