"""The log density of a law of schedules, given a matrix of points, and its compiled form."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayescale.inference.base import Sampler
from bayescale.inference.compile_cache import digest_of_modules
from bayescale.inference.samplers import sampler_on_nutpie
from bayescale.laws import Value, Values
from bayescale.laws.dispatch import larger
from bayescale.schedules.design import ROWS, rows_of
from bayescale.schedules.laws import ScheduleLaw

if TYPE_CHECKING:
    import pymc as pm

DATA, EFFECTS = "points", "effects"
"""Names of the data, and of the standardised effects of runs."""

_LEAST = 1e-3
"""Lower bound on the loss of a law, relative to that at the centre."""


def log_loss(law: ScheduleLaw, rows: Values, found: Values, effect: Value) -> Value:
    """Return ln of the loss of the law at each point, relative to the typical one.

    Parameters
    ----------
    law
        The law.
    rows
        `rows_of` the points.
    found
        The scalar unknowns; for draws, with a last axis of one.
    effect
        Standardised effect of the run of each point on ln of the effect of drops.
    """
    of_nodes = {name: x[..., None] if np.ndim(x) else x for name, x in found.items()}
    reached = (rows["drop"] * law.reached(rows, of_nodes)).sum(axis=-2)
    fallen = reached * np.exp(found["spread"] * effect)
    return np.log(larger(law.loss(rows["log_area"], fallen, found), _LEAST * found["loss_ref"]))


def build(law: ScheduleLaw, matrix: NDArray[np.float64], room: int) -> "pm.Model":
    """Return the PyMC model of the points of a matrix, with room for the effects of runs.

    Effects are sampled non-centred, since a run without drops does not inform its effect.
    """
    import pymc as pm

    with pm.Model() as built:
        rows = rows_of(pm.Data(DATA, matrix))
        found: dict[str, Any] = {name: p.variable(name) for name, p in law.all_priors.items()}
        effects = pm.Normal(EFFECTS, shape=room)
        mean = log_loss(law, rows, found, effects[rows["run"].astype("int64")])
        scatter = pm.Normal.dist(mean, found["sigma"])
        pm.Potential("log_loss", pm.logp(scatter, rows["log_loss"]).sum())
    return built


@lru_cache(maxsize=32)
def compiled(law: ScheduleLaw, room: int) -> Sampler:
    """Return the compiled log density, from the cache if it was compiled before."""
    start: dict[str, Any] = {n: p.unconstrain(p.typical) for n, p in law.all_priors.items()}
    start[EFFECTS] = np.zeros(room)
    priors = {name: prior.to_dict() for name, prior in law.all_priors.items()}
    what = f"{law.name} of schedules, {room}\n{priors}\n{digest_of_modules([__name__])}"
    return sampler_on_nutpie(
        lambda: build(law, np.zeros((ROWS, 2)), room), start, ROWS, DATA, cached_as=what
    )
