"""Laws whose posterior may lie in several separate places: look into each, weigh them, begin there.

A chain does not cross from one mode to another, so chains that happened to start apart would
disagree for ever, and chains that happened to start together would agree on the wrong one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bayescale.build import parameters_from_draws, starting_point
from bayescale.design import Design
from bayescale.errors import SamplingError
from bayescale.model import Model
from bayescale.sampler import CompiledLogp, Settings

CERTAIN = 0.99
"""A mode with more than this share of the posterior is the posterior."""

# A mode that is nowhere near the data is a long ridge; its exact shape does not matter.
_PILOT = {"tune": 300, "draws": 200, "chains": 2, "maxdepth": 6}
_APART = 4.0
"""Pilots whose means differ by more standard deviations, in any direction, are two modes."""
_EVIDENCE_DRAWS, _EVIDENCE_DF = 1000, 5.0
_STARTS, _JITTER = 400, 0.5

type Draws = NDArray[np.float64]
"""Positions, a row each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exploration:
    """What short chains from every mode found.

    Attributes
    ----------
    starts
        Positions where chains may begin, a row each: draws of the mode that won, or of all modes
        by their weight if none did.
    log_evidence
        Of each mode in which a chain ended, less that of the best; best first.
    """

    starts: Draws
    log_evidence: Mapping[str, float]


def places_to_look(model: Model, data: Draws) -> list[dict[str, float]]:
    """Return starting points, one for each place where the law may have a mode; most have one."""
    law = model.formula
    ends = {name: (row.min(), row.max()) for name, row in zip(law.inputs, data, strict=False)}
    return [starting_point(model, instead) for instead in law.starts(ends)]


def explore(
    model: Model,
    compiled: CompiledLogp,
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
    evidence = np.array([_log_evidence(compiled, data, draws, rng) for draws in modes])
    weights = np.exp(evidence - np.logaddexp.reduce(evidence))
    order = np.argsort(-weights, kind="stable")
    kept = [i for i in order if weights[i] > 1.0 - CERTAIN]
    starts = [
        modes[i][rng.integers(len(modes[i]), size=max(1, round(_STARTS * weights[i])))]
        for i in kept
    ]
    names: dict[str, float] = {}
    for i in order:
        middle = compiled.unpack(np.median(modes[i], axis=0))
        found = parameters_from_draws(model, design, middle)
        label = law.mode_of({name: float(found[name]) for name in law.parameters})
        repeats = sum(name.startswith(label) for name in names)
        unique = f"{label} ({repeats + 1})" if repeats else label
        names[unique] = float(evidence[i] - evidence[order[0]])
    return Exploration(starts=np.concatenate(starts), log_evidence=names)


def describe_modes(log_evidence: Mapping[str, float]) -> tuple[str, bool]:
    """Return the sentence that says which mode won, and whether one did."""
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
        f"{name} {w:.2f}" for name, w in zip(names, weights, strict=True) if w > 0.005
    )
    return f"More than one mode of the law is supported (weights: {shares}); none won.", False


def _pilots(
    compiled: CompiledLogp,
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
    compiled: CompiledLogp, data: Draws, draws: Draws, rng: np.random.Generator
) -> float:
    from scipy import stats

    centre = draws.mean(axis=0)
    # A chain that never moved has no spread; it must still be weighed.
    spread = np.cov(draws, rowvar=False) + 1e-9 * np.eye(len(centre))
    proposal = stats.multivariate_t(centre, spread, df=_EVIDENCE_DF)  # type: ignore[call-overload]
    points = np.atleast_2d(proposal.rvs(_EVIDENCE_DRAWS, random_state=rng))
    target = np.array([compiled.log_density(point, data)[0] for point in points])
    ratio = np.where(np.isfinite(target), target, -np.inf) - proposal.logpdf(points)
    return float(np.logaddexp.reduce(ratio) - np.log(len(points)))
