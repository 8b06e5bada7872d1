"""FittedModel: posterior draws of a model, and curves of the response."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayescale.backend.observed import Scale
from bayescale.data.levels import NEW, Levels, level_dim, with_coarser
from bayescale.data.runs import Runs
from bayescale.errors import CardError
from bayescale.laws import Law
from bayescale.model.card import Model
from bayescale.posterior.curve import Curve, Groups
from bayescale.posterior.gated import reported_quantities


@dataclass(frozen=True, eq=False)
class FittedModel:
    """Posterior draws of a fitted model: the base of `bayescale.Fit` that predictions need.

    Attributes
    ----------
    model, runs, scale
        The model, the runs it was fitted to, and their centre.
    posterior
        Draws of the law's natural parameters, of its coordinates at the centre of the runs, and
        of the noise parameters, with dims ``chain`` and ``draw``.
    sample_stats
        The sampler's statistics of each draw.
    provenance
        Seed, sampler settings, versions, seconds, fingerprint of the runs.
    groups
        Selected levels of the grouping factors; see `sel`.
    """

    model: Model
    runs: Runs
    scale: Scale
    _posterior: xr.Dataset
    _sample_stats: xr.Dataset
    provenance: Mapping[str, Any]
    groups: Groups = MappingProxyType({})

    def __post_init__(self) -> None:
        for dataset in (self._posterior, self._sample_stats):
            for variable in dataset.variables.values():
                variable.to_numpy().flags.writeable = False
        object.__setattr__(self, "provenance", MappingProxyType(dict(self.provenance)))

    @property
    def posterior(self) -> xr.Dataset:
        """The posterior draws, as a copy with read-only arrays."""
        return self._posterior.copy()

    @property
    def sample_stats(self) -> xr.Dataset:
        """The sampler's statistics, as a copy with read-only arrays."""
        return self._sample_stats.copy()

    @property
    def law(self) -> Law:
        """The law that was fitted."""
        return self.model.law

    @property
    def response(self) -> str:
        """The response, as a column of the runs."""
        return self.law.response

    @property
    def columns(self) -> dict[str, str]:
        """The column of the runs for each input of the law."""
        return self.model.columns

    @property
    def groupings(self) -> tuple[str, ...]:
        """The grouping factors of the model."""
        return self.model.groupings

    @property
    def has_discrepancy(self) -> bool:
        """Whether the model has a discrepancy term."""
        return self.model.discrepancy is not None

    @property
    def is_point(self) -> bool:
        """Whether this is a point estimate, such as published constants: False."""
        return False

    @property
    def fits(self) -> Mapping[str, Self]:
        """The fit itself, by the id of its model."""
        return {self.model.id: self}

    @property
    def has_chains(self) -> bool:
        """Whether the draws form chains, from which R-hat and ESS are computed: True."""
        return True

    @property
    def seed(self) -> int:
        """Seed of the draws, and of the noise of predicted runs."""
        return int(self.provenance["sampler"]["seed"])

    @property
    def n_draws(self) -> int:
        """Number of draws, over all chains."""
        return int(self._posterior.sizes["chain"] * self._posterior.sizes["draw"])

    @property
    def parameters(self) -> dict[str, xr.DataArray]:
        """Draws of the law's natural parameters, at the selected levels (`sel`).

        Without a selection they are the population parameters.
        """
        return {name: self._selected[name] for name in self.law.parameters}

    @cached_property
    def _selected(self) -> xr.Dataset:
        """The draws, with the law's parameters and coordinates at the selected levels."""
        law = self.law
        apart = {effect.over for effect in self.model.effects if effect.of in law.parameters}
        if apart.isdisjoint(self.groups):
            return self._posterior
        natural = self.curve.parameters
        return self._posterior.assign(
            {**natural, **law.to_reference(natural, self.scale.reference)}
        )

    @cached_property
    def curve(self) -> Curve:
        """Draws of the response as a function of the inputs: the law and its discrepancy.

        Parameters that vary between levels are those of the selected level (`sel`), or else of a
        new one.
        """
        return self.curve_of(None)

    def curve_of(self, groups: Groups | None, dim: str = "plan") -> Curve:
        """Return the response as a function of the inputs, at levels of the grouping factors.

        Effects of unseen levels are drawn from their population distribution.
        """
        groups = {**self.groups, **(groups or {})}
        return Curve.of(self.model, self.scale, self._posterior, groups, dim=dim, seed=self.seed)

    def sel(self, **levels: object) -> Self:
        """Select one level of each named grouping factor.

        Parameters
        ----------
        **levels
            Levels by grouping factor: ``family="c4"``, or ``family=bs.NEW`` for an unseen level,
            drawn from the population distribution.

        Raises
        ------
        CardError
            If the model has no such grouping factor.
        UnknownNameError
            If a level was not fitted.

        Examples
        --------
        With a model in which only the floor varies between families, which is faster to fit:

        >>> from dataclasses import replace
        >>> import bayescale as bs
        >>> pooled = bs.load_model("chinchilla-pooled")
        >>> floors = tuple(part for part in pooled.pooling if part.of == "E")
        >>> model = replace(pooled, id="floors", pooling=floors)
        >>> fit = bs.fit("overtraining", model, seed=1, progress=False)
        >>> plan = bs.allocate(fit.sel(family="c4"), budget="1e22")
        >>> bool(plan.draws["n_opt"].median() > 1e9)
        True
        """
        for column, level in levels.items():
            if np.ndim(level):  # type: ignore[arg-type]
                raise CardError(f"sel: found several levels of {column}, expected one.")
        self.refuse_unknown_groups(levels)
        levels = with_coarser(levels, self.model.groupings)
        return replace(self, groups={**self.groups, **levels})

    def thin(self, most: int) -> Self:
        """Return the fit thinned to about `most` draws, by keeping every k-th draw of each chain.

        For figures and averages, not for convergence checks, which use all draws.
        """
        step = math.ceil(self.n_draws / most)
        if step <= 1:
            return self
        some = {"draw": slice(None, None, step)}
        return replace(
            self, _posterior=self.posterior.isel(some), _sample_stats=self.sample_stats.isel(some)
        )

    def pieces(self, seed: int | None = None) -> "Iterator[tuple[FittedModel, slice, int]]":
        """Yield the fit itself, the slice of all draws, and the seed of its noise."""
        yield self, slice(None), self.seed if seed is None else seed

    def levels(self, column: str) -> Levels:
        """Return the fitted levels of a grouping factor.

        Raises
        ------
        CardError
            If the model has no such grouping factor.
        """
        known = self.model.groupings
        if column not in known:
            raise CardError(
                f"groups: found {column!r}, expected one of the columns by which "
                f"{self.model.id} groups runs: {', '.join(known) or 'none'}."
            )
        effect = self.model.effects_by(column)[0].effect
        return Levels(column, self._posterior[effect][level_dim(column)].to_numpy())

    def refuse_unknown_groups(self, groups: Groups) -> None:
        """Raise for a column that is no grouping factor, or for an unknown level."""
        for column, values in groups.items():
            self.levels(column).refuse_unknown(values)

    @property
    def inputs(self) -> dict[str, NDArray[np.float64]]:
        """The inputs of the law at the fitted runs."""
        return {name: self.runs.column(column) for name, column in self.model.columns.items()}

    @cached_property
    def quantities(self) -> xr.Dataset:
        """Draws of all reported quantities: elasticities, exponents, parameters and noise.

        For a law of size and tokens, ``a`` and ``b`` are the exponents of N_opt and D_opt in
        compute, ``g`` that of the reducible loss. Quantities of the law are those of the selected
        levels (`sel`).
        """
        return reported_quantities(self.model, self._selected)

    @property
    def description(self) -> str:
        """One line: the law, its card, the runs and the numbers of draws."""
        levels = "".join(
            f", of a new {column}" if level is NEW else f", of {column} {level}"
            for column, level in self.groups.items()
        )
        return (
            f"{self.law.name} law ({self.model.id} card{levels}) on {len(self.runs)} runs of "
            f"{self.runs.name}, {self.posterior.sizes['chain']} chains of "
            f"{self.posterior.sizes['draw']} draws."
        )

    @property
    def answering(self) -> str:
        """The description, preceded by the levels assumed for unspecified grouping factors.

        These are a new level if parameters of the law vary between levels, and an average level if
        only the response does.
        """
        return " ".join([*self.unnamed_levels, self.description])

    @property
    def unnamed_levels(self) -> tuple[str, ...]:
        """One sentence per unspecified grouping factor, on the level that is assumed."""
        inputs, found = set(self.columns.values()), []
        for column in self.model.groupings:
            # Levels of an input, such as sizes, are known for every plan.
            if column in self.groups or inputs & set(column.split("+")):
                continue
            parts = {effect.of for effect in self.model.effects_by(column)}
            new = not parts.isdisjoint(self.law.parameters)
            found.append(
                f"{'For a new' if new else 'For an average'} {column}, since none was named; "
                f"those that were fitted are {self.levels(column)}."
            )
        return tuple(found)
