"""Learn the priors of a card from several sweeps: a hierarchical model over their posteriors."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import ndtr, softmax

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
"""Scale of the prior of the spread between sources, relative to the base prior's."""

_BINS, _MEANS, _SPREADS = 400, 401, 40
"""Bins of a quantity, and points of the grid of its mean over sources and of their spread."""


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
        have equal weights however many sweeps they have. In a sequence each is its own source.
    base
        The card to start from: a card id, the path of a card, or a `Model`. Its priors are those
        of the population mean; priors that are not learnt are kept.
    id
        The id of the card; that of `base` followed by ``-learnt`` unless given.
    seed, draws
        As in `fit`.

    Returns
    -------
    Model
        The base card with a LogNormal (or, for a real quantity, Normal) prior for every
        coordinate of the law but its level, for the residual scale, for the standard deviations
        of group effects, and for the scales of the discrepancy. Other priors are kept. Save it
        by ``to_toml``.

    Raises
    ------
    RunsError, SamplingError
        If a sweep cannot be fitted, or its posterior does not converge.
    ValueError
        If there are no sweeps, or a fit is of another card.

    Warns
    -----
    BayescaleWarning
        If most draws of a sweep lie outside 99 % of the base prior.

    Notes
    -----
    Each quantity of a source, or its log, is Normal about the mean over sources. The base card's
    prior is that of the mean; the spread between sources has a HalfNormal prior, whose scale is
    half the standard deviation of the base prior. Their posterior is computed on a grid, from the
    posteriors of the sweeps with the base prior divided out (as Lunn et al. 2013,
    doi:10.1111/rssc.12007; Gelman et al. 2013, *Bayesian Data Analysis*, ch. 5). The learnt prior
    has the mean and the standard deviation of the posterior predictive distribution of a new
    source. Each quantity is learnt separately, from its marginal posterior in each sweep.

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
    count = len(fits)
    found = {}
    for name, prior in model.all_priors.items():
        # A table with too few levels for a group effect is not informative on it.
        known = {s: [fit for fit in parts if name in fit.posterior] for s, parts in fits.items()}
        known = {source: parts for source, parts in known.items() if parts}
        if _learnable(model, name) and known:
            found[name] = _prior(prior, *_new_source(known, name, prior), len(known))
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
        several = {str(name): _tables(parts) for name, parts in sweeps.items()}
    else:
        several = {str(i + 1): [sweep] for i, sweep in enumerate(_tables(sweeps))}
    empty = [name for name, parts in several.items() if not parts]
    if empty or not several:
        raise ValueError(
            f"sweeps: found none{f' for {empty[0]}' if empty else ''}, expected one or more."
        )
    return several


def _tables(given: Sweep | Sequence[Sweep]) -> Sequence[Sweep]:
    """Return sweeps as a sequence; a table, which can be iterated over, is one."""
    return given if isinstance(given, list | tuple) else [cast("Sweep", given)]


def _fitted(sweep: Sweep, model: Model, seed: int, draws: int) -> Fit:
    if isinstance(sweep, Fit):
        found = sweep
        if found.model.to_dict() != model.identified_by(found.runs).to_dict():
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
    spreads = (pooling.spread for pooling in model.pooling)
    if name not in {*model.priors, *scales, *spreads, "sigma"}:
        return False
    prior = model.all_priors[name]
    return not prior.relative_to and prior.support != "unit" and prior.lower == 0.0


def _free(prior: Prior, value: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values on the scale on which a population is Normal."""
    return np.log(value) if prior.support == "positive" else value


def _new_source(fits: Mapping[str, Sequence[Fit]], name: str, prior: Prior) -> tuple[float, float]:
    """Return mean and standard deviation of a quantity of a new source."""
    tables = [(fit, 1.0 / len(parts)) for parts in fits.values() for fit in parts]
    drawn = [_free(prior, fit.posterior[name].to_numpy().ravel()) for fit, _ in tables]
    base = _free(prior, prior.draw(generator(0, Stream.PRIOR), 100_000))
    low, high = np.quantile(base, [0.005, 0.995])
    for (fit, _), draws in zip(tables, drawn, strict=True):
        if (outside := np.mean((draws < low) | (draws > high))) > 0.5:
            warnings.warn(
                f"{fit.runs.name}: {outside:.0%} of the draws of {name} lie outside 99 % of the "
                "base prior, so that the prior decides what the sweep says. Use a base card with "
                "a wider prior.",
                BayescaleWarning,
                stacklevel=3,
            )
    return predictive(drawn, base, np.array([share for _, share in tables]))


def predictive(
    drawn: Sequence[NDArray[np.float64]],
    base: NDArray[np.float64],
    shares: NDArray[np.float64],
) -> tuple[float, float]:
    """Return mean and standard deviation of a quantity of a new source, given the others.

    Parameters
    ----------
    drawn
        Posterior draws of each table.
    base
        Draws of the base prior, which is part of these posteriors.
    shares
        Weight of each table; those of one source sum to one.
    """
    # In bins of equal prior probability, the likelihood of a table is its share of draws.
    edges = np.quantile(base, np.arange(1, _BINS) / _BINS)
    likelihood = np.array([np.bincount(np.digitize(x, edges), minlength=_BINS) for x in drawn])
    prior = stats.norm(base.mean(), base.std())
    means = prior.mean() + prior.std() * np.linspace(-4.0, 4.0, _MEANS)
    # At equal steps of the probability of the HalfNormal prior.
    spreads = _SPREAD * stats.halfnorm(0.0, prior.std()).ppf((np.arange(_SPREADS) + 0.5) / _SPREADS)
    log_posterior = np.tile(prior.logpdf(means), (_SPREADS, 1))
    for row, spread in zip(log_posterior, spreads, strict=True):
        below = ndtr((edges - means[:, None]) / spread)
        bins = np.diff(below, axis=1, prepend=0.0, append=1.0)
        with np.errstate(divide="ignore"):  # a population that a table excludes
            row += np.log(bins @ likelihood.T) @ shares
    weights = softmax(log_posterior)
    mean = float(weights.sum(axis=0) @ means)
    variance = weights.sum(axis=1) @ spreads**2 + weights.sum(axis=0) @ (means - mean) ** 2
    return mean, float(np.sqrt(variance))


def _prior(base: Prior, mean: float, sd: float, count: int) -> Prior:
    """Return the prior of a population, its numbers rounded to three digits."""
    ends = mean + np.array([-1.645, 1.645]) * sd
    if base.support == "positive":
        ends = np.exp(ends)
    why = (
        f"learnt from {_count(count)}, which weigh the same: 90 % between {ends[0]:.2g} and "
        f"{ends[1]:.2g}"
    )
    sd = float(f"{sd:.3g}")
    if base.support == "positive":
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
        pooling=tuple(replace(p, sd=found.get(p.spread, p.sd)) for p in model.pooling),
        discrepancy=discrepancy,
    )


def _count(sources: int) -> str:
    return f"{sources} source{'s' if sources > 1 else ''}"
