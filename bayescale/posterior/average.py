"""ModelAverage: the posterior of several laws, with draws in proportion to model weights."""

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
from bayescale.errors import CardError, UnsuitableLawError, expect_mapping, in_words
from bayescale.laws import Law
from bayescale.model.checks import Check
from bayescale.posterior.curve import Groups, MixedCurve
from bayescale.posterior.diagnostics import Diagnostics, with_status
from bayescale.posterior.fit import Fit
from bayescale.posterior.gated import without_index
from bayescale.posterior.shown import Shown
from bayescale.units import format_share

type Parts = Mapping[str, Fit]

_MINOR = 0.5
"""Total weight of laws with failed model checks above which the average fails."""


@dataclass(frozen=True, eq=False)
class ModelAverage(Shown):
    """A posterior averaged over laws, as returned by `model_average`.

    `bayescale.allocate`, `bayescale.decide`, `bayescale.predict`, `bayescale.requirements`,
    `bayescale.next_runs` and `bayescale.report` accept it in place of a fit. Its intervals
    include model uncertainty.

    Attributes
    ----------
    fits
        The fits, by name.
    weights
        Model weights, summing to one.
    parts
        The fits, thinned in proportion to their weights; those without draws are left out.
    """

    fits: Parts
    weights: "pd.Series[float]"
    parts: Parts

    @cached_property
    def curve(self) -> MixedCurve:
        """Draws of the response as a function of the inputs, with the laws concatenated."""
        return self.curve_of(None)

    def curve_of(self, groups: Groups | None, dim: str = "plan") -> MixedCurve:
        """Return the response as a function of the inputs, at levels of the grouping factors."""
        return MixedCurve({n: part.curve_of(groups, dim) for n, part in self.parts.items()})

    def pieces(self, seed: int | None = None) -> Iterator[tuple[Fit, slice, int]]:
        """Yield each part, the slice of its draws along ``draw``, and the seed of its noise.

        Seeds differ between parts, so that the noise of laws fitted with one seed is independent.
        """
        start = 0
        for place, part in enumerate(self.parts.values()):
            stop = start + part.posterior.sizes["draw"]
            own = part.seed if seed is None else seed
            yield part, slice(start, stop), seed_of(own, Stream.PARTS, place)
            start = stop

    def sel(self, **levels: object) -> "ModelAverage":
        """Select one level of each named grouping factor, which all laws have; see `Fit.sel`."""
        fits, parts = (
            MappingProxyType({name: fit.sel(**levels) for name, fit in found.items()})
            for found in (self.fits, self.parts)
        )
        return replace(self, fits=fits, parts=parts)

    def thin(self, most: int) -> "ModelAverage":
        """Return the average thinned to about `most` draws, with the same weights."""
        share = most / self.n_draws
        parts = {n: part.thin(math.ceil(share * part.n_draws)) for n, part in self.parts.items()}
        return replace(self, parts=MappingProxyType(parts))

    @property
    def is_point(self) -> bool:
        """Whether this is a point estimate, such as published constants: False."""
        return False

    @property
    def has_chains(self) -> bool:
        """Whether the draws form chains: False, since they are draws of several fits."""
        return False

    @property
    def seed(self) -> int:
        """The seed of the first fit, from which random numbers of answers are derived."""
        return self._first.seed

    @property
    def n_draws(self) -> int:
        """Number of draws, over all laws."""
        return sum(part.n_draws for part in self.parts.values())

    @property
    def law(self) -> Law:
        """The first law; all laws have the same inputs."""
        return self._first.law

    @property
    def runs(self) -> Runs:
        """The runs that all laws were fitted to."""
        return self._first.runs

    @property
    def inputs(self) -> dict[str, NDArray[np.float64]]:
        """The inputs of the laws at the fitted runs."""
        return self._first.inputs

    @property
    def columns(self) -> dict[str, str]:
        """The column of the runs for each input of the laws."""
        return self._first.columns

    @property
    def response(self) -> str:
        """The response, as a column of the runs."""
        return self._first.response

    @property
    def groupings(self) -> tuple[str, ...]:
        """The grouping factors that all laws have."""
        found = [part.groupings for part in self.parts.values()]
        return tuple(c for c in found[0] if all(c in other for other in found))

    @property
    def has_discrepancy(self) -> bool:
        """Whether every model has a discrepancy term."""
        return all(part.has_discrepancy for part in self.parts.values())

    @cached_property
    def diagnostics(self) -> Diagnostics:
        """The checks of each fit with a positive weight.

        Averaging presumes that no single law is right, so that failures of model checks are remarks
        if the failing laws have a minor total weight.
        """
        found = {name: self.fits[name].diagnostics for name in self.parts}
        table = pd.concat({name: d.table for name, d in found.items()})
        table.index = pd.Index([": ".join(map(str, key)) for key in table.index], name="quantity")
        checks = [
            replace(check, sentence=f"{name}: {check.sentence}")
            for name in self.parts
            for check in (*self.fits[name].gates.checks, *self._criticism(name))
        ]
        outweighed = [
            f"{n} ({format_share(self.weights[n], 3)} of the weight)" for n in self._minor
        ]
        said = f"the model checks of {in_words(outweighed)}" if outweighed else ""
        return Diagnostics(table, tuple(checks), said)

    def _criticism(self, name: str) -> list[Check]:
        """Return the model checks of one law, with failures as remarks if it is a minor one."""
        found = self.fits[name].criticism
        minor = name in self._minor
        return [replace(c, status="remark") if minor and c.failed else c for c in found]

    @cached_property
    def _minor(self) -> tuple[str, ...]:
        """The laws with failed model checks, if their total weight is minor."""
        refuted = [n for n in self.parts if any(c.failed for c in self.fits[n].criticism)]
        return tuple(refuted) if float(self.weights[refuted].sum()) <= _MINOR else ()

    @property
    def headline(self) -> str:
        """The description and the status, with the status first if a check failed."""
        return with_status(self.description, self.diagnostics)

    @property
    def description(self) -> str:
        """One line: the laws, their weights and the runs."""
        shares = ", ".join(f"{name} {format_share(w, 3)}" for name, w in self._sorted)
        return f"Average of laws ({shares}) on {len(self.runs)} runs of {self.runs.name}."

    @property
    def answering(self) -> str:
        """The description, preceded by the levels assumed for unspecified grouping factors."""
        said = dict.fromkeys(text for part in self.parts.values() for text in part.unnamed_levels)
        return " ".join([*said, self.description])

    def coefficients(self) -> dict[str, float]:
        """Raise UnsuitableLawError: each law has coefficients of its own."""
        raise UnsuitableLawError(
            "coefficients: found an average of laws, each of which has coefficients of its own; "
            "expected one of its fits."
        )

    def refuse_unknown_groups(self, groups: Groups) -> None:
        """Raise for a column that is no grouping factor of a law, or for an unknown level."""
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
    """Average the posteriors of several laws, to include model uncertainty in plans.

    Parameters
    ----------
    fits
        Fits of the same runs, by name. Their laws have the same inputs.
    weights
        Non-negative weights by name; missing ones are zero. The stacking weights of
        `bayescale.compare` (``comparison.weights``) optimise predictions at larger scales.

    Returns
    -------
    ModelAverage
        Accepted by `allocate`, `decide`, `predict`, `requirements` and `next_runs` in place of a
        fit. It has as many draws as the largest fit, allotted to the laws in proportion to their
        weights.

    Raises
    ------
    RunsError
        If the fits are not of the same runs.
    CardError
        If the laws do not take the same inputs.
    ValueError
        If weights are negative, sum to zero, or have names that are not among the fits.

    Notes
    -----
    Predictive distributions are averaged (Yao, Vehtari, Simpson and Gelman 2018,
    doi:10.1214/17-BA1091), not parameters, whose meaning differs between laws. Each draw belongs
    to one law and has its own optimum.

    Examples
    --------
    >>> import bayescale as bs
    >>> options = {"draws": 200, "seed": 1, "progress": False}
    >>> fits = {card: bs.fit("chinchilla", card, **options) for card in ("chinchilla", "kaplan-nd")}
    >>> both = bs.model_average(fits, {"chinchilla": 0.75, "kaplan-nd": 0.25})
    >>> plan = bs.allocate(both, budget="1e22")
    >>> plan.draws.sizes["draw"]
    800
    """
    expect_mapping(fits, "fits", "{'coupled': fit, 'chinchilla': other}", CardError)
    if not isinstance(weights, pd.Series):
        expect_mapping(weights, "weights", "{'coupled': 0.75, 'chinchilla': 0.25}", CardError)
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
    """Round amounts to integers of the same sum, by the largest-remainder method."""
    whole = np.floor(amounts).astype(int)
    missing = round(float(amounts.sum())) - int(whole.sum())
    whole[np.argsort(-(amounts - whole), kind="stable")[:missing]] += 1
    return [int(x) for x in whole]


def _thinned(fit: Fit, count: int, start: int) -> Fit:
    """Return a fit with `count` evenly spaced draws in one chain, numbered from `start`."""
    taken = np.round(np.linspace(0, fit.n_draws - 1, count)).astype(int)
    return with_draws(fit, taken, start)


def with_draws(fit: Fit, taken: NDArray[np.intp], start: int = 0) -> Fit:
    """Return a fit with some draws in one chain, numbered from `start`.

    Parameters
    ----------
    fit
        The fit.
    taken
        The draws to keep, counted over all chains, one chain after the other.
    start
        Number of the first.
    """
    draws = fit.posterior.sizes["draw"]
    where: dict[str, Any] = {
        "chain": xr.DataArray(taken // draws, dims="taken"),
        "draw": xr.DataArray(taken % draws, dims="taken"),
    }

    def some(dataset: xr.Dataset) -> xr.Dataset:
        found = without_index(dataset.isel(where))
        named = found.rename(taken="draw").assign_coords(draw=start + np.arange(len(taken)))
        return named.expand_dims(chain=[0]).transpose("chain", "draw", ...).copy(deep=True)

    return replace(fit, _posterior=some(fit.posterior), _sample_stats=some(fit.sample_stats))
