"""Multimodal posteriors: find the modes, weigh them by evidence, and sample each.

A chain does not cross between well-separated modes: chains started in different modes never agree,
and chains started in the same mode may agree on the wrong one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayescale._seeds import Stream, generator, seed_of
from bayescale.backend.build import parameters_from_draws
from bayescale.backend.observed import Design
from bayescale.backend.unconstrained import starting_point
from bayescale.errors import SamplingError
from bayescale.inference.base import ProgressCallback, Sampler, Settings
from bayescale.inference.preconditioner import LogDensity, mode_from
from bayescale.model.card import Model
from bayescale.posterior.diagnostics import CERTAIN

# Shallow trees: a mode far from the data is a long ridge, whose exact shape does not matter.
_PILOT = {"tune": 300, "draws": 200, "chains": 2, "maxdepth": 6}
_APART = 4.0
"""Pilot chains whose means differ by more standard deviations in a direction are separate modes."""
_SAME_SUMMIT = 0.05
"""Maxima whose unconstrained scalars (with scales of about one) differ by less are the same."""
_EVIDENCE_DRAWS, _EVIDENCE_DF = 1000, 5.0
_BRIDGE_STEPS, _BATCH = 50, 20
_STARTS, _JITTER = 400, 0.5
_CLIMB, _CLOSE = 2000, 0.05
"""Steps towards the highest maximum, enough along a curved ridge; jitter of starts around it."""

type Draws = NDArray[np.float64]
"""Positions, one per row."""

type Arrays = dict[str, NDArray[np.float64]]

type Sampled = tuple[Arrays, xr.Dataset]
"""Draws by name, and the sampler's statistics of them."""


