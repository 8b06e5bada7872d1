"""Fit: a posterior with everything it came from, in memory and in one file."""

import warnings
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from bayescale.data.levels import NEW
from bayescale.data.netcdf import (
    draws_to_dataset,
    runs_facts,
    table_to_dataset,
    write_groups,
)
from bayescale.errors import BayescaleWarning
from bayescale.model.checks import Check, remark, verdict
from bayescale.model.discrepancy import SCALE
from bayescale.posterior.checking import checks_of
from bayescale.posterior.convert import coefficients_of, draws_of, tree_of
from bayescale.posterior.curve import Groups
from bayescale.posterior.diagnostics import (
    MEASURES,
    Diagnostics,
    describe_modes,
    describe_unfinished,
    diagnose_quantities,
    diagnose_sampling,
    lead_with_status,
)
from bayescale.posterior.fitted import FittedModel
from bayescale.posterior.gated import digest_of, gated_quantities
from bayescale.posterior.summary import flag_failure, summarise

LEVELS = "levels"
"""Where the provenance in a file holds the levels that a fit is asked of."""


@dataclass(frozen=True, eq=False)
class Fit(FittedModel):
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

    _known: tuple[xr.Dataset | None, pd.DataFrame | None] = (None, None)

    @cached_property
    def gates(self) -> Diagnostics:
        """The checks of convergence alone, over every reported quantity."""
        draws, table = self._known
        # A fit of other draws that was made of this one does not inherit what is known of these.
        return self._gated(table if draws is self._posterior else None)

    @cached_property
    def criticism(self) -> tuple[Check, ...]:
        """The checks of what the runs say of the model: their design, residuals, and the priors."""
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
        return coefficients_of(self)

    def to_dataframe(self) -> pd.DataFrame:
        """Return the draws of every reported quantity as a table, with ``chain`` and ``draw``."""
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
