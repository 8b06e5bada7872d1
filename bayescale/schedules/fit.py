"""ScheduleFit: the posterior of a law of schedules, given curves of one model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayescale._seeds import Stream, checked_seed, generator
from bayescale.errors import RunsError
from bayescale.inference.base import Settings
from bayescale.posterior.diagnostics import Diagnostics, diagnose_quantities, diagnose_sampling
from bayescale.posterior.summary import summarise
from bayescale.schedules.curves import RunCurve
from bayescale.schedules.density import EFFECTS, compiled, log_loss
from bayescale.schedules.design import Centre, Design, matrix_of, rows_of
from bayescale.schedules.laws import ScheduleLaw
from bayescale.schedules.schedule import Schedule

type Array = NDArray[np.float64]

FEWEST = 6
"""Fewest points that are fitted."""

_LONGER = (1, 4)
"""Factors of the number of draws that are tried until the gates pass."""


@dataclass(frozen=True, eq=False)
class ScheduleFit:
    """A posterior of the loss along runs under schedules.

    Attributes
    ----------
    law
        The law.
    runs
        Names of the runs.
    centre
        The centre of the curves, to which the coordinates refer.
    posterior
        Draws of the coordinates of the law, of noise and effects (dims chain, draw), and the
        standardised effect of each run (dim run).
    diagnostics
        The checks of the posterior.
    seed
        The seed.
    """

    law: ScheduleLaw
    runs: tuple[str, ...]
    centre: Centre
    posterior: xr.Dataset
    diagnostics: Diagnostics
    seed: int

    def parameters(self) -> xr.Dataset:
        """Return draws of the parameters of the paper, for rates that are not rescaled."""
        in_units = {str(name): x for name, x in self.posterior.data_vars.items()}
        in_units["loss_ref"] = in_units["loss_ref"] * self.centre.loss
        return xr.Dataset(self.law.parameters(in_units, self.centre.area, self.centre.peak))

    def predict(self, schedule: Schedule, step: Array, run: str | None = None) -> Array:
        """Return draws of the loss of a new point at steps of a schedule, draws x steps.

        Parameters
        ----------
        schedule, step
            The schedule, and steps of it.
        run
            The run, if it is a fitted one; else the effect of drops is that of a new schedule.
        """
        rng = generator(self.seed, Stream.SCHEDULE_POINTS, 0)
        drawn = {str(name): x.to_numpy() for name, x in self.posterior.data_vars.items()}
        effects = drawn.pop(EFFECTS)
        found = {name: x.reshape(-1, 1) for name, x in drawn.items()}
        effect = (
            effects[..., self.runs.index(run)].reshape(-1, 1)
            if run in self.runs
            else rng.standard_normal((effects[..., 0].size, 1))
        )
        rows = rows_of(matrix_of(schedule, np.asarray(step, dtype=np.float64), self.centre))
        mean = log_loss(self.law, rows, found, effect)
        scatter = found["sigma"] * rng.standard_normal(mean.shape)
        return np.asarray(self.centre.loss * np.exp(mean + scatter))

    def summary(self, prob: float = 0.9) -> pd.DataFrame:
        """Return median, interval and meaning of the parameters of the law, noise and effects."""
        ours = xr.merge([self.parameters(), self.posterior[["sigma", "spread"]]])
        return summarise(ours, prob)


def fit_curves(
    curves: Sequence[RunCurve],
    law: ScheduleLaw,
    *,
    draws: int = 1000,
    tune: int = 400,
    chains: int = 4,
    cores: int | None = None,
    seed: int = 0,
) -> ScheduleFit:
    """Sample the posterior of a law given curves of one model, with NUTS.

    Parameters
    ----------
    curves
        Curves of one model, which share the parameters of the law.
    law
        The law.
    draws, tune, chains, cores
        Draws and warm-up draws per chain, chains, and those that run in parallel. If the gates
        fail, four times as many draws are made.
    seed
        Seed of all random numbers.
    """
    design = Design.of(curves)
    count = design.matrix.shape[1]
    if count < FEWEST:
        raise RunsError(
            f"curves: found {count} points of {len(curves)} runs, expected at least {FEWEST}."
        )
    sampler = compiled(law, design.room)
    settings = Settings(
        draws=draws, tune=tune, chains=chains, cores=cores or chains, seed=checked_seed(seed)
    )
    for factor in _LONGER:
        longer = replace(settings, draws=draws * factor, target_accept=0.9 if factor == 1 else 0.97)
        positions, stats = sampler.sample(design.matrix, longer)
        dims = ("chain", "draw")
        posterior = xr.Dataset(
            {
                name: (dims, np.asarray(prior.constrain(positions[name][:, ::factor])))
                for name, prior in law.all_priors.items()
            }
        )
        posterior[EFFECTS] = (*dims, "run"), positions[EFFECTS][:, ::factor, : len(design.runs)]
        posterior = posterior.assign_coords(run=list(design.runs))
        whole = xr.Dataset({name: (dims, positions[name]) for name in law.all_priors})
        found = diagnose_quantities(whole)
        found = Diagnostics(found.table, found.checks + diagnose_sampling(stats))
        if found.ok:
            break
    return ScheduleFit(law, design.runs, design.centre, posterior, found, seed)
