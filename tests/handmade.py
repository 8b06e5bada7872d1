"""Fits without a sampler: independent draws about published constants, for all that comes after."""

import numpy as np
import xarray as xr

import bayescale as bs
from bayescale.design import Design
from bayescale.groups import level_dim

DRAW_DIMS = ("chain", "draw")


def handmade_fit(
    model: str | bs.Model,
    runs: bs.Runs,
    parameters: dict[str, float],
    *,
    spread: float = 0.02,
    shape: tuple[int, int] = (4, 250),
    seed: int = 3,
) -> bs.Fit:
    """Return a fit with draws of a law about given parameters, and of its noise about its prior.

    Differences between levels are of a tenth, so that a fitted level is far from another.
    """
    model = bs.load_model(model)
    rng = np.random.default_rng(seed)
    design = Design.of(model, runs)

    def about(value, extra=()):
        return value * np.exp(spread * rng.standard_normal((*shape, *extra)))

    natural = {name: xr.DataArray(about(parameters[name]), dims=DRAW_DIMS) for name in parameters}
    coordinates = model.formula.to_reference(natural, design.scale.reference)
    others = {
        name: xr.DataArray(about(0.01 if name == "sigma" else prior.typical), dims=DRAW_DIMS)
        for name, prior in model.all_priors.items()
        if name not in model.formula.coordinates
    }
    effects = {}
    for effect in model.effects:
        labels = design.levels[effect.by].labels
        between = 0.1 * rng.standard_normal(len(labels)) + 0.01 * rng.standard_normal(
            (*shape, len(labels))
        )
        dim = level_dim(effect.by)
        effects[effect.effect] = xr.DataArray(between, dims=(*DRAW_DIMS, dim), coords={dim: labels})
    stats = {
        "diverging": np.zeros(shape, dtype=bool),
        "maxdepth_reached": np.zeros(shape, dtype=bool),
        "energy": rng.standard_normal(shape),
    }
    return bs.Fit(
        model=model,
        runs=runs,
        scale=design.scale,
        _posterior=xr.Dataset({**natural, **coordinates, **others, **effects}),
        _sample_stats=xr.Dataset({k: (DRAW_DIMS, v) for k, v in stats.items()}),
        provenance={"sampler": {"seed": seed}, "fingerprint": runs.fingerprint},
    )
