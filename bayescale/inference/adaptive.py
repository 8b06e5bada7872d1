"""Sample until effective sample size, R-hat and divergences pass the gates."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayescale._progress import Stages
from bayescale.backend.build import parameters_from_draws
from bayescale.backend.observed import Design
from bayescale.inference.base import Sampler, Settings
from bayescale.inference.checkpoint import DrawStore
from bayescale.inference.multimodal import (
    Exploration,
    Samples,
    explore,
    places_to_look,
    sample_modes,
)
from bayescale.model.card import Model
from bayescale.posterior.diagnostics import (
    DIVERGENT_SHARE,
    ESS,
    R_HAT,
    WITHIN,
    measured,
    samples_beyond_chance,
)

type ToGate = Callable[[dict[str, NDArray[np.float64]]], xr.Dataset]
"""Maps draws of unconstrained positions to the quantities whose convergence is checked."""

LONGEST = 16
"""Largest factor by which the number of draws is increased to reach the required effective sample
size and R-hat."""

_CAREFUL = 0.4
"""Factor on the share of steps that may be rejected, after an attempt with too many divergences."""

_WORTH = 0.75
"""Effective sample size per draw that is assumed before it is measured."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Sampled:
    """Draws of a posterior, and how they were made.

    Attributes
    ----------
    positions
        Unconstrained draws by name.
    stats
        The sampler's statistics of them.
    exploration
        Result of the search for modes, if the law may have several.
    factor
        Thinning factor: one draw in `factor` is kept.
    target_accept
        Target acceptance rate of the last attempt.
    table
        Diagnostics of all draws, before thinning.
    """

    positions: dict[str, NDArray[np.float64]]
    stats: xr.Dataset
    exploration: Exploration | None
    factor: int
    target_accept: float
    table: pd.DataFrame

    @property
    def settings(self) -> dict[str, float]:
        """The settings that depend on the draws, as recorded in the provenance."""
        thinning = {"kept_one_draw_in": self.factor} if self.factor > 1 else {}
        return {"target_accept": self.target_accept, **thinning}


def enough_draws(
    model: Model,
    compiled: Sampler,
    design: Design,
    settings: Settings,
    shown: Stages,
    effective: float = ESS,
    r_hat: float = R_HAT,
    to_gate: ToGate | None = None,
    store: DrawStore | None = None,
    longest: int | None = None,
) -> Sampled:
    """Sample a model until effective sample size, R-hat and divergences pass the gates.

    After divergences the next attempt takes smaller steps.

    Parameters
    ----------
    model, compiled, design, settings, shown
        As for `draw_posterior`.
    effective, r_hat
        Required effective sample size and R-hat.
    to_gate
        Maps unconstrained positions to the quantities that are checked; the scalars unless given.
    store
        Checkpoint to which draws are written, separately for each factor.
    longest
        Largest factor of more draws; if more would be needed, the draws are returned as they are.
        Unless given, sampling stops at `LONGEST` times as many draws.
    """
    beyond = samples_beyond_chance(settings.chains, r_hat)
    # With fewer draws, even independent ones, R-hat exceeds its limit by chance.
    first = math.ceil(beyond / (_WORTH * settings.chains * settings.draws))
    factor, tried = (1 if longest else min(first, LONGEST)), 0
    while True:
        longer = replace(
            settings,
            draws=settings.draws * factor,
            tune=settings.tune * (2 if tried else 1),
        )
        positions, stats, exploration = draw_posterior(
            model, compiled, design, longer, shown, store, factor
        )
        tried += 1
        table = measured(to_gate(positions) if to_gate else _scalars(model, design, positions))
        worth = table[["ess_bulk", "ess_tail"]].min(axis="columns")
        agree = table["r_hat"] < r_hat
        diverged = not longest and float(stats["diverging"].mean()) > DIVERGENT_SHARE
        converged = worth.min() > effective and bool(agree.all())
        if factor >= (longest or LONGEST) or (converged and not diverged):
            break
        if diverged:
            rejected = _CAREFUL * (1.0 - settings.target_accept)
            settings = replace(settings, target_accept=round(1.0 - rejected, 6))
        # With a margin of one half, since the effective sample size is itself an estimate.
        needed = factor * 1.5 * effective / max(float(worth.min()), 1.0)
        if longest and needed > longest:
            break
        if not agree.all():
            needed = max(needed, factor * beyond / max(float(table[WITHIN][~agree].min()), 1.0))
        # A third attempt only pays if it is much longer than the second.
        least, most = (LONGEST if tried > 1 else 2 * factor), longest or LONGEST
        factor = int(np.clip(np.ceil(needed), min(least, most), most))
    return Sampled(
        positions={name: values[:, ::factor] for name, values in positions.items()},
        stats=stats.isel(draw=slice(None, None, factor)),
        exploration=exploration,
        factor=factor,
        target_accept=settings.target_accept,
        table=table,
    )


def _scalars(model: Model, design: Design, positions: dict[str, NDArray[np.float64]]) -> xr.Dataset:
    natural = parameters_from_draws(model, design, positions)
    reported = natural | model.law.derived(natural)
    return xr.Dataset({name: (("chain", "draw"), x) for name, x in reported.items() if x.ndim == 2})


def draw_posterior(
    model: Model,
    compiled: Sampler,
    design: Design,
    settings: Settings,
    shown: Stages,
    store: DrawStore | None = None,
    factor: int = 1,
) -> tuple[dict[str, NDArray[np.float64]], xr.Dataset, Exploration | None]:
    """Sample a model given its data, in every mode that its law may have.

    Parameters
    ----------
    model, compiled, design, settings, shown
        The model, its sampler and data, the sampler's settings, and the progress display.
    store, factor
        Checkpoint to which draws are written, if any, and the factor they are stored under.

    Returns
    -------
    positions, sample_stats, exploration
        Unconstrained draws by name, the sampler's statistics, and the search for modes.
    """
    sampler: Samples = store.sampler(compiled, factor) if store else compiled
    places = places_to_look(model, design)
    sampling = f"sampling, {settings.chains} chains"
    if not places:
        shown.stage(sampling)
        return *sampler.sample(design.matrix, settings, shown.count), None
    shown.stage("looking for modes")
    found = store.exploration(factor) if store else None
    if found is None:
        found = explore(model, compiled, design, settings, places)
        if store:
            store.add_exploration(factor, found)
    shown.stage(sampling)
    return sample_modes(sampler, design.matrix, settings, found, shown.count)
