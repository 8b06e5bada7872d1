"""From (Model, Runs) to a PyMC model, and from its unconstrained draws back to parameters.

The PyMC model is free of scale: inputs and responses enter as logarithms relative to the centre of
the runs. One compiled model therefore serves every table of runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayescale.laws import Law, Value, Values
from bayescale.model import Model
from bayescale.runs import Runs

if TYPE_CHECKING:
    import pymc as pm

DATA = "runs"
"""Name of the data container: a row for the log of each input, relative to the reference point,
then one for the log of the response, relative to the typical one; one column a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The centre of a table of runs.

    Attributes
    ----------
    reference
        Geometric centre of each input of the law.
    response
        The typical response (loss, mostly) there.
    """

    reference: dict[str, float]
    response: float

    @classmethod
    def of(cls, model: Model, runs: Runs) -> "Scale":
        """Return the geometric centre, and the median response of the runs nearest to it."""
        law = model.formula
        if not law.scale_free:
            return cls(reference=law.unit_reference, response=1.0)
        logs = {name: np.log(runs.column(column)) for name, column in model.columns.items()}
        distance = sum(
            ((log - log.mean()) / max(float(log.std()), 1e-12)) ** 2 for log in logs.values()
        )
        nearest = np.argsort(distance, kind="stable")[: max(5, len(runs) // 4)]
        reference = {name: float(np.exp(log.mean())) for name, log in logs.items()}
        reference |= {name: reference[as_] for name, as_ in law.same_scale.items()}
        reference |= law.fixed_reference
        typical = float(np.median(runs.column(law.response)[nearest]))
        return cls(reference=reference, response=typical)


def design_matrix(model: Model, runs: Runs, scale: Scale) -> NDArray[np.float64]:
    """Return what the model observes, a row each (see `DATA`), one column a run."""
    inputs = [runs.column(column) / scale.reference[name] for name, column in model.columns.items()]
    observed = runs.column(model.formula.response) / scale.response
    return np.log(np.array([*inputs, observed]))


def build(model: Model, data: NDArray[np.float64]) -> "pm.Model":
    """Return the PyMC model of the log of the response.

    Parameters
    ----------
    model
        Law, priors and noise.
    data
        The matrix of `design_matrix`; its number of columns may change later.

    Notes
    -----
    Exponents are not sampled themselves. With e the elasticity of a term and s its share of the
    response at the reference point, the exponent is e / s, and the shares live on a simplex whose
    remainder is the floor (or, for a law without one, the data term). The law's constraint then
    holds for every value that the sampler can propose, where priors on the exponents would need
    a wall. The priors are stated on the exponents all the same: the Jacobian of (ln exponents)
    in the logits of the shares is the remainder.
    """
    import pymc as pm

    law = model.formula
    with pm.Model() as built:
        runs = pm.Data(DATA, data)
        log_inputs = {name: runs[i] for i, name in enumerate(law.inputs)}
        log_response = runs[len(law.inputs)]
        free: dict[str, Any] = {
            name: prior.variable(name)
            for name, prior in model.priors.items()
            if name not in law.shares
        }
        free |= {logit_name(name): pm.Flat(logit_name(name)) for name in law.shares}
        coordinates, log_remainder = coordinates_of(law, free)
        for name in law.shares:
            exponent = coordinates[name]
            prior = model.priors[name]
            pm.Potential(
                f"prior_{name}", prior.log_density(exponent) + prior.log_jacobian(exponent)
            )
        if law.shares:
            pm.Potential("shares_jacobian", log_remainder)
        noise = {name: prior.variable(name) for name, prior in model.noise.priors.items()}
        centred = law.from_reference(coordinates, law.unit_reference)
        mean = np.log(law.formula(log_inputs, centred))
        if model.noise.kind == "student-t":
            pm.StudentT(
                "log_response",
                nu=noise["nu"],
                mu=mean,
                sigma=noise["sigma"],
                observed=log_response,
            )
        else:
            pm.Normal("log_response", mu=mean, sigma=noise["sigma"], observed=log_response)
    return built


def logit_name(exponent: str) -> str:
    """Return the name of the sampled variable behind an exponent."""
    return f"logit_share_{exponent}"


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


def starting_point(model: Model, instead: Mapping[str, float] | None = None) -> dict[str, float]:
    """Return typical prior values of the unconstrained variables, by value-variable name.

    Parameters
    ----------
    model
        The model.
    instead
        Coordinates that are to be elsewhere; none that is sampled as a share.
    """
    law = model.formula
    instead = instead or {}
    start = {
        name: prior.unconstrain(instead.get(name, prior.typical))
        for name, prior in model.all_priors.items()
        if name not in law.shares
    }
    shares = {
        name: sum(model.priors[e].typical for e in elasticities) / model.priors[name].typical
        for name, elasticities in law.shares.items()
    }
    remainder = max(1.0 - sum(shares.values()), 0.1)
    return start | {logit_name(n): float(np.log(s / remainder)) for n, s in shares.items()}


def parameters_from_draws(
    model: Model, scale: Scale, draws: Mapping[str, NDArray[np.float64]]
) -> dict[str, NDArray[np.float64]]:
    """Return natural parameters, coordinates and noise parameters from unconstrained draws.

    Parameters
    ----------
    model, scale
        What was sampled, and the scale of its runs.
    draws
        One array of draws for each variable of `starting_point`.
    """
    law = model.formula
    priors = model.all_priors
    free = {
        name: priors[name].constrain(values) if name in priors else values
        for name, values in draws.items()
    }
    coordinates, _ = coordinates_of(law, free)
    in_units = {
        name: value * scale.response if model.priors[name].relative_to else value
        for name, value in coordinates.items()
    }
    natural = law.from_reference(in_units, scale.reference)
    noise = {name: free[name] for name in model.noise.priors}
    return {**natural, **in_units, **noise}


def draw_prior(model: Model, rng: np.random.Generator, size: int) -> dict[str, NDArray[np.float64]]:
    """Return draws of coordinates (the level relative to the observed) and noise from the prior.

    Draws that leave no remainder for the floor are rejected, as the model excludes them; PyMC's
    own prior sampler does not see that constraint.
    """
    law = model.formula
    kept: list[dict[str, NDArray[np.float64]]] = []
    count = 0
    while count < size:
        drawn = {name: prior.draw(rng, size) for name, prior in model.all_priors.items()}
        shares = sum(
            sum(drawn[e] for e in elasticities) / drawn[name]
            for name, elasticities in law.shares.items()
        )
        inside = np.broadcast_to(np.asarray(shares) < 1.0, (size,))
        kept.append({name: values[inside] for name, values in drawn.items()})
        count += int(inside.sum())
    return {name: np.concatenate([k[name] for k in kept])[:size] for name in kept[0]}
