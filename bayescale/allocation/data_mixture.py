"""data_mixture: the mixture of domains with the lowest weighted loss on validation texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayescale._seeds import Stream, generator
from bayescale.allocation.mixture_terms import (
    domain_names,
    limits_of_shares,
    shares_of_runs,
    unit_of_losses,
    weights_of,
)
from bayescale.allocation.simplex import evened, least_mixture, mixture_loss
from bayescale.errors import CardError, in_words
from bayescale.laws.mixing import DataMixing
from bayescale.posterior.diagnostics import Diagnostics, with_status
from bayescale.posterior.point import Source, as_posterior
from bayescale.posterior.protocol import Posterior
from bayescale.posterior.result import Result
from bayescale.posterior.summary import flag_failure, interval_columns
from bayescale.units import format_number, format_share

type Array = NDArray[np.float64]

_SAME = 0.005
"""Shares and differences below this are described as zero."""


_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False, repr=False)
class DataMixture(Result):
    """A recommended mixture of training data, and the posterior of the optimal mixture.

    Attributes
    ----------
    draws
        Draws of the optimal share of each domain, with dims ``chain``, ``draw`` and ``domain``.
    recommended
        The mixture that minimises the expected loss, by domain; shares that sum to one.
    regret
        Draws of the weighted loss of the recommended mixture minus the minimum, in the unit of the
        loss, with dims ``chain`` and ``draw``; and the same for equal shares, or shares as equal
        as the limits allow, ``regret_equal``.
    weights
        The weight of each validation text, summing to one.
    most
        The largest share allowed for each domain.
    sources
        The posterior of the loss on each validation text.
    unit
        The unit of the losses.
    run
        The smallest and the largest share of each domain in the runs, ``least`` and ``greatest``.
    """

    draws: xr.DataArray
    recommended: "pd.Series[float]"
    regret: xr.DataArray
    regret_equal: xr.DataArray
    weights: Mapping[str, float]
    most: Mapping[str, float]
    sources: Mapping[str, Posterior]
    unit: str
    run: pd.DataFrame

    @cached_property
    def diagnostics(self) -> Diagnostics | None:
        """Diagnostics of the fits; None for constants."""
        found = {name: s.diagnostics for name, s in self.sources.items() if s.diagnostics}
        named = (diagnostics.named(name) for name, diagnostics in found.items())
        return reduce(Diagnostics.join, named) if found else None

    @property
    def headline(self) -> str:
        """The weights of the validation texts and their posteriors, with failed checks first."""
        counted = [
            f"{name} ({format_share(weight, 2)})" if len(self.weights) > 1 else name
            for name, weight in self.weights.items()
        ]
        said = f"Mixture of data for {', '.join(counted)}. " + " ".join(
            dict.fromkeys(source.answering for source in self.sources.values())
        )
        return with_status(said, self.diagnostics) if self.diagnostics else said

    @cached_property
    def expected_regret(self) -> float:
        """Expected loss of the recommended mixture minus that of each draw's optimal mixture."""
        return float(self.regret.mean())

    @cached_property
    def p_better(self) -> float:
        """Probability that the loss of the recommended mixture is below that of equal shares."""
        return float((self.regret < self.regret_equal).mean())

    @property
    def sentences(self) -> tuple[str, ...]:
        """The recommended mixture, and its expected regret."""
        shares = ", ".join(
            f"{format_share(share, 2)} {name}"
            for name, share in self.recommended.items()
            if share >= _SAME
        )
        regret = f"its expected regret is {format_number(self.expected_regret)} {self.unit}"
        if float(np.abs(self.regret_equal - self.regret).max()) < _ROUNDING:
            return (f"Train on {shares}: {regret}.",)
        equal = format_number(float(self.regret_equal.mean()))
        limited = min(self.most.values()) < 1.0 / len(self.most)
        others = "shares as equal as is allowed" if limited else "equal shares"
        found = f"Train on {shares}: {regret}, that of {others} {equal}."
        if all(source.is_point for source in self.sources.values()):
            return (found,)
        return (
            found,
            f"Its loss is below theirs with probability {format_share(self.p_better, 2)}.",
        )

    @property
    def caveats(self) -> tuple[str, ...]:
        """The assumptions of the recommendation."""
        found = [DataMixing.caveat]
        if len(self.weights) == 1:
            found.append(
                "For one validation text the optimum is at a corner, all of one domain or as much "
                "of it as is allowed: give the losses on every text that matters."
            )
        bound = [
            n for n, most in self.most.items() if most < 1 and self.recommended[n] > most - 1e-3
        ]
        if bound:
            found.append(f"The share of {', '.join(bound)} is at the largest that is allowed.")
        outside = [
            f"{name} ({format_share(share, 2)}, "
            f"runs {format_share(least, 2)} to {format_share(greatest, 2)})"
            for (name, share), (least, greatest) in zip(
                self.recommended.items(), self.run[["least", "greatest"]].to_numpy(), strict=True
            )
            if not least - _SAME < share < greatest + _SAME
        ]
        if outside:
            found.append(
                f"Outside the shares of the runs are {in_words(outside)}: there the loss depends "
                "on the form of the law."
            )
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
            "{} [{}, {}]".format(
                *(format_share(x, 2) for x in row[["share", "share_lower", "share_upper"]])
            )
            for _, row in found.iterrows()
        ]
        recommended = [format_share(share, 2) for share in self.recommended]
        return pd.DataFrame({"recommended": recommended, "optimum": optimal}, index=found.index)


