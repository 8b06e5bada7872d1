"""Sample until draws are enough: effective draws by the gates, of chains that agree."""

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
from bayescale.posterior.diagnostics import ESS, R_HAT, WITHIN, measured, samples_beyond_chance

type ToGate = Callable[[dict[str, NDArray[np.float64]]], xr.Dataset]
"""What must have converged, from draws of unconstrained positions."""

LONGEST = 16
"""The largest factor by which a posterior is sampled for longer, so that enough of its draws are
independent and its chains are seen to agree."""


_WORTH = 0.75
"""How many independent draws one draw is taken to be worth before that is known."""


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
        What was found of modes, if the law may have several.
    factor
        One draw in so many was kept.
    table
        What diagnostics measure of all draws that were made.
    """

    positions: dict[str, NDArray[np.float64]]
    stats: xr.Dataset
    exploration: Exploration | None
    factor: int
    table: pd.DataFrame

    @property
    def thinning(self) -> dict[str, int]:
        """What the provenance says of draws that were made and not kept."""
        return {"kept_one_draw_in": self.factor} if self.factor > 1 else {}


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
    """Sample a model until its draws are enough: independent enough, of chains that agree.

    Parameters
    ----------
    model, compiled, design, settings, shown
        As for `draw_posterior`.
    effective, r_hat
        How many independent draws they must be worth, and how nearly chains must agree.
    to_gate
        What of the draws is looked at, from unconstrained positions; the scalars unless given.
    store
        What keeps draws while they are made, of each factor apart.
    longest
        What would take more than so many times as long is left as it is; unless given, it is
        sampled for `LONGEST` times as long.
    """
    beyond = samples_beyond_chance(settings.chains, r_hat)
    # Fewer draws than these, however independent, would differ between chains by chance.
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
        if factor >= (longest or LONGEST) or (worth.min() > effective and bool(agree.all())):
            break
        # With half as many again as that would need: what is counted is uncertain too.
        needed = factor * 1.5 * effective / max(float(worth.min()), 1.0)
        if longest and needed > longest:
            break
        if not agree.all():
            needed = max(needed, factor * beyond / max(float(table[WITHIN][~agree].min()), 1.0))
        # What a second attempt did not settle is not worth a third that is little longer.
        least, most = (LONGEST if tried > 1 else 2 * factor), longest or LONGEST
        factor = int(np.clip(np.ceil(needed), min(least, most), most))
    return Sampled(
        positions={name: values[:, ::factor] for name, values in positions.items()},
        stats=stats.isel(draw=slice(None, None, factor)),
        exploration=exploration,
        factor=factor,
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
    """Sample a model given what it observes, from every mode that its law may have.

    Parameters
    ----------
    model, compiled, design, settings, shown
        What is sampled and how, and what shows the progress.
    store, factor
        What keeps draws while they are made, if anything does, and under which factor.

    Returns
    -------
    positions, sample_stats, exploration
        Unconstrained draws by name, the sampler's statistics, and what was found of modes.
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
