"""Laws drawn from a model's prior about a point, and runs simulated under each."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayescale._seeds import Stream, generator
from bayescale.backend.build import draw_prior, labelled
from bayescale.backend.likelihood import NoiseOfRuns
from bayescale.backend.observed import Design
from bayescale.costs.budget import Array
from bayescale.data.runs import Runs
from bayescale.laws.optimum import Split
from bayescale.model.card import Model
from bayescale.posterior.curve import Curve
from bayescale.posterior.predict import noise_of_runs


@dataclass(frozen=True, eq=False)
class PriorLaws:
    """Laws drawn from the prior of a model, about the centre of a table of planned runs.

    Attributes
    ----------
    model, split
        The model, and the map from size and tokens to the inputs of its law.
    design
        Data of the planned runs that determine the centre. Discrepancies are zero there.
    draws
        Draws of all unknowns, with dims chain (one) and draw.
    seed
        Seed of the draws.
    """

    model: Model
    split: Split
    design: Design
    draws: xr.Dataset
    seed: int

    @classmethod
    def about(
        cls, model: Model, split: Split, log_n: Array, log_d: Array, *, count: int, seed: int
    ) -> "PriorLaws":
        """Draw laws about the geometric centre of runs of these sizes and tokens."""
        runs = planned_runs(model, split, log_n, log_d)
        design = Design.of(model, runs)
        rng = generator(seed, Stream.PRIOR)
        prior = draw_prior(model, rng, count, design.sizes, design.scale.response)
        drawn = {name: values[None] for name, values in prior.items()}
        coordinates = {name: drawn[name] for name in model.law.coordinates}
        natural = model.law.from_reference(coordinates, design.scale.reference)
        return cls(model, split, design, labelled(model, design, {**natural, **drawn}, rng), seed)

    @cached_property
    def curve(self) -> Curve:
        """The curve of each law."""
        return Curve.of(self.model, self.design.scale, self.draws)

    def select(self, kept: NDArray[np.intp]) -> "PriorLaws":
        """Return some of the laws."""
        return PriorLaws(self.model, self.split, self.design, self.draws.isel(draw=kept), self.seed)

    def standard(self) -> Array:
        """Return the coordinates of each law, standardised: a priori about standard Normal."""
        return np.asarray(np.linalg.solve(self._root, (self._free - self._mean).T).T)

    def parameters(self, standard: Array) -> dict[str, Array]:
        """Return the law's parameters at standardised coordinates, which are the last axis."""
        free = self._mean + standard @ self._root.T
        at = {
            name: self.model.priors[name].constrain(free[..., i])
            for i, name in enumerate(self.model.law.coordinates)
        }
        return dict(self.model.law.from_reference(at, self.design.scale.reference))

    @cached_property
    def _free(self) -> Array:
        """The unconstrained coordinates, one row per law."""
        names = self.model.law.coordinates
        priors = self.model.priors
        drawn = [priors[name].unconstrain(self.draws[name].to_numpy()[0]) for name in names]
        return np.stack(drawn, axis=-1)

    @cached_property
    def _mean(self) -> Array:
        return np.asarray(self._free.mean(axis=0))

    @cached_property
    def _root(self) -> Array:
        return np.linalg.cholesky(np.cov(self._free.T))

    def simulate(self, log_n: Array, log_d: Array, *, seed: int) -> Array:
        """Return simulated responses of runs, one row per law."""
        noise, mean = self.noise_at(log_n, log_d)
        drawn = noise.draw(generator(seed, Stream.RUN_NOISE), mean.shape)
        return np.asarray((mean * np.exp(drawn))[0])

    def noise_at(self, log_n: Array, log_d: Array) -> tuple[NoiseOfRuns, Array]:
        """Return the noise of runs under each law, and their mean response: chain, draw, run."""
        inputs = self.split(log_n, log_d)
        at = {
            n: xr.DataArray(np.broadcast_to(x, log_n.shape), dims="run") for n, x in inputs.items()
        }
        mean = self.curve.response(at).transpose("chain", "draw", "run")
        facts = self.model.noise.facts_of_plans(len(log_n))
        noise = noise_of_runs(self.model, self.draws, self.curve, mean, at, facts)
        return noise, mean.to_numpy()


def planned_runs(model: Model, split: Split, log_n: Array, log_d: Array) -> Runs:
    """Return planned runs as a table, with a response of one."""
    inputs = split(log_n, log_d)
    columns = {
        column: np.exp(np.broadcast_to(inputs[name], log_n.shape))
        for name, column in model.columns.items()
    }
    table = pd.DataFrame({**columns, model.law.response: 1.0})
    needs = tuple(model.columns.values())
    return Runs(table, "sweep", observed=needs).for_law(needs, model.law.response)
