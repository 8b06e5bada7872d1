"""Learn the priors of a card from several sweeps: a hierarchical model over their posteriors."""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from bayescale._seeds import Stream, generator
from bayescale.data.load import RunsSource
from bayescale.errors import BayescaleWarning, SamplingError
from bayescale.inference.fit import fit_quietly
from bayescale.model.card import DEFAULT_CARD, Model, load_model
from bayescale.model.inputs import runs_for
from bayescale.model.priors import LogNormal, Normal, Prior
from bayescale.posterior.fit import Fit

type Sweep = RunsSource | Fit

_SPREAD = 0.5
"""Prior guess of the spread between sources, relative to the base prior's, worth one source."""

_ROUNDS, _ENOUGH = 500, 1e-8
"""Limits of the iterations, and the change at which they stop."""

_FEW = 50.0
"""Effective number of draws of a sweep below which what it says is coarse."""


@dataclass(frozen=True, slots=True)
class _Scale:
    """The unconstrained scale of a quantity, on which its population is Normal."""

    free: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    mean: float
    sd: float


def learn_prior(
    sweeps: Mapping[str, Sweep | Sequence[Sweep]] | Sequence[Sweep],
    *,
    base: str | Path | Model = DEFAULT_CARD,
    id: str = "",
    seed: int = 0,
    draws: int = 1000,
) -> Model:
    """Return a card whose priors are learnt from several sweeps, for the next one.

    Parameters
    ----------
    sweeps
        Tables of runs, each a source for `load_runs` or its result; or fits of the base card to
        them. With a mapping, the sweeps of one key are of one source (a lab, a paper), and sources
        weigh the same however many sweeps they have. In a sequence each is a source of its own.
    base
        The card to start from: a card id, the path of a card, or a `Model`. Its priors are those
        of the mean over sources; they say what the sweeps do not.
    id
        The id of the card; that of `base` followed by ``-learnt`` unless given.
    seed, draws
        As in `fit`.

    Returns
    -------
    Model
        The base card with a LogNormal (or, for a real quantity, Normal) prior for every
        coordinate of the law but its level, for the residual scale, and for the scales of the
        discrepancy. Other priors are kept. Save it by ``to_toml``.

    Raises
    ------
    RunsError, SamplingError
        If a sweep cannot be fitted, or its posterior does not converge.
    ValueError
        If there are no sweeps, or a fit is of another card.

    Warns
    -----
    BayescaleWarning
        If a sweep is so far from the others that few of its draws carry the result.

    Notes
    -----
    Each quantity of a sweep, or its log, is Normal about the mean over sources. The base card's
    prior is that of the mean; the variance between sources has an inverse-chi-squared prior that
    is worth one source, whose standard deviation is half of the base prior's. Mean and variance
    are estimated by the EM algorithm from the posteriors of the sweeps, whose draws are reweighted
    from the base prior to the population (Lunn et al. 2013, doi:10.1111/rssc.12007; Gelman et al.
    2013, *Bayesian Data Analysis*, ch. 5, with the variances at their posterior mode). The learnt
    prior is the population's, widened by the error of its mean. Quantities are taken as
    independent of each other.

    Examples
    --------
    >>> import bayescale as bs
    >>> runs = bs.load_runs("chinchilla")
    >>> halves = [runs.where(np.arange(len(runs)) % 2 == i) for i in (0, 1)]
    >>> card = bs.learn_prior(halves, base="chinchilla", seed=1, draws=250)
    >>> card.priors["alpha"].log_sd < bs.load_model("chinchilla").priors["alpha"].log_sd
    True
    """
    model = load_model(base)
    sources = _by_source(sweeps)
    fits = {
        source: [_fitted(sweep, model, seed, draws) for sweep in parts]
        for source, parts in sources.items()
    }
    learnt = {name: prior for name, prior in model.all_priors.items() if _learnable(model, name)}
    scales = {name: _scale_of(prior) for name, prior in learnt.items()}
    mean, sd = _population(model, fits, scales)
    count = len(fits)
    found = {
        name: _prior(scale, mean[i], sd[i], count) for i, (name, scale) in enumerate(scales.items())
    }
    return _with_priors(
        replace(
            model,
            id=id or f"{model.id}-learnt",
            title=f"{model.title}; priors learnt from {_count(count)}",
        ),
        found,
    )


