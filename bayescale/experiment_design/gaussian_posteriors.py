"""Gaussian approximations of the posteriors of many laws, each given runs simulated under it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from bayescale._seeds import Stream, generator
from bayescale.costs.budget import Array
from bayescale.experiment_design.prior_laws import PriorLaws
from bayescale.model.discrepancy import SLOPES
from bayescale.posterior.curve import Curve

_STEPS = 6
"""Gauss-Newton steps from the truth to the mode."""

_LONGEST = 2.0
"""Longest step, in prior standard deviations of each coordinate."""

_NUDGE = 1e-4
"""Step of numerical derivatives, in prior standard deviations."""

_WIDEST = {"noise": 0.3, "rough": 0.8, "smooth": 0.8}
"""Standard deviation of the proposal of the logs of the scales, about the truth; not wider than the
prior."""


def posterior_curves(
    laws: PriorLaws, log_n: Array, log_d: Array, *, count: int, sets: int, seed: int
) -> Curve:
    """Simulate runs under each law, and return draws of its posterior given them.

    Parameters
    ----------
    laws
        The laws.
    log_n, log_d
        Logs of sizes and tokens of the runs.
    count
        Number of posterior draws of each law.
    sets
        Number of sets of scales that are drawn; with none, the true scales are treated as known.
    seed
        Seed of the noise and of the draws.

    Returns
    -------
    Curve
        Dims ``chain`` (the law) and ``draw``.

    Notes
    -----
    Slopes of the discrepancy are linear in the log response and are integrated out. Given the
    scales of noise and discrepancy, the posterior of the law's coordinates is approximated by a
    Gaussian: the law is linearised at the mode, found by Gauss-Newton steps from the truth. The
    scales are drawn by importance sampling: sets of them about the truth, weighted by their prior
    and the marginal likelihood of the linearised law. Student-t noise is replaced by Normal noise
    of the same Fisher information.
    """
    rng = generator(seed, Stream.SIMULATION)
    runs = _SimulatedRuns.of(laws, log_n, log_d, rng)
    linear = _linearised(laws, runs)
    tried = [_scales(laws, rng) for _ in range(sets)] or [_scales(laws)]
    weights = np.array([_log_weight(linear, runs, scales) for scales in tried])
    weights = np.exp(weights - weights.max(axis=0))
    cumulative = (weights / weights.sum(axis=0)).cumsum(axis=0)
    picked = (rng.uniform(size=(cumulative.shape[1], count)) > cumulative[:-1, :, None]).sum(axis=0)
    standard = np.empty((*picked.shape, linear.mode.shape[1]))
    slopes = None
    if runs.effects is not None:
        slopes = np.empty((*picked.shape, len(runs.effects)))
    for number, scales in enumerate(tried):
        law, draw = np.nonzero(picked == number)
        if len(law):
            precision = np.linalg.inv(runs.covariance(scales))
            standard[law, draw] = linear.draw(precision, law, rng)
            if slopes is not None:
                residual = runs.response[law] - _log_law(laws, runs, standard[law, draw])
                slopes[law, draw] = runs.slopes(residual, scales, precision, law, rng)
    return _curve(laws, standard, slopes)


@dataclass(frozen=True, eq=False)
class _Scales:
    """One set of scales of each law, and the log ratio of their prior to their proposal density."""

    noise: Array
    rough: Array
    smooth: Array
    log_ratio: Array


@dataclass(frozen=True, eq=False)
class _SimulatedRuns:
    """Runs simulated under each law.

    Attributes
    ----------
    log_inputs
        Logs of the law's inputs.
    response
        Log responses, one row per law.
    spread
        Standard deviation of the noise of each law and run, at the true scale.
    effects, with_level
        Effect of each slope on each run, and that of the covariance of the slopes' levels.
    laws
        The laws.
    """

    log_inputs: Mapping[str, Array]
    response: Array
    spread: Array
    effects: Array | None
    with_level: Array | None
    laws: PriorLaws

    @classmethod
    def of(
        cls, laws: PriorLaws, log_n: Array, log_d: Array, rng: np.random.Generator
    ) -> "_SimulatedRuns":
        inputs = {n: np.broadcast_to(x, log_n.shape) for n, x in laws.split(log_n, log_d).items()}
        noise, mean = laws.noise_at(log_n, log_d)
        scatter = noise.scatter
        spread = np.broadcast_to(scatter.scale, mean.shape)[0]
        if scatter.nu is not None:
            nu = np.broadcast_to(scatter.nu, mean.shape)[0]
            # The Fisher information of the location of a Student-t.
            spread = spread * np.sqrt((nu + 3.0) / (nu + 1.0))
        effects = with_level = None
        if (discrepancy := laws.model.discrepancy) is not None:
            reference = laws.design.scale.reference
            effects = discrepancy.effects({n: x - np.log(reference[n]) for n, x in inputs.items()})
            with_level = discrepancy.covariance_of_levels() @ effects
        response = np.log(mean[0]) + spread * rng.standard_normal(spread.shape)
        return cls(inputs, response, spread, effects, with_level, laws)

    def covariance(self, scales: _Scales) -> Array:
        """Return the covariance of the log responses about the law, one matrix per law."""
        own = (scales.noise[:, None] * self.spread)[:, :, None] ** 2 * np.eye(self.spread.shape[1])
        if self.effects is None or self.with_level is None:
            return np.asarray(own)
        rough, smooth = (x[:, None, None] ** 2 for x in (scales.rough, scales.smooth))
        departures = rough * (self.effects.T @ self.effects)
        return np.asarray(own + departures + smooth * (self.effects.T @ self.with_level))

    def slopes(
        self,
        residual: Array,
        scales: _Scales,
        precision: Array,
        law: Array,
        rng: np.random.Generator,
    ) -> Array:
        """Return draws of the slopes of laws given residuals of their runs."""
        discrepancy = self.laws.model.discrepancy
        assert discrepancy is not None
        assert self.effects is not None
        assert self.with_level is not None
        rough, smooth = scales.rough[law], scales.smooth[law]
        slopes = discrepancy.draw(rough, smooth, rng)
        noise = (scales.noise[:, None] * self.spread)[law] * rng.standard_normal(residual.shape)
        # Matheron's rule: a prior draw, corrected by the residuals that it leaves.
        gap = residual - slopes @ self.effects - noise
        gap = (precision[law] @ gap[..., None])[..., 0]
        rough, smooth = (x[:, None] ** 2 for x in (rough, smooth))
        return np.asarray(
            slopes + rough * (gap @ self.effects.T) + smooth * (gap @ self.with_level.T)
        )


@dataclass(frozen=True, eq=False)
class _Linearised:
    """The law as a linear function of standardised coordinates, at the mode of each posterior.

    Attributes
    ----------
    mode
        The coordinates, a priori standard Normal.
    slope
        Derivatives of the log responses: law, coordinate, run.
    response
        Log responses less those that the linear function has at zero.
    """

    mode: Array
    slope: Array
    response: Array

    def draw(self, precision: Array, law: Array, rng: np.random.Generator) -> Array:
        """Return draws of the coordinates of laws, given the precision of their log responses."""
        weighted = self.slope @ precision
        unit = np.eye(self.mode.shape[1])
        covariance = np.linalg.inv(unit + weighted @ np.swapaxes(self.slope, 1, 2))
        mean = (covariance @ (weighted @ self.response[..., None]))[..., 0]
        root = np.linalg.cholesky(0.5 * (covariance + np.swapaxes(covariance, 1, 2)))
        steps = rng.standard_normal((len(law), len(unit), 1))
        return np.asarray(mean[law] + (root[law] @ steps)[..., 0])


def _scales(laws: PriorLaws, rng: np.random.Generator | None = None) -> _Scales:
    """Return the true scales, or random ones about them; those of the noise relative to it."""
    true: dict[str, Array] = {"noise": laws.draws["sigma"].to_numpy()[0]}
    if laws.model.discrepancy is not None:
        true |= {name: laws.draws[name].to_numpy()[0] for name in laws.model.discrepancy.scales}
    log_ratio = zero = np.zeros(len(true["noise"]))
    found = {}
    for name, values in true.items():
        step = zero
        if rng is not None:
            log_true = np.log(values)
            mean, sd = float(log_true.mean()), max(float(log_true.std()), 1e-6)
            width = min(sd, _WIDEST[name])
            step = width * rng.standard_normal(len(zero))
            log_prior = -0.5 * ((log_true + step - mean) / sd) ** 2
            log_ratio = log_ratio + log_prior + 0.5 * (step / width) ** 2
        found[name] = np.exp(step) * (1.0 if name == "noise" else values)
    return _Scales(found["noise"], found.get("rough", zero), found.get("smooth", zero), log_ratio)


def _log_weight(linear: _Linearised, runs: _SimulatedRuns, scales: _Scales) -> Array:
    """Return the log of the importance weight of a set of scales, for each law."""
    covariance = runs.covariance(scales) + np.swapaxes(linear.slope, 1, 2) @ linear.slope
    root = np.linalg.cholesky(covariance)
    white = np.linalg.solve(root, linear.response[..., None])[..., 0]
    half_log_det = np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1)
    return np.asarray(scales.log_ratio - half_log_det - 0.5 * (white**2).sum(axis=1))


def _linearised(laws: PriorLaws, runs: _SimulatedRuns) -> _Linearised:
    """Find the mode of each law's coordinates at the true scales, and the derivatives there."""
    at, precision = laws.standard(), np.linalg.inv(runs.covariance(_scales(laws)))
    unit = np.eye(at.shape[1])
    for step in range(_STEPS):
        here = _log_law(laws, runs, at)
        nudged = _log_law(laws, runs, (at[:, None] + _NUDGE * unit).reshape(-1, len(unit)))
        slope = np.nan_to_num((nudged.reshape(*at.shape, -1) - here[:, None]) / _NUDGE)
        response = np.nan_to_num(runs.response - here) + (at[:, None] @ slope)[:, 0]
        if step == _STEPS - 1:
            break
        weighted = slope @ precision
        curvature = unit + weighted @ np.swapaxes(slope, 1, 2)
        best = np.linalg.solve(curvature, weighted @ response[..., None])[..., 0]
        at = at + np.clip(best - at, -_LONGEST, _LONGEST)
    return _Linearised(at, slope, response)


def _log_law(laws: PriorLaws, runs: _SimulatedRuns, standard: Array) -> Array:
    """Return the log response of the law alone at the runs, one row per set of coordinates."""
    parameters = {n: np.asarray(x)[..., None] for n, x in laws.parameters(standard).items()}
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        return np.asarray(np.log(laws.model.law.formula(runs.log_inputs, parameters)))


def _curve(laws: PriorLaws, standard: Array, slopes: Array | None) -> Curve:
    dims, shape = ("chain", "draw"), standard.shape[:2]
    parameters = {
        name: xr.DataArray(np.broadcast_to(x, shape), dims=dims)
        for name, x in laws.parameters(standard).items()
    }
    labelled = None
    if slopes is not None:
        of_one = laws.draws[SLOPES].shape[2:]
        labelled = xr.DataArray(slopes.reshape(*shape, *of_one), dims=(*dims, "axis", "cell"))
    return Curve(
        law=laws.model.law,
        parameters=parameters,
        discrepancy=laws.model.discrepancy,
        reference=laws.design.scale.reference,
        slopes=labelled,
    )