class Samples(Protocol):
    """The sampling interface that `Sampler` and `KeptSampler` share."""

    def sample(
        self,
        data: Draws,
        settings: Settings,
        progress: ProgressCallback | None = None,
        starts: Draws | None = None,
    ) -> Sampled:
        """Draw from the posterior given a data matrix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exploration:
    """Result of the pilot chains from every candidate mode.

    Attributes
    ----------
    starts
        Starting positions in each retained mode, one per row.
    weights
        Posterior probability of each retained mode.
    log_evidence
        Log evidence of each mode found, relative to the best; best first.
    error
        Largest standard error of the log evidence among the retained modes.
    """

    starts: tuple[Draws, ...]
    weights: Draws
    log_evidence: Mapping[str, float]
    error: float

    def only(self, kept: Sequence[int]) -> "Exploration":
        """Return the result restricted to some of the retained modes."""
        dropped = {name for i, name in enumerate(self.log_evidence) if i < len(self.starts)} - {
            name for i, name in enumerate(self.log_evidence) if i in kept
        }
        if not dropped:
            return self
        weights = self.weights[list(kept)]
        return replace(
            self,
            starts=tuple(self.starts[i] for i in kept),
            weights=weights / weights.sum(),
            log_evidence={n: x for n, x in self.log_evidence.items() if n not in dropped},
            error=self.error if len(kept) > 1 else 0.0,
        )


def places_to_look(model: Model, design: Design) -> list[dict[str, Any]]:
    """Return starting points, one for each candidate mode of the law; most laws have one."""
    starts = model.law.starts(design.placed.log_inputs)
    return [starting_point(model, instead, design.sizes) for instead in starts]


def explore(
    model: Model,
    compiled: Sampler,
    design: Design,
    settings: Settings,
    places: Sequence[Mapping[str, float]],
) -> Exploration:
    """Run pilot chains from each starting point, and weigh the modes in which they end.

    Where a pilot chain ends depends on its random numbers, so chains are also started about the
    highest maximum that is reached uphill from any starting point.

    The weight of a mode is its evidence, by bridge sampling (`_log_evidence`).

    Raises
    ------
    SamplingError
        If no chain can start anywhere.
    """
    law, data = model.law, design.matrix
    rng = generator(settings.seed, Stream.MODES)
    elsewhere = compiled.unpack(compiled.start)
    centres = [compiled.pack({**elsewhere, **place}) for place in places]
    scalars, log_density = compiled.scalars, compiled.log_density_given(data)
    around = [
        *((centre, _JITTER) for centre in centres),
        *((summit, _CLOSE) for summit in _highest(log_density, centres)),
    ]
    pilots = _pilots(compiled, data, settings, around, rng)
    modes = _merge(pilots, scalars, log_density)
    weighed = [_log_evidence(compiled, data, draws, rng) for draws in modes]
    evidence, errors = np.array(weighed).T
    weights = np.exp(evidence - np.logaddexp.reduce(evidence))
    order = np.argsort(-weights, kind="stable")
    kept = [i for i in order if weights[i] > 1.0 - CERTAIN]
    starts = tuple(modes[i][rng.integers(len(modes[i]), size=_STARTS)] for i in kept)
    names: dict[str, float] = {}
    for i in order:
        middle = compiled.unpack(np.median(modes[i], axis=0, keepdims=True))
        found = parameters_from_draws(model, design, middle)
        label = law.mode_of({name: found[name].item() for name in law.parameters})
        repeats = sum(name.startswith(label) for name in names)
        unique = f"{label} ({repeats + 1})" if repeats else label
        names[unique] = float(evidence[i] - evidence[order[0]])
    return Exploration(
        starts=starts,
        weights=weights[kept] / weights[kept].sum(),
        log_evidence=names,
        error=float(errors[kept].max()) if len(kept) > 1 else 0.0,
    )


def sample_modes(
    sampler: Samples,
    data: Draws,
    settings: Settings,
    exploration: Exploration,
    progress: ProgressCallback,
) -> tuple[Arrays, xr.Dataset, Exploration]:
    """Sample each retained mode with separate chains, and mix their draws by weight.

    Returns
    -------
    draws, sample_stats
        As returned by `Sampler.sample`.
    exploration
        The modes, without those that turn out to be part of another.
    """
    sampled = []
    for i, starts in enumerate(exploration.starts):
        own = replace(settings, seed=seed_of(settings.seed, Stream.MODE, i)) if i else settings
        sampled.append(sampler.sample(data, own, progress, starts))
    return mixed(sampled, exploration, settings.seed)


def mixed(
    sampled: Sequence[Sampled], exploration: Exploration, seed: int
) -> tuple[Arrays, xr.Dataset, Exploration]:
    """Return the draws of all modes mixed by weight, and the modes after merging.

    The mode of each draw is sampled too, so that every chain of the result visits all modes.
    Modes whose chains overlap are one mode that the pilots saw in two parts: the one with the
    larger weight is retained, so that its evidence is not counted twice.
    """
    scalars = [_scalars_of(draws) for draws, _ in sampled]
    kept: list[int] = []
    for i, found in enumerate(scalars):
        if not any(_overlap(found, scalars[j]) for j in kept):
            kept.append(i)
    exploration = exploration.only(kept)
    sampled = [sampled[i] for i in kept]
    if len(sampled) == 1:
        return *sampled[0], exploration
    stats = sampled[0][1]
    size = (stats.sizes["chain"], stats.sizes["draw"])
    mode = generator(seed, Stream.MIXING).choice(len(sampled), size=size, p=exploration.weights)
    draws = {
        name: np.choose(
            mode.reshape(mode.shape + (1,) * (values.ndim - 2)),
            [part[name] for part, _ in sampled],
        )
        for name, values in sampled[0][0].items()
    }
    of_mode = xr.DataArray(mode, dims=("chain", "draw"))
    for i, (_, others) in enumerate(sampled):
        stats = stats.where(of_mode != i, others)
    stats = stats.astype({name: x.dtype for name, x in sampled[0][1].items()})
    return draws, stats, exploration


def _scalars_of(draws: Mapping[str, NDArray[np.float64]]) -> Draws:
    """Return the draws of the scalars of all chains, one per row."""
    return np.column_stack([x.ravel() for x in draws.values() if x.ndim == 2])


def _highest(log_density: LogDensity, centres: Sequence[Draws]) -> list[Draws]:
    """Return the highest maximum found from any centre; none if the density is zero at all."""
    climbed = [mode_from(log_density, centre, _CLIMB) for centre in centres]
    summits = [summit for summit in climbed if summit is not None]
    return [max(summits, key=lambda summit: log_density(summit)[0])] if summits else []


def _pilots(
    compiled: Sampler,
    data: Draws,
    settings: Settings,
    around: Sequence[tuple[Draws, float]],
    rng: np.random.Generator,
) -> list[Draws]:
    """Return the draws of every pilot chain, started within a jitter of each centre."""
    found: list[Draws] = []
    failures: list[SamplingError] = []
    for centre, jitter in around:
        pilot = replace(settings, **_PILOT, seed=int(rng.integers(2**32)))
        try:
            starts = centre + rng.uniform(-jitter, jitter, (_STARTS, len(centre)))
            draws, _ = compiled.sample(data, pilot, starts=starts)
        except SamplingError as error:
            failures.append(error)
        else:
            found += list(compiled.pack(draws))
    if not found:
        raise failures[0]
    return found


def _merge(
    chains: Sequence[Draws], scalars: int, log_density: LogDensity | None = None
) -> list[Draws]:
    """Return the pilot draws grouped by mode.

    Pilot chains may see two parts of one long mode, so two chains belong to one mode if their
    draws overlap, or if both lead uphill to the same maximum of the density.
    """
    places: list[tuple[Draws, Draws | None]] = []
    for chain in chains:
        summit = mode_from(log_density, np.median(chain, axis=0)) if log_density else None
        for i, (draws, other) in enumerate(places):
            if _overlap(chain[:, :scalars], draws[:, :scalars]) or (
                summit is not None
                and other is not None
                and np.all(np.abs(summit - other)[:scalars] < _SAME_SUMMIT)
            ):
                places[i] = np.concatenate([draws, chain]), other
                break
        else:
            places.append((chain, summit))
    return [draws for draws, _ in places]


def _overlap(some: Draws, others: Draws) -> bool:
    """Return whether two sets of draws of the scalars belong to one mode.

    Steps of levels and slopes, which come after the scalars, are standard normal in every mode.
    """
    apart = np.abs(some.mean(axis=0) - others.mean(axis=0))
    return bool(np.all(apart < _APART * np.sqrt(some.var(axis=0) + others.var(axis=0))))


def _log_evidence(
    compiled: Sampler, data: Draws, draws: Draws, rng: np.random.Generator
) -> tuple[float, float]:
    """Return the log evidence of a mode, and its standard error.

    Notes
    -----
    Bridge sampling (Meng and Wong 1996) between the draws and a proposal: a multivariate
    Student-t of the scalars, and independent normals of the steps, which are nearly standard
    normal whatever the scalars are. The proposal is fitted to every other draw and the estimate
    uses the rest. The standard error is that of Fruehwirth-Schnatter (2004, Econometrics Journal
    7), with batch means to account for autocorrelation.
    """
    from scipy import stats

    scalars = compiled.scalars
    made_of, held_out = draws[::2], draws[1::2]
    centre, spread = made_of.mean(axis=0), made_of.std(axis=0) + 1e-9
    # Regularised, so that the evidence is defined even for a chain that never moved.
    covariance = np.cov(made_of[:, :scalars], rowvar=False) + 1e-9 * np.eye(scalars)
    bulk = stats.multivariate_t(centre[:scalars], covariance, df=_EVIDENCE_DF)  # type: ignore[call-overload]
    rest = stats.norm(centre[scalars:], spread[scalars:])

    def log_ratio(points: Draws) -> NDArray[np.float64]:
        target = np.array([compiled.log_density(point, data)[0] for point in points])
        proposal = bulk.logpdf(points[:, :scalars]) + rest.logpdf(points[:, scalars:]).sum(axis=-1)
        return np.asarray(np.where(np.isfinite(target), target, -np.inf) - proposal)

    points = np.column_stack(
        [
            np.atleast_2d(bulk.rvs(_EVIDENCE_DRAWS, random_state=rng)),
            rest.rvs((_EVIDENCE_DRAWS, len(centre) - scalars), random_state=rng),
        ]
    )
    return _bridge(log_ratio(held_out), log_ratio(points))


def _bridge(
    of_posterior: NDArray[np.float64], of_proposal: NDArray[np.float64]
) -> tuple[float, float]:
    """Return the bridge-sampling log normalising constant, and its standard error.

    Parameters
    ----------
    of_posterior, of_proposal
        Log ratio of posterior to proposal density, at draws of each.
    """
    share = len(of_posterior) / (len(of_posterior) + len(of_proposal))
    log_here, log_there = np.log(share), np.log1p(-share)
    log_constant = float(np.median(of_posterior))
    for _ in range(_BRIDGE_STEPS):
        # Numerator and denominator with the optimal bridge function.
        above = of_proposal - np.logaddexp(log_here + of_proposal, log_there + log_constant)
        below = -np.logaddexp(log_here + of_posterior, log_there + log_constant)
        before = log_constant
        log_constant = _log_mean(above) - _log_mean(below)
        if abs(log_constant - before) < 1e-6:
            break
    error = np.hypot(_relative_error(above, 1), _relative_error(below, _BATCH))
    return log_constant, float(error)


def _log_mean(logs: NDArray[np.float64]) -> float:
    return float(np.logaddexp.reduce(logs) - np.log(len(logs)))


def _relative_error(logs: NDArray[np.float64], batch: int) -> float:
    """Return the relative standard error of a mean, from batch means."""
    values = np.exp(logs - logs.max())
    batches = values[: len(values) // batch * batch].reshape(-1, batch).mean(axis=1)
    return float(batches.std(ddof=1) / np.sqrt(len(batches)) / values.mean())