def _by_source(
    sweeps: Mapping[str, Sweep | Sequence[Sweep]] | Sequence[Sweep],
) -> dict[str, Sequence[Sweep]]:
    several: dict[str, Sequence[Sweep]]
    if isinstance(sweeps, Mapping):
        several = {
            str(name): parts if isinstance(parts, list | tuple) else [cast("Sweep", parts)]
            for name, parts in sweeps.items()
        }
    elif isinstance(sweeps, list | tuple):
        several = {str(i + 1): [sweep] for i, sweep in enumerate(sweeps)}
    else:
        raise TypeError(
            f"sweeps: found a {type(sweeps).__name__}, expected a list of tables of runs, "
            "or a mapping from the name of a source to its tables."
        )
    empty = [name for name, parts in several.items() if not parts]
    if empty or not several:
        raise ValueError(
            f"sweeps: found none{f' for {empty[0]}' if empty else ''}, expected one or more."
        )
    return several


def _fitted(sweep: Sweep, model: Model, seed: int, draws: int) -> Fit:
    if isinstance(sweep, Fit):
        found = sweep
        if found.model.to_dict() != model.to_dict():
            raise ValueError(
                f"sweeps: found a fit of {found.model.id}, expected fits of {model.id}, since its "
                "priors are divided out. Pass base=fit.model, or the runs."
            )
    else:
        found = fit_quietly(runs_for(sweep, [model]), model, seed=seed, draws=draws)
    if not found.gates.ok:
        raise SamplingError(
            f"{found.runs.name}: {found.diagnostics.status} A prior learnt from draws that have "
            "not converged would be wrong. Use more draws, or leave the sweep out."
        )
    return found


def _learnable(model: Model, name: str) -> bool:
    """Whether the prior of a quantity is learnt: its support has one scale for all sweeps."""
    scales = (model.discrepancy.scales if model.discrepancy else {}).keys()
    if name not in {*model.priors, *scales, "sigma"}:
        return False
    prior = model.all_priors[name]
    return not prior.relative_to and prior.support != "unit" and prior.lower == 0.0


def _scale_of(prior: Prior) -> _Scale:
    positive = prior.support == "positive"
    free = np.log if positive else np.asarray
    if isinstance(prior, LogNormal):
        return _Scale(free, float(np.log(prior.median)), prior.log_sd)
    drawn = free(prior.draw(generator(0, Stream.PRIOR), 100_000))
    return _Scale(free, float(drawn.mean()), float(drawn.std()))


