"""The draws of a fitted model, and the curves that they are."""

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
    """Draws of a model that was fitted to runs: the part of `bayescale.Fit` that predictions need.

    Attributes
    ----------
    model, runs, scale
        What was fitted, to what, and the centre of the runs.
    posterior
        Draws of the law's natural parameters, of its coordinates at the centre of the runs, and
        of the noise parameters; dims ``chain`` and ``draw``.
    sample_stats
        The sampler's statistics of each draw.
    provenance
        Seed, sampler settings, versions, seconds, fingerprint of the runs.
    groups
        Levels of columns that everything asked of the fit is of; see `sel`.
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
        """The draws; the dataset is a copy, its arrays are read-only."""
        return self._posterior.copy()

    @property
    def sample_stats(self) -> xr.Dataset:
        """The sampler's statistics; the dataset is a copy, its arrays are read-only."""
        return self._sample_stats.copy()

    @property
    def law(self) -> Law:
        """The law that was fitted."""
        return self.model.law

    @property
    def response(self) -> str:
        """What the law is a law of, as a column of the runs."""
        return self.law.response

    @property
    def columns(self) -> dict[str, str]:
        """The column of the runs that each input of the law is."""
        return self.model.columns

    @property
    def groupings(self) -> tuple[str, ...]:
        """The columns between whose levels parts of the law differ."""
        return self.model.groupings

    @property
    def has_discrepancy(self) -> bool:
        """Whether the law may be wrong beyond the runs: whether the model has a discrepancy."""
        return self.model.discrepancy is not None

    @property
    def is_point(self) -> bool:
        """Whether there is a single draw without uncertainty, as of published constants."""
        return False

    @property
    def seed(self) -> int:
        """The seed of the draws, and of the noise of predicted runs."""
        return int(self.provenance["sampler"]["seed"])

    @property
    def n_draws(self) -> int:
        """How many draws there are, over all chains."""
        return int(self._posterior.sizes["chain"] * self._posterior.sizes["draw"])

    @property
    def parameters(self) -> dict[str, xr.DataArray]:
        """Draws of the law's natural parameters, of the level that the fit is asked of.

        Where parameters differ between levels and the fit is asked of none, they are those that
        levels differ from.
        """
        return {name: self._asked[name] for name in self.law.parameters}

    @cached_property
    def _asked(self) -> xr.Dataset:
        """The draws; of the law, those of the level that the fit is asked of."""
        law = self.law
        apart = {effect.by for effect in self.model.effects if effect.of in law.parameters}
        if apart.isdisjoint(self.groups):
            return self._posterior
        natural = self.curve.parameters
        return self._posterior.assign(
            {**natural, **law.to_reference(natural, self.scale.reference)}
        )

    @cached_property
    def curve(self) -> Curve:
        """The response at any inputs, draw by draw: the law with its discrepancy.

        Where parameters differ between families, it is that of the family of `sel`, or of a new
        one.
        """
        return self.curve_of(None)

    def curve_of(self, groups: Groups | None, dim: str = "plan") -> Curve:
        """Return the response at any inputs, of given levels of columns.

        A level that was not fitted is a new one.
        """
        groups = {**self.groups, **(groups or {})}
        return Curve.of(self.model, self.scale, self._posterior, groups, dim=dim, seed=self.seed)

    def sel(self, **levels: object) -> Self:
        """Return the same fit, asked of one level of each named column from here on.

        Parameters
        ----------
        **levels
            By column by which the model groups runs: ``family="c4"``, or ``family=bs.NEW`` for a
            level that was not fitted, drawn from the distribution of levels.

        Raises
        ------
        CardError
            If the model does not group runs by such a column.
        UnknownNameError
            If a level was not fitted.

        Examples
        --------
        Of a model whose floor alone differs between families, which is fitted sooner than one of
        which everything does:

        >>> from dataclasses import replace
        >>> import bayescale as bs
        >>> pooled = bs.load_model("chinchilla-pooled")
        >>> floors = tuple(part for part in pooled.pooling if part.of == "E")
        >>> model = replace(pooled, id="floors", pooling=floors)
        >>> fit = bs.fit(model, "overtraining", seed=1, progress=False)
        >>> plan = bs.allocate(fit.sel(family="c4"), compute="1e22")
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
        """Return every k-th draw of each chain, about `most` draws in all.

        For figures and averages, never for the checks of convergence, which are of all draws.
        """
        step = math.ceil(self.n_draws / most)
        if step <= 1:
            return self
        some = {"draw": slice(None, None, step)}
        return replace(
            self, _posterior=self.posterior.isel(some), _sample_stats=self.sample_stats.isel(some)
        )

    def pieces(self, seed: int | None = None) -> "Iterator[tuple[FittedModel, slice, int]]":
        """Yield the one fit that there is, all of its draws, and the seed of its scatter."""
        yield self, slice(None), self.seed if seed is None else seed

    def levels(self, column: str) -> Levels:
        """Return the levels of a column that were fitted.

        Raises
        ------
        CardError
            If the model does not group runs by such a column.
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
        """Raise for a column by which the model does not group, or a level that was not fitted."""
        for column, values in groups.items():
            self.levels(column).refuse_unknown(values)

    @property
    def inputs(self) -> dict[str, NDArray[np.float64]]:
        """What the law was given: its inputs, one value a run."""
        return {name: self.runs.column(column) for name, column in self.model.columns.items()}

    @cached_property
    def quantities(self) -> xr.Dataset:
        """Draws of all that is reported: elasticities, exponents, parameters and noise.

        For a law of size and tokens, ``a`` and ``b`` are the exponents of N_opt and D_opt in
        compute, ``g`` that of the reducible loss. Those of the law are of the level that the fit
        is asked of (`sel`).
        """
        return reported_quantities(self.model, self._asked)

    @property
    def description(self) -> str:
        """One line: what was fitted to what."""
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
        """What answers rest on; first of which level they are, where none of several was named.

        The law of a level that is not named is that of a new one. Where the response alone
        differs, it is that of an average one.
        """
        return " ".join([*self.unnamed_levels, self.description])

    @property
    def unnamed_levels(self) -> tuple[str, ...]:
        """A sentence for each column that differs between its levels and of which none is named."""
        inputs, found = set(self.columns.values()), []
        for column in self.model.groupings:
            # The size of a plan is known.
            if column in self.groups or inputs & set(column.split("+")):
                continue
            parts = {effect.of for effect in self.model.effects_by(column)}
            new = not parts.isdisjoint(self.law.parameters)
            found.append(
                f"{'For a new' if new else 'For an average'} {column}, since none was named; "
                f"those that were fitted are {self.levels(column)}."
            )
        return tuple(found)
