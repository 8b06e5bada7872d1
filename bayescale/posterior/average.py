"""ModelAverage: the posterior of several laws at once, each with a share of the draws."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayescale._seeds import Stream, seed_of
from bayescale.data.runs import Runs
from bayescale.data.same_runs import check_same_runs
from bayescale.errors import CardError
from bayescale.laws import Law
from bayescale.model.checks import Check
from bayescale.posterior.curve import Groups, MixedCurve
from bayescale.posterior.diagnostics import Diagnostics
from bayescale.posterior.fit import Fit
from bayescale.units import format_share

type Parts = Mapping[str, Fit]

_MINOR = 0.5
"""An average fails where laws that the runs contradict have more than this share of it."""


@dataclass(frozen=True, eq=False)
class ModelAverage:
    """A posterior of several laws: draws of each in proportion to its weight, by `model_average`.

    `bayescale.allocate`, `bayescale.decide` and `bayescale.predict` take it as they take a fit:
    its intervals allow for not knowing which law holds.

    Attributes
    ----------
    fits
        The fits, by name.
    weights
        The weight of each; they sum to one.
    parts
        The fits thinned to their share of the draws, without those that have none.
    """

    fits: Parts
    weights: "pd.Series[float]"
    parts: Parts

    @cached_property
    def curve(self) -> MixedCurve:
        """The response at any inputs, draw by draw and law after law."""
        return self.curve_of(None)

    def curve_of(self, groups: Groups | None, dim: str = "plan") -> MixedCurve:
        """Return the response at any inputs, of given levels of columns."""
        return MixedCurve({n: part.curve_of(groups, dim) for n, part in self.parts.items()})

    def pieces(self, seed: int | None = None) -> Iterator[tuple[Fit, slice, int]]:
        """Yield each part, where its draws lie along ``draw``, and the seed of its scatter.

        Laws that were fitted with one seed do not have the same scatter.
        """
        start = 0
        for place, part in enumerate(self.parts.values()):
            stop = start + part.posterior.sizes["draw"]
            own = part.seed if seed is None else seed
            yield part, slice(start, stop), seed_of(own, Stream.PARTS, place)
            start = stop

    def thin(self, most: int) -> "ModelAverage":
        """Return the same average with about `most` draws, each law in its proportion."""
        share = most / self.n_draws
        parts = {n: part.thin(math.ceil(share * part.n_draws)) for n, part in self.parts.items()}
        return replace(self, parts=MappingProxyType(parts))

    @property
    def is_point(self) -> bool:
        """Whether there is a single draw without uncertainty, as of published constants."""
        return False

    @property
    def n_draws(self) -> int:
        """How many draws there are, of all laws."""
        return sum(part.n_draws for part in self.parts.values())

    @property
    def law(self) -> Law:
        """The first of the laws, whose inputs are those of all."""
        return self._first.law

    @property
    def runs(self) -> Runs:
        """The runs that all were fitted to."""
        return self._first.runs

    @property
    def inputs(self) -> dict[str, NDArray[np.float64]]:
        """What the laws were given: their inputs, one value a run."""
        return self._first.inputs

    @property
    def columns(self) -> dict[str, str]:
        """The column of the runs that each input of the laws is."""
        return self._first.columns

    @property
    def response(self) -> str:
        """What the laws are laws of."""
        return self._first.response

    @property
    def groupings(self) -> tuple[str, ...]:
        """The columns between whose levels all of the laws differ."""
        found = [part.groupings for part in self.parts.values()]
        return tuple(c for c in found[0] if all(c in other for other in found))

    @property
    def has_discrepancy(self) -> bool:
        """Whether each law may be wrong beyond the runs."""
        return all(part.has_discrepancy for part in self.parts.values())

    @cached_property
    def diagnostics(self) -> Diagnostics:
        """The checks of each fit that has a share."""
        found = {name: self.fits[name].diagnostics for name in self.parts}
        table = pd.concat({name: d.table for name, d in found.items()})
        table.index = pd.Index([": ".join(map(str, key)) for key in table.index], name="quantity")
        checks = [
            replace(check, sentence=f"{name}: {check.sentence}")
            for name in self.parts
            for check in (*self.fits[name].gates.checks, *self._criticism(name))
        ]
        return Diagnostics(table, tuple(checks))

    def _criticism(self, name: str) -> list[Check]:
        """Return what the runs say of one law.

        Laws are averaged because none of them holds: that the runs contradict some with a minor
        share deserves a remark.
        """
        refuted = [n for n in self.parts if any(c.failed for c in self.fits[n].criticism)]
        minor = float(self.weights[refuted].sum()) <= _MINOR
        found = self.fits[name].criticism
        return [replace(c, status="remark") if minor and c.failed else c for c in found]

    @property
    def description(self) -> str:
        """One line: which laws, with which weights, fitted to what."""
        shares = ", ".join(f"{name} {format_share(round(w, 3))}" for name, w in self._sorted)
        return f"Average of laws ({shares}) on {len(self.runs)} runs of {self.runs.name}."

    @property
    def answering(self) -> str:
        """What answers rest on; first of which level they are, where levels differ."""
        said = dict.fromkeys(text for part in self.parts.values() for text in part.unnamed_levels)
        return " ".join([*said, self.description])

    def refuse_unknown_groups(self, groups: Groups) -> None:
        """Raise for a column by which a law does not group, or a level that was not fitted."""
        for part in self.parts.values():
            part.refuse_unknown_groups(groups)

    @property
    def _sorted(self) -> list[tuple[str, float]]:
        return [(str(n), float(w)) for n, w in self.weights.sort_values(ascending=False).items()]

    @property
    def _first(self) -> Fit:
        return next(iter(self.parts.values()))

    def __repr__(self) -> str:
        return f"<ModelAverage {self.description}>"


def model_average(fits: Parts, weights: "Mapping[str, float] | pd.Series[float]") -> ModelAverage:
    """Average several laws, so that plans allow for not knowing which holds.

    Parameters
    ----------
    fits
        Fits of the same runs, by name: laws of the same inputs.
    weights
        The weight of each name, not negative; a name without one has none. Those of
        `bayescale.compare` (``comparison.weights``) are of how a mixture predicts larger scales.

    Returns
    -------
    ModelAverage
        What `allocate`, `decide` and `predict` take in place of a fit. It has as many draws as
        the largest of the fits, of each law in proportion to its weight.

    Raises
    ------
    RunsError
        If the fits are not of the same runs.
    CardError
        If the laws do not take the same inputs.
    ValueError
        If weights are negative, sum to nothing, or are of names that are no fits.

    Notes
    -----
    Each draw keeps its own law, so that each has its own optimum: it is the predictive
    distributions that are averaged (Yao, Vehtari, Simpson and Gelman 2018,
    doi:10.1214/17-BA1091), never parameters, which mean different things in different laws.

    Examples
    --------
    >>> import bayescale as bs
    >>> options = {"draws": 200, "seed": 1, "progress": False}
    >>> fits = {card: bs.fit(card, **options) for card in ("chinchilla", "kaplan-nd")}
    >>> both = bs.model_average(fits, {"chinchilla": 0.75, "kaplan-nd": 0.25})
    >>> plan = bs.allocate(both, compute="1e22")
    >>> plan.draws.sizes["draw"]
    800
    """
    given = {str(name): float(weight) for name, weight in weights.items()}
    unknown = [name for name in given if name not in fits]
    if unknown:
        raise ValueError(f"weights: found {', '.join(unknown)}, expected {', '.join(fits)}.")
    values = np.array([given.get(name, 0.0) for name in fits])
    if not (np.isfinite(values).all() and (values >= 0.0).all() and values.sum() > 0.0):
        raise ValueError(
            f"weights: found {values.tolist()}, expected numbers that are not negative and not all "
            "zero."
        )
    check_same_runs({name: fit.runs for name, fit in fits.items()})
    kinds = {name: fit.columns for name, fit in fits.items()}
    first = next(iter(kinds))
    for name, columns in kinds.items():
        if columns != kinds[first]:
            raise CardError(
                f"{first} is a law of {', '.join(kinds[first].values())}, {name} one of "
                f"{', '.join(columns.values())}. Average laws of the same inputs only."
            )
    share = values / values.sum()
    total = max(fit.posterior.sizes["chain"] * fit.posterior.sizes["draw"] for fit in fits.values())
    counts = _whole_numbers(share * total)
    starts = np.cumsum([0, *counts])
    parts = {
        name: _thinned(fit, count, int(start))
        for (name, fit), count, start in zip(fits.items(), counts, starts, strict=False)
        if count
    }
    return ModelAverage(
        fits=MappingProxyType(dict(fits)),
        weights=pd.Series(share, index=pd.Index(list(fits), name="model"), name="weight"),
        parts=MappingProxyType(parts),
    )


def _whole_numbers(amounts: NDArray[np.float64]) -> list[int]:
    """Round amounts so that their sum stays, by the largest remainders."""
    whole = np.floor(amounts).astype(int)
    missing = round(float(amounts.sum())) - int(whole.sum())
    whole[np.argsort(-(amounts - whole), kind="stable")[:missing]] += 1
    return [int(x) for x in whole]


def _thinned(fit: Fit, count: int, start: int) -> Fit:
    """Return a fit with so many of its draws, evenly taken, numbered on from a start."""
    chains, draws = (fit.posterior.sizes[dim] for dim in ("chain", "draw"))
    taken = np.round(np.linspace(0, chains * draws - 1, count)).astype(int)
    where: dict[str, Any] = {
        "chain": xr.DataArray(taken // draws, dims="taken"),
        "draw": xr.DataArray(taken % draws, dims="taken"),
    }

    def thin(dataset: xr.Dataset) -> xr.Dataset:
        found = dataset.isel(where).drop_vars(["chain", "draw"], errors="ignore")
        named = found.rename(taken="draw").assign_coords(draw=start + np.arange(count))
        return named.expand_dims(chain=[0]).transpose("chain", "draw", ...).copy(deep=True)

    return replace(fit, _posterior=thin(fit.posterior), _sample_stats=thin(fit.sample_stats))