def _population(
    model: Model, fits: Mapping[str, Sequence[Fit]], scales: Mapping[str, _Scale]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of the predictive distribution for a new source."""
    tables = [(fit, 1.0 / len(parts)) for parts in fits.values() for fit in parts]
    drawn = [_draws(fit, scales) for fit, _ in tables]
    # The log density of the base prior on the same scale, which the draws have in them.
    base = [_log_prior(model, fit, scales) for fit, _ in tables]
    prior_mean = np.array([scale.mean for scale in scales.values()])
    prior_sd = np.array([scale.sd for scale in scales.values()])
    shares = np.array([share for _, share in tables])
    mean, spread, effective = estimate(drawn, base, shares, prior_mean, prior_sd)
    for (fit, _), draws, count in zip(tables, drawn, effective, strict=True):
        if count < _FEW:
            warnings.warn(
                f"{fit.runs.name}: its posterior is far from the other sweeps; {count:.0f} of "
                f"its {len(draws)} draws carry what it says. Use more draws, or a wider base "
                "card.",
                BayescaleWarning,
                stacklevel=3,
            )
    error = (len(fits) / spread**2 + 1.0 / prior_sd**2) ** -0.5
    return mean, np.hypot(spread, error)


def estimate(
    drawn: Sequence[NDArray[np.float64]],
    base: Sequence[NDArray[np.float64]],
    shares: NDArray[np.float64],
    prior_mean: NDArray[np.float64],
    prior_sd: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[float]]:
    """Return mean and spread of a Normal population at their posterior mode, by EM.

    Parameters
    ----------
    drawn
        Posterior draws of each table, of shape (draw, quantity).
    base
        Log density of the prior of each draw.
    shares
        Weight of each table; those of one source sum to one.
    prior_mean, prior_sd
        Prior of the mean of each quantity. The prior of the variance is worth one source.

    Returns
    -------
    mean, spread
        Of each quantity.
    effective
        Effective number of draws of each table, reweighted to the population.
    """
    weight = shares[:, None]
    count = float(shares.sum())
    guess = _SPREAD * prior_sd
    mean, spread = prior_mean, prior_sd
    for _ in range(_ROUNDS):
        weights = [
            _weights(x, density, mean, spread) for x, density in zip(drawn, base, strict=True)
        ]
        means = np.array([w @ x for w, x in zip(weights, drawn, strict=True)])
        variances = np.array(
            [w @ (x - m) ** 2 for w, x, m in zip(weights, drawn, means, strict=True)]
        )
        precision = count / spread**2 + 1.0 / prior_sd**2
        last = mean, spread
        mean = ((weight * means).sum(axis=0) / spread**2 + prior_mean / prior_sd**2) / precision
        squares = (weight * (variances + (means - mean) ** 2)).sum(axis=0)
        spread = np.sqrt((squares + guess**2) / (count + 1.0))
        if max(np.abs(mean - last[0]).max(), np.abs(spread - last[1]).max()) < _ENOUGH:
            break
    return mean, spread, [1.0 / float((w**2).sum()) for w in weights]


def _draws(fit: Fit, scales: Mapping[str, _Scale]) -> NDArray[np.float64]:
    columns = [scale.free(fit.posterior[name].to_numpy().ravel()) for name, scale in scales.items()]
    return np.stack(columns, axis=-1)


def _log_prior(model: Model, fit: Fit, names: Iterable[str]) -> NDArray[np.float64]:
    total: NDArray[np.float64] = np.zeros(fit.posterior["chain"].size * fit.posterior["draw"].size)
    for name in names:
        prior = model.all_priors[name]
        value = fit.posterior[name].to_numpy().ravel()
        total = total + prior.log_density(value).eval() + prior.log_jacobian(value)
    return total


def _weights(
    drawn: NDArray[np.float64],
    base: NDArray[np.float64],
    mean: NDArray[np.float64],
    spread: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return importance weights of draws, from the base prior to the population."""
    log_weights = (-0.5 * ((drawn - mean) / spread) ** 2 - np.log(spread)).sum(axis=-1) - base
    weights = np.exp(log_weights - log_weights.max())
    return np.asarray(weights / weights.sum())


def _prior(scale: _Scale, mean: float, sd: float, count: int) -> Prior:
    """Return the prior of a population, its numbers rounded to three digits."""
    ends = mean + np.array([-1.645, 1.645]) * sd
    if scale.free is np.log:
        ends = np.exp(ends)
    why = (
        f"learnt from {_count(count)}, which weigh the same: 90 % between {ends[0]:.2g} and "
        f"{ends[1]:.2g}"
    )
    sd = float(f"{sd:.3g}")
    if scale.free is np.log:
        return LogNormal(median=float(f"{np.exp(mean):.3g}"), log_sd=sd, why=why)
    return Normal(mean=float(f"{mean:.3g}"), sd=sd, why=why)


def _with_priors(model: Model, found: Mapping[str, Prior]) -> Model:
    discrepancy = model.discrepancy
    if discrepancy is not None:
        discrepancy = discrepancy.scaled(found)
    own = {name: found.get(name, prior) for name, prior in model.noise.priors.items()}
    return replace(
        model,
        priors={name: found.get(name, prior) for name, prior in model.priors.items()},
        noise=replace(model.noise, priors=own),
        discrepancy=discrepancy,
    )


def _count(sources: int) -> str:
    return f"{sources} source{'s' if sources > 1 else ''}"
