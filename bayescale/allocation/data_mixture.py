"""data_mixture: the mixture of domains with the least weighted loss on validation texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayescale._seeds import Stream, generator
from bayescale.allocation.simplex import least_mixture, mixture_loss
from bayescale.errors import CardError, UnsuitableLawError, did_you_mean
from bayescale.laws import Law
from bayescale.laws.mixing import DataMixing
from bayescale.posterior.diagnostics import Diagnostics, with_status
from bayescale.posterior.point import Source, as_posterior
from bayescale.posterior.protocol import Posterior
from bayescale.posterior.result import Result
from bayescale.posterior.summary import flag_failure, interval_columns
from bayescale.units import format_number

type Array = NDArray[np.float64]

_SAME = 0.005
"""Shares below this are said to be none."""


@dataclass(frozen=True, eq=False, repr=False)
class DataMixture(Result):
    """A recommended mixture of training data, and how far the optimum is known.

    Attributes
    ----------
    draws
        Draws of the optimal share of each domain, with dims ``chain``, ``draw`` and ``domain``.
    recommended
        The mixture of least expected loss, by domain; shares that sum to one.
    regret
        Draws of the weighted loss of the recommended mixture above the least, in the unit of the
        loss, with dims ``chain`` and ``draw``; and the same of equal shares, ``regret_equal``.
    weights
        The weight of each validation text, summing to one.
    most
        The largest share allowed for each domain.
    sources
        The posterior of the loss on each validation text.
    """

    draws: xr.DataArray
    recommended: "pd.Series[float]"
    regret: xr.DataArray
    regret_equal: xr.DataArray
    weights: Mapping[str, float]
    most: Mapping[str, float]
    sources: Mapping[str, Posterior]

    @cached_property
    def diagnostics(self) -> Diagnostics | None:
        """Diagnostics of the fits; None for constants."""
        found = {name: s.diagnostics for name, s in self.sources.items() if s.diagnostics}
        named = (diagnostics.named(name) for name, diagnostics in found.items())
        return reduce(Diagnostics.join, named) if found else None

    @property
    def headline(self) -> str:
        """How much each validation text counts, from which posteriors, failed checks first."""
        counted = ", ".join(f"{name} ({w:.0%})" for name, w in self.weights.items())
        said = f"Mixture of data for {counted}. " + " ".join(
            dict.fromkeys(source.description for source in self.sources.values())
        )
        return with_status(said, self.diagnostics) if self.diagnostics else said

    @cached_property
    def expected_regret(self) -> float:
        """Mean loss of the recommended mixture above that of each draw's own best one."""
        return float(self.regret.mean())

    @property
    def sentences(self) -> tuple[str, ...]:
        """The recommended mixture, and what it is expected to lose."""
        shares = ", ".join(
            f"{share:.0%} {name}" for name, share in self.recommended.items() if share >= _SAME
        )
        equal = float(self.regret_equal.mean())
        return (
            f"Train on {shares}: its expected regret is {format_number(self.expected_regret)} in "
            f"the unit of the loss, that of equal shares {format_number(equal)}.",
        )

    @property
    def caveats(self) -> tuple[str, ...]:
        """What the mixture takes for granted."""
        found = [DataMixing.caveat]
        if len(self.weights) == 1:
            found.append(
                "Of one validation text the law has its optimum at a corner, all of one domain or "
                "as much of it as is allowed: give the losses on every text that matters."
            )
        bound = [
            n for n, most in self.most.items() if most < 1 and self.recommended[n] > most - 1e-3
        ]
        if bound:
            found.append(f"The share of {', '.join(bound)} is at the largest that is allowed.")
        return tuple(found)

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Return ``recommended`` and the optimal ``share`` with its interval, by domain.

        Parameters
        ----------
        prob
            Probability of the interval.
        """
        found = interval_columns(self.draws.to_dataset(name="share"), prob, "domain")
        found.insert(0, "recommended", self.recommended)
        return flag_failure(found, self.diagnostics)

    def text_table(self, prob: float = 0.9) -> pd.DataFrame:
        """Return the table formatted as text."""
        found = interval_columns(self.draws.to_dataset(name="share"), prob, "domain")
        optimal = [
            f"{row['share']:.0%} [{row['share_lower']:.0%}, {row['share_upper']:.0%}]"
            for _, row in found.iterrows()
        ]
        recommended = [f"{share:.0%}" for share in self.recommended]
        return pd.DataFrame({"recommended": recommended, "optimum": optimal}, index=found.index)


def data_mixture(
    fits: Source | Mapping[str, Source],
    *,
    domains: Sequence[str] | None = None,
    weights: Mapping[str, float] | None = None,
    most: Mapping[str, float] | None = None,
) -> DataMixture:
    """Return the mixture of domains with the least expected weighted loss on validation texts.

    Parameters
    ----------
    fits
        For each validation text by name, a fit of a law ``data-mixing-2`` to ``data-mixing-5`` to
        the losses on it, all of the same domains; or one such fit. Draws of different fits are
        independent.
    domains
        Names of the domains, in the order of the inputs; those of the inputs unless given.
    weights
        How much each validation text counts; equal unless given.
    most
        The largest share allowed for a domain, such as what its tokens suffice for.

    Returns
    -------
    DataMixture
        The recommended mixture, its expected regret, and draws of the optimal shares.

    Raises
    ------
    UnsuitableLawError
        If a law is not one of mixtures, or the fits are not of the same number of domains.
    CardError
        If a name is unknown, a weight is negative, or the shares allowed are less than one in all.

    Notes
    -----
    The weighted loss, sum_i w_i (c_i + exp(sum_j r_j ln b_ij)), is convex in the shares r, so that
    every draw has one least value on the simplex. The expected loss is convex too, and the
    recommended mixture is where it is least. Losses are to be in one unit.

    Examples
    --------
    >>> import bayescale as bs
    >>> def constants(name, **values):
    ...     return bs.Constants(name=name, law="data-mixing-2", parameters=values, source="made")
    >>> web = constants("web", c=2.0, b_1=0.5, b_2=1.5)
    >>> code = constants("code", c=0.8, b_1=1.2, b_2=0.3)
    >>> found = bs.data_mixture({"web": web, "code": code}, domains=["pages", "programs"])
    >>> found.recommended.round(2).to_dict()
    {'pages': 0.55, 'programs': 0.45}
    """
    named = fits if isinstance(fits, Mapping) else {"the validation text": fits}
    sources = {str(name): as_posterior(fit) for name, fit in named.items()}
    if not sources:
        raise CardError("fits: found none, expected one or more by the name of a validation text.")
    counts = {name: _domains(name, source.law) for name, source in sources.items()}
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{name} of {count}" for name, count in counts.items())
        raise UnsuitableLawError(f"fits: found laws of different numbers of domains ({said}).")
    inputs = next(iter(sources.values())).law.inputs
    names = tuple(map(str, domains or inputs))
    if len(set(names)) != len(inputs):
        raise CardError(
            f"domains: found {', '.join(names)}, expected {len(inputs)} different names."
        )
    shares = _weights(weights, tuple(sources))
    limits = _limits(most, names)
    counted, logs = _terms(sources, np.array([shares[name] for name in sources]))
    bounds = np.array([limits[name] for name in names])
    own = least_mixture(counted, logs, bounds)
    least = mixture_loss(counted, logs, own)
    mean = (counted.reshape(1, -1) / len(counted), logs.reshape(1, -1, len(names)))
    best = least_mixture(*mean, bounds)[0]
    regret, of_equal = (
        xr.DataArray((mixture_loss(counted, logs, at) - least)[None], dims=("chain", "draw"))
        for at in (best, np.full(len(names), 1.0 / len(names)))
    )
    return DataMixture(
        draws=xr.DataArray(
            own[None], dims=("chain", "draw", "domain"), coords={"domain": list(names)}
        ),
        recommended=pd.Series(best, pd.Index(names, name="domain"), name="recommended"),
        regret=regret,
        regret_equal=of_equal,
        weights=shares,
        most=limits,
        sources=sources,
    )


def _domains(name: str, law: Law) -> int:
    if not isinstance(law, DataMixing):
        raise UnsuitableLawError(
            f"fits: the law of {name!r}, {law.name}, is not one of mixtures of data. Fit "
            "data-mixing-2 to data-mixing-5, by the number of domains."
        )
    return law.domains


def _weights(given: Mapping[str, float] | None, names: Sequence[str]) -> dict[str, float]:
    """Return weights that sum to one."""
    found = dict.fromkeys(names, 1.0) if given is None else _numbers("weights", given, names)
    if missing := [name for name in names if name not in found]:
        raise CardError(f"weights: found none for {', '.join(missing)}, expected one for each fit.")
    total = sum(found.values())
    if total <= 0.0:
        raise CardError("weights: found zero in all, expected a positive one.")
    return {name: found[name] / total for name in names}


def _limits(given: Mapping[str, float] | None, names: Sequence[str]) -> dict[str, float]:
    """Return the largest share of each domain."""
    found = dict.fromkeys(names, 1.0) | _numbers("most", given or {}, names)
    if above := [name for name in names if found[name] > 1.0]:
        raise CardError(
            f"most: found {found[above[0]]:g} for {above[0]!r}, expected a share of at most 1."
        )
    if sum(found.values()) < 1.0:
        raise CardError(
            f"most: the shares allowed are {sum(found.values()):g} in all, expected 1 or more."
        )
    return found


def _numbers(what: str, given: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    """Return non-negative numbers by name, or raise CardError."""
    for name, value in given.items():
        if name not in names:
            raise CardError(
                f"{what}: found {name!r}, expected one of {', '.join(names)}."
                f"{did_you_mean(str(name), names)}"
            )
        if not isinstance(value, int | float | np.number) or not 0.0 <= value < np.inf:
            raise CardError(f"{what}: found {value!r} for {name!r}, expected a number from 0.")
    return {name: float(value) for name, value in given.items()}


def _terms(sources: Mapping[str, Posterior], weights: Array) -> tuple[Array, Array]:
    """Return weights and logs of the reducible losses, by draw and text, and by domain too.

    Chains of one seed are correlated between fits, so that draws are paired at random.
    """
    several = max(source.n_draws for source in sources.values())
    numbers = range(1, max(len(source.law.inputs) for source in sources.values()) + 1)
    logs = []
    for place, source in enumerate(sources.values()):
        of_pieces = [
            [piece.parameters[f"b_{j}"].transpose("chain", "draw") for j in numbers]
            for piece in source.curve.pieces
        ]
        of_law = np.log(
            np.concatenate([np.stack([x.to_numpy().ravel() for x in p]) for p in of_pieces], axis=1)
        )
        rows = generator(source.seed, Stream.PAIRS, place).permutation(of_law.shape[1])
        logs.append(of_law[:, np.resize(rows, several)].T)
    return np.tile(weights, (several, 1)), np.stack(logs, axis=1)
