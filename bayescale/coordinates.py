"""The unconstrained variables of a model: their names, and where chains start."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bayescale.discrepancy import MODES, WALKS
from bayescale.groups import Sizes
from bayescale.laws import Law, Value, Values
from bayescale.model import Model

LOGIT = "logit_share_"
"""Head of the name of the variable behind an exponent."""


def logit_name(exponent: str) -> str:
    """Return the name of the sampled variable behind an exponent."""
    return f"{LOGIT}{exponent}"


def coordinates_of(law: Law, free: Values) -> tuple[dict[str, Value], Value]:
    """Return the law's coordinates and the log of the simplex remainder, from sampled values."""
    weights = {name: np.exp(free[logit_name(name)]) for name in law.shares}
    total = 1.0 + sum(weights.values())
    coordinates = {
        name: sum(free[e] for e in law.shares[name]) * total / weights[name]
        if name in weights
        else free[name]
        for name in law.coordinates
    }
    return coordinates, -np.log(total)


def steps_of(model: Model, sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the standard normal variables of a model, by name."""
    room = dict(sizes)
    effects = {effect.effect: (room[effect.by],) for effect in model.effects}
    return {**effects, **({WALKS: (MODES,)} if model.discrepancy else {})}


def starting_point(
    model: Model, instead: Mapping[str, float] | None = None, sizes: Sizes = ()
) -> dict[str, Any]:
    """Return typical prior values of the unconstrained variables, by value-variable name.

    Parameters
    ----------
    model
        The model.
    instead
        Coordinates that are to be elsewhere.
    sizes
        Room for levels, as that of a `Design`.
    """
    law = model.formula
    instead = instead or {}
    start = {
        name: prior.unconstrain(instead.get(name, prior.typical))
        for name, prior in model.all_priors.items()
        if name not in law.shares
    }
    shares = {
        name: sum(instead.get(e, model.priors[e].typical) for e in elasticities)
        / instead.get(name, model.priors[name].typical)
        for name, elasticities in law.shares.items()
    }
    remainder = max(1.0 - sum(shares.values()), 0.1)
    logits = {logit_name(n): float(np.log(s / remainder)) for n, s in shares.items()}
    steps = {name: np.zeros(shape) for name, shape in steps_of(model, sizes).items()}
    return {**start, **logits, **steps}
