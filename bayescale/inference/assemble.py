"""Assemble a `Fit` from the draws of a sampler, complete or interrupted."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayescale._seeds import Stream, generator
from bayescale.backend.build import labelled, parameters_from_draws
from bayescale.backend.observed import Design
from bayescale.data.runs import Runs
from bayescale.inference.multimodal import Exploration
from bayescale.model.card import Model
from bayescale.posterior.fit import Fit

type Arrays = dict[str, NDArray[np.float64]]


def posterior_of(model: Model, design: Design, positions: Arrays, seed: int) -> xr.Dataset:
    """Return labelled draws of all unknowns, from unconstrained draws.

    Padding levels are dropped; unidentified directions are drawn from the prior with the given
    seed.
    """
    natural = parameters_from_draws(model, design, positions)
    return labelled(model, design, natural, generator(seed, Stream.UNSEEN))


def facts_of_modes(exploration: Exploration | None) -> dict[str, Any]:
    """Return the evidence of each mode, as recorded in the provenance."""
    if exploration is None:
        return {}
    return {"modes": dict(exploration.log_evidence), "modes_error": exploration.error}


def assemble(
    model: Model,
    runs: Runs,
    design: Design,
    posterior: xr.Dataset,
    stats: xr.Dataset,
    provenance: Mapping[str, Any],
) -> Fit:
    """Return the fit with these labelled draws."""
    return Fit(
        model=model,
        runs=runs,
        scale=design.scale,
        _posterior=posterior,
        _sample_stats=stats,
        provenance=provenance,
    )