def data_mixture(
    fits: Source | Mapping[str, Source],
    *,
    domains: Sequence[str] | None = None,
    weights: Mapping[str, float] | None = None,
    most: Mapping[str, float] | None = None,
) -> DataMixture:
    """Return the mixture of domains that minimises the expected weighted loss on validation texts.

    Parameters
    ----------
    fits
        For each validation text by name, a fit of a law ``data-mixing-2`` to ``data-mixing-5`` to
        the losses on it, all of the same domains; or one such fit. Draws of different fits are
        independent.
    domains
        Names of the domains, in the order of the inputs of the first fit; the columns that they
        were read from unless given. Fits that read them in another order are matched by column.
    weights
        Weight of each validation text; equal unless given.
    most
        The largest share allowed for a domain, for example because its tokens are limited.

    Returns
    -------
    DataMixture
        The recommended mixture, its expected regret, and draws of the optimal shares.

    Raises
    ------
    UnsuitableLawError
        If a law is not one of mixtures, or the fits are not of the same domains, or not in one
        unit of loss.
    CardError
        If a name is unknown, a weight is negative, or the shares allowed are less than one in all.

    Notes
    -----
    The weighted loss, sum_i w_i (c_i + exp(sum_j r_j ln b_ij)), is convex in the shares r, so that
    every draw has one minimum on the simplex. The expected loss is convex too, and the recommended
    mixture minimises it.

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
    names, order = domain_names(sources, domains)
    unit = unit_of_losses(sources)
    shares = weights_of(weights, tuple(sources))
    limits = limits_of_shares(most, names)
    counted, logs = _terms(sources, order, np.array([shares[name] for name in sources]))
    bounds = np.array([limits[name] for name in names])
    own = least_mixture(counted, logs, bounds)
    least = mixture_loss(counted, logs, own)
    mean = (counted.reshape(1, -1) / len(counted), logs.reshape(1, -1, len(names)))
    best = least_mixture(*mean, bounds)[0]
    regret, of_equal = (
        xr.DataArray((mixture_loss(counted, logs, at) - least)[None], dims=("chain", "draw"))
        for at in (best, evened(bounds))
    )
    least_run, greatest_run = shares_of_runs(sources, order)
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
        unit=unit,
        run=pd.DataFrame(
            {"least": least_run, "greatest": greatest_run}, pd.Index(names, name="domain")
        ),
    )


def _terms(
    sources: Mapping[str, Posterior], order: Mapping[str, list[int]], weights: Array
) -> tuple[Array, Array]:
    """Return weights by draw and text, and logs of the reducible losses by draw, text and domain.

    Chains of one seed are correlated between fits, so that draws are paired at random.
    """
    several = max(source.n_draws for source in sources.values())
    logs = []
    for place, (name, source) in enumerate(sources.items()):
        of_pieces = [
            [piece.parameters[f"b_{j + 1}"].transpose("chain", "draw") for j in order[name]]
            for piece in source.curve.pieces
        ]
        of_law = np.log(
            np.concatenate([np.stack([x.to_numpy().ravel() for x in p]) for p in of_pieces], axis=1)
        )
        rows = generator(source.seed, Stream.PAIRS, place).permutation(of_law.shape[1])
        logs.append(of_law[:, np.resize(rows, several)].T)
    return np.tile(weights, (several, 1)), np.stack(logs, axis=1)
