"""Laws whose posterior may lie in several separate places: look into each, weigh them, sample each.

A chain does not cross from one mode to another, so chains that happened to start apart would
disagree for ever, and chains that happened to start together would agree on the wrong one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayescale.build import parameters_from_draws
from bayescale.coordinates import starting_point
from bayescale.design import Design
from bayescale.errors import SamplingError
from bayescale.model import Model
from bayescale.sampler import ProgressCallback, Sampler, Settings

CERTAIN = 0.99
"""A mode with more than this share of the posterior is the posterior."""

UNWEIGHED = 0.3
"""Standard error of a log evidence above which the weights of modes are not known."""

# A mode that is nowhere near the data is a long ridge; its exact shape does not matter.
_PILOT = {"tune": 300, "draws": 200, "chains": 2, "maxdepth": 6}
_APART = 4.0
"""Pilots whose means differ by more standard deviations, in any direction, are two modes."""
_EVIDENCE_DRAWS, _EVIDENCE_DF = 1000, 5.0
_STARTS, _JITTER = 400, 0.5

type Draws = NDArray[np.float64]
"""Positions, a row each."""

type Sampled = tuple[dict[str, NDArray[np.float64]], xr.Dataset]
"""Draws by name, and the sampler's statistics of them."""


class Samples(Protocol):
    """What a `Sampler` does, and what keeps its draws does in its place."""

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
    """What short chains from every mode found.

    Attributes
    ----------
    starts
        Of each mode that is kept, positions where chains may begin, a row each.
    weights
        Share of the posterior of each of them.
    log_evidence
        Of each mode in which a chain ended, less that of the best; best first.
    error
        Standard error of the log evidence of the least certain mode that is kept.
    """

    starts: tuple[Draws, ...]
    weights: Draws
    log_evidence: Mapping[str, float]
    error: float


def places_to_look(model: Model, data: Draws) -> list[dict[str, float]]:
    """Return starting points, one for each place where the law may have a mode; most have one."""
    log_inputs = dict(zip(model.formula.inputs, data, strict=False))
    return [starting_point(model, instead) for instead in model.formula.starts(log_inputs)]


def explore(
    model: Model,
    compiled: Sampler,
    design: Design,
    settings: Settings,
    places: Sequence[Mapping[str, float]],
) -> Exploration:
    """Start short chains in each of several places, and weigh the modes in which they end.

    The weight of a mode is its evidence, by importance sampling from a multivariate Student-t
    around its draws.

    Raises
    ------
    SamplingError
        If no chain can start anywhere.
    """
    law, data = model.formula, design.matrix
    rng = np.random.default_rng([settings.seed, 2])
    elsewhere = compiled.unpack(compiled.start)
    centres = [compiled.pack({**elsewhere, **place}) for place in places]
    modes = _merge(_pilots(compiled, data, settings, centres, rng))
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
) -> Sampled:
    """Sample each mode that is kept with chains of its own, and mix their draws by weight.

    Returns
    -------
    draws, sample_stats
        As of `Sampler.sample`.
    """
    sampled = [sampler.sample(data, settings, progress, starts) for starts in exploration.starts]
    return mixed(sampled, exploration, settings.seed)


def mixed(sampled: Sequence[Sampled], exploration: Exploration, seed: int) -> Sampled:
    """Return the draws of modes, mixed by weight.

    Which mode a draw is of is drawn too, so that every chain of the result is of all modes.
    """
    if len(sampled) == 1:
        return sampled[0]
    stats = sampled[0][1]
    size = (stats.sizes["chain"], stats.sizes["draw"])
    mode = np.random.default_rng([seed, 4]).choice(len(sampled), size=size, p=exploration.weights)
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
    return draws, stats.astype({name: x.dtype for name, x in sampled[0][1].items()})


def describe_modes(log_evidence: Mapping[str, float], error: float) -> tuple[str, bool]:
    """Return the sentence that says which modes there are, and whether their weights are known."""
    names = list(log_evidence)
    if len(names) == 1:
        return f"Chains from every mode of the law ended in one: {names[0]}.", True
    weights = np.exp([log_evidence[name] for name in names])
    weights = weights / weights.sum()
    if weights[0] > CERTAIN:
        sentence = (
            f"Chains were started in every mode of the law: {names[0]} won, ahead of "
            f"{names[1]} by {-log_evidence[names[1]]:.1f} in log evidence."
        )
        return sentence, True
    shares = ", ".join(
        f"{name} {w:.2f}" for name, w in zip(names, weights, strict=True) if w > 1.0 - CERTAIN
    )
    sentence = (
        "More than one mode of the law is supported, and the draws are of each by its weight "
        f"({shares}"
    )
    if error > UNWEIGHED:
        return (
            f"{sentence}), but the weights are not known: the log evidence is uncertain by "
            f"{error:.1f}.",
            False,
        )
    return f"{sentence}, to within a factor {np.exp(error):.2f}).", True


def _pilots(
    compiled: Sampler,
    data: Draws,
    settings: Settings,
    centres: Sequence[Draws],
    rng: np.random.Generator,
) -> list[Draws]:
    """Return the draws of every short chain."""
    found: list[Draws] = []
    failures: list[SamplingError] = []
    for centre in centres:
        pilot = replace(settings, **_PILOT, seed=int(rng.integers(2**32)))
        try:
            around = centre + rng.uniform(-_JITTER, _JITTER, (_STARTS, len(centre)))
            draws, _ = compiled.sample(data, pilot, starts=around)
        except SamplingError as error:
            failures.append(error)
        else:
            found += list(compiled.pack(draws))
    if not found:
        raise failures[0]
    return found


def _merge(chains: Sequence[Draws]) -> list[Draws]:
    """Return the draws of each separate place."""
    modes: list[Draws] = []
    for chain in chains:
        for i, mode in enumerate(modes):
            apart = np.abs(chain.mean(axis=0) - mode.mean(axis=0))
            if np.all(apart < _APART * np.sqrt(chain.var(axis=0) + mode.var(axis=0))):
                modes[i] = np.concatenate([mode, chain])
                break
        else:
            modes.append(chain)
    return modes


def _log_evidence(
    compiled: Sampler, data: Draws, draws: Draws, rng: np.random.Generator
) -> tuple[float, float]:
    """Return the log of the integral of a mode, and the standard error of that."""
    from scipy import stats

    centre = draws.mean(axis=0)
    # A chain that never moved has no spread; it must still be weighed.
    spread = np.cov(draws, rowvar=False) + 1e-9 * np.eye(len(centre))
    proposal = stats.multivariate_t(centre, spread, df=_EVIDENCE_DF)  # type: ignore[call-overload]
    points = np.atleast_2d(proposal.rvs(_EVIDENCE_DRAWS, random_state=rng))
    target = np.array([compiled.log_density(point, data)[0] for point in points])
    ratio = np.where(np.isfinite(target), target, -np.inf) - proposal.logpdf(points)
    most = ratio.max()
    relative = np.exp(ratio - most)
    error = relative.std() / (relative.mean() * np.sqrt(len(points)))
    return float(np.log(relative.mean()) + most), float(error)
