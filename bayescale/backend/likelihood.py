"""The likelihood of given runs: densities, distribution functions and draws of residuals.

The noise section of a card is interpreted only here, so that sampling, scoring, prediction and
simulation agree.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bayescale.backend.correlated import Correlated
from bayescale.backend.distributions import Scatter, is_graph
from bayescale.laws import Value, Values
from bayescale.model.measurement import Facts
from bayescale.model.noise import ALIKE, GROWTH, INEFFICIENCY, LENGTH, Noise


@dataclass(frozen=True, kw_only=True)
class NoiseOfRuns:
    """The noise of given runs at given parameter values, in a graph or for each draw.

    Attributes
    ----------
    noise
        The noise model of the card.
    values
        Its parameters: variables, or arrays of draws with a last axis of length one.
    amount, facts
        `Noise.amount` and `Noise.facts` of the runs, which are along the last axis.
    """

    noise: Noise
    values: Values
    amount: Value
    facts: Values

    def at(self, run: int) -> "NoiseOfRuns":
        """Return the noise of one run, where `facts` already are those of one run."""
        amount = self.amount[..., [run]] if np.ndim(self.amount) else self.amount
        return replace(self, amount=amount)

    @property
    def scale(self) -> Value:
        """The residual scale, without inefficiency and not conditional on earlier checkpoints."""
        scale = self.values["sigma"]
        if self.noise.growth is not None:
            scale = scale * np.exp(self.values[GROWTH] * self.amount)
        if self.noise.standard_error:
            scale = np.sqrt(scale**2 + self.facts["error"] ** 2)
        return scale

    @property
    def scatter(self) -> Scatter:
        """The distribution of residuals about their means given earlier checkpoints."""
        return self._given_earlier(None)[1]

    def _given_earlier(self, residual: Value | None) -> tuple[Value, Scatter]:
        """Return the conditional mean and distribution of each residual given earlier ones.

        Without residuals only the distribution is meaningful, which does not depend on them.
        """
        scale = self.scale
        nu = self.values["nu"] if "nu" in self.noise.priors else None
        if self.noise.checkpoints is not None:
            standard = 0.0 * self.facts["gap"] if residual is None else residual / scale
            mean, variance = self._process.given_earlier(standard)
            return mean * scale, Scatter(scale=scale * np.sqrt(variance), nu=nu)
        return 0.0, self._independent(scale, nu)

    def _independent(self, scale: Value, nu: Value | None) -> Scatter:
        if self.noise.inefficiency is not None:
            inefficiency = self.values[INEFFICIENCY]
            return Scatter(scale=np.sqrt(scale**2 + inefficiency**2), skew=inefficiency / scale)
        return Scatter(scale=scale, nu=nu)

    def log_density(self, residual: Value) -> Value:
        """Return the log density of the residual of each run, given earlier checkpoints."""
        expected, scatter = self._given_earlier(residual)
        rest = residual - expected
        density = (
            scatter.log_mean_density(rest, self.facts["half"])
            if self.noise.rounding
            else scatter.log_density(rest)
        )
        if not self.noise.censored:
            return density
        diverged = self.facts["censored"] > 0.5
        if not is_graph(density):
            return np.where(diverged, scatter.log_survival(rest), density)
        import pytensor.tensor as pt

        # A survival function is as expensive as fifty densities, and few runs diverge.
        (at,) = pt.nonzero(diverged)  # type: ignore[no-untyped-call]
        tails = scatter.at(at).log_survival(rest[at])
        return pt.set_subtensor(density[at], tails)  # type: ignore[no-untyped-call]

    def cdf(self, residual: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the distribution function at each residual, given earlier checkpoints."""
        expected, scatter = self._given_earlier(residual)
        rest = residual - expected
        if self.noise.rounding:
            return np.asarray(scatter.mean_cdf(rest, self.facts["half"]))
        return scatter.cdf(rest)

    def draw(
        self,
        rng: np.random.Generator,
        shape: tuple[int, ...],
        known: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
        """Return random residuals of runs, without censoring.

        Parameters
        ----------
        rng, shape
            Random generator, and shape of the result; its last axis is the run.
        known
            Observed residuals to condition on, NaN where they are drawn.
        """
        with np.errstate(over="ignore"):
            drawn = self.scatter.draw(rng, shape)
        if self.noise.rounding:
            drawn = drawn + self.facts["half"] * rng.uniform(-1.0, 1.0, shape)
        if known is not None:
            drawn = np.where(np.isnan(known), drawn, known)
        if self.noise.checkpoints is None:
            return drawn
        free = np.ones(shape[-1], dtype=bool) if known is None else np.isnan(known).all((0, 1))
        scale = self.scale
        return np.asarray(scale * self._process.simulate(drawn / scale, free))

    def recorded(
        self, response: NDArray[np.float64], bound: float = 0.0
    ) -> tuple[NDArray[np.float64], Facts]:
        """Return simulated log responses as recorded, and their censoring flags.

        Responses of runs that may diverge are censored at the bound.
        """
        if not self.noise.censored:
            return response, {}
        diverged = (self.facts["censored"] > 0.5) & (response > bound)
        return np.where(diverged, bound, response), {"censored": diverged.astype(np.float64)}

    @property
    def _process(self) -> Correlated:
        """The process of standardised residuals along training."""
        alike = self.values[ALIKE] if ALIKE in self.noise.all_priors else None
        return Correlated(self.facts, self.values[LENGTH], alike)
