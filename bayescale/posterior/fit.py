"""Fit: a posterior with everything it came from, in memory and in one file."""

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayescale.backend.observed import Scale
from bayescale.data.levels import NEW, Levels, level_dim, with_coarser
from bayescale.data.netcdf import (
    draws_to_dataset,
    runs_facts,
    table_to_dataset,
    write_groups,
)
from bayescale.data.runs import Runs
from bayescale.errors import BayescaleWarning, CardError
from bayescale.laws import Law
from bayescale.model.card import Model
from bayescale.model.checks import Check, remark, verdict
from bayescale.model.discrepancy import SCALE
from bayescale.posterior.curve import Curve, Groups
from bayescale.posterior.diagnostics import (
    MEASURES,
    Diagnostics,
    describe_modes,
    describe_unfinished,
    diagnose_quantities,
    diagnose_sampling,
    lead_with_status,
)
from bayescale.posterior.gated import digest_of, gated_quantities, reported_quantities
from bayescale.posterior.summary import flag_failure, summarise

LEVELS = "levels"
"""Where the provenance in a file holds the levels that a fit is asked of."""


@dataclass(frozen=True, eq=False)
class Fit:
    """A posterior, with the model, the runs, the sampler's statistics and the provenance.

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
    _known: tuple[xr.Dataset | None, pd.DataFrame | None] = (None, None)

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

    def sel(self, **levels: object) -> "Fit":
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

    @cached_property
    def gates(self) -> Diagnostics:
        """The checks of convergence alone, over every reported quantity."""
        draws, table = self._known
        # A fit of other draws that was made of this one does not inherit what is known of these.
        return self._gated(table if draws is self._posterior else None)

    @cached_property
    def criticism(self) -> tuple[Check, ...]:
        """The checks of what the runs say of the model: their design, residuals, and the priors."""
        # By modules above this one, which need predictions.
        from bayescale.posterior.checking import checks_of

        return checks_of(self)

    @cached_property
    def diagnostics(self) -> Diagnostics:
        """All checks: those of convergence, and what the runs say of the model."""
        return replace(self.gates, checks=self.gates.checks + self.criticism)

    def gated(self, known: pd.DataFrame | None) -> "Fit":
        """Return the fit once its gates are looked at, given what is known of some quantities."""
        found = replace(self, _known=(self._posterior, known))
        found.gates  # noqa: B018, which is worked out once
        return found

    def _gated(self, known: pd.DataFrame | None) -> Diagnostics:
        sampler = self.provenance["sampler"]
        by_chance = sampler.get("kept_one_draw_in", 1) > 1
        made = self.provenance.get("all_draws")
        # Said of the draws that these were taken from, and of no others.
        if made and made["kept"] == digest_of(self._posterior):
            known, by_chance = pd.DataFrame(made["measures"]).set_index("quantity"), made["longest"]
        draws = gated_quantities(self.model, self.scale, self.runs, self._posterior, self.seed)
        quantities = diagnose_quantities(draws, known, by_chance=by_chance)
        ends = {name: (float(x.min()), float(x.max())) for name, x in self.inputs.items()}
        checks = [
            *diagnose_sampling(self.sample_stats),
            *(remark("law", said) for said in self.law.remarks(self.parameters, ends)),
            *quantities.checks,
        ]
        facts = self.provenance
        if "modes" in facts:
            said, won = describe_modes(facts["modes"], facts["modes_error"])
            status = verdict(failed=not won, remark=won)
            checks.insert(0, Check(name="modes", status=status, statistic=np.nan, sentence=said))
        if "unfinished" in facts:
            checks.insert(0, remark("unfinished", describe_unfinished(facts["unfinished"])))
        return Diagnostics(quantities.table, tuple(checks))

    def summary(self, prob: float = 0.9) -> pd.DataFrame:
        """Return medians and equal-tailed intervals of every reported quantity.

        Parameters
        ----------
        prob
            Probability inside the interval.

        Returns
        -------
        DataFrame
            Indexed by quantity: ``median``, ``lower``, ``upper``, ``sd``, ``meaning``, and the
            gates ``r_hat``, ``ess_bulk``, ``ess_tail``. If the fit failed its gates, the header
            of the table says so and a BayescaleWarning is given.
        """
        table = summarise(self.quantities, prob)
        meanings = {
            **self.law.derived_meanings,
            **{name: p.meaning for name, p in self.law.coordinates.items()},
            **{name: p.meaning for name, p in self.law.parameters.items()},
            **{
                name: meaning.format(response=self.law.response)
                for name, meaning in self.model.noise.meanings.items()
            },
            SCALE: "drift of the elasticities over one e-fold",
            **{name: words for e in self.model.effects for name, words in e.meanings.items()},
        }
        table["meaning"] = [meanings[str(name)] for name in table.index]
        # What a level makes of the parameters has not been gated under their names.
        gates = self.diagnostics if self._asked is self._posterior else self._level_gates
        return flag_failure(table.join(gates.table[list(MEASURES)]), self.diagnostics)

    @property
    def _level_gates(self) -> Diagnostics:
        return diagnose_quantities(self.quantities)

    # Other forms are made by a module above this one, which needs predictions: hence its import
    # when it is asked.
    def coefficients(self) -> dict[str, float]:
        """Return one set of the law's parameters, to paste into other tools.

        The medians of the coordinates at the centre of the runs (the loss there, its slopes, the
        exponents), turned into natural parameters. So they belong together: medians of A, alpha
        and E one by one do not, being ends of one ridge. They are one curve, without its
        uncertainty, and without the discrepancy where the model has one; decide from the draws.

        Returns
        -------
        dict
            Natural parameters by name, as `Law.evaluate` takes them.

        Examples
        --------
        >>> import bayescale as bs
        >>> fit = bs.fit("chinchilla", "chinchilla", seed=1, draws=500, progress=False)
        >>> found = fit.coefficients()
        >>> list(found), round(found["E"], 1)
        (['E', 'A', 'B', 'alpha', 'beta'], 1.8)
        """
        from bayescale.posterior.export import coefficients_of

        return coefficients_of(self)

    def to_dataframe(self) -> pd.DataFrame:
        """Return the draws of every reported quantity as a table, with ``chain`` and ``draw``."""
        from bayescale.posterior.export import draws_of

        return draws_of(self)

    def to_datatree(self) -> xr.DataTree:
        """Return the fit as the tree that ArviZ takes.

        Returns
        -------
        DataTree
            Groups ``posterior``, ``sample_stats``, ``log_likelihood`` of each run,
            ``observed_data`` and ``constant_data``. Likelihood and data are of the log of the
            response, as the noise is.
        """
        from bayescale.posterior.export import tree_of

        return tree_of(self)

    def save(self, path: str | Path) -> None:
        """Write the whole fit to one netCDF file, which `bayescale.load_fit` reads back.

        The file appears complete or not at all; an older one stays until then. A fit that is
        asked of a level (`sel`) is so when it is read back.
        """
        write_groups(
            path,
            {
                "posterior": draws_to_dataset(self._posterior),
                "sample_stats": self._sample_stats,
                "runs": table_to_dataset(self.runs.table),
            },
            {
                "model": self.model.to_dict(),
                "scale": asdict(self.scale),
                "runs": runs_facts(self.runs),
                "provenance": {**self.provenance, LEVELS: _stored(self.groups)},
            },
        )

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

    @property
    def headline(self) -> str:
        """Whether the fit may be believed if it may not, and what was fitted to what."""
        return lead_with_status(self.description, self.diagnostics)

    def __repr__(self) -> str:
        return f"<Fit {self.headline}>"

    def _repr_html_(self) -> str:
        from html import escape

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BayescaleWarning)  # the headline says it
            table = self.summary()
        return f"<p>{escape(self.headline)}</p>" + table.to_html(float_format="{:.4g}".format)


def _stored(groups: Groups) -> dict[str, str | float | None]:
    """Return levels as a file holds them; none at all is a new one."""
    return {
        column: None if level is NEW else level if isinstance(level, int | float) else str(level)
        for column, level in groups.items()
    }
