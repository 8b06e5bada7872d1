"""Fit: a posterior with its model, runs, diagnostics and provenance, and its file format."""

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
from bayescale.errors import BayescaleWarning, UnsuitableLawError
from bayescale.model.checks import Check, remark, verdict
from bayescale.model.discrepancy import MEANINGS
from bayescale.model.priors import LogNormal
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
    with_status,
)
from bayescale.posterior.fitted import FittedModel
from bayescale.posterior.gated import digest_of, gated_quantities
from bayescale.posterior.named_domains import with_domains
from bayescale.posterior.shown import Shown
from bayescale.posterior.summary import flag_failure, summarise

LEVELS = "levels"
"""Key of the selected levels in the provenance of a file."""


@dataclass(frozen=True, eq=False)
class Fit(FittedModel, Shown):
    """A posterior, with its model, runs, sampler statistics and provenance.

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

    _known: tuple[xr.Dataset | None, pd.DataFrame | None] = (None, None)

    @cached_property
    def gates(self) -> Diagnostics:
        """The convergence checks of all reported quantities."""
        draws, table = self._known
        # Diagnostics that are already known are valid for the same draws only.
        return self._gated(table if draws is self._posterior else None)

    @cached_property
    def criticism(self) -> tuple[Check, ...]:
        """The model checks: design, residuals, priors and contraction."""
        return checks_of(self)

    @cached_property
    def diagnostics(self) -> Diagnostics:
        """All checks: convergence, then model checks."""
        return replace(self.gates, checks=self.gates.checks + self.criticism)

    def gated(self, known: pd.DataFrame | None) -> "Fit":
        """Return the fit with its gates computed, given known diagnostics of some quantities."""
        found = replace(self, _known=(self._posterior, known))
        found.gates  # noqa: B018 (a cached property)
        return found

    def _gated(self, known: pd.DataFrame | None) -> Diagnostics:
        sampler = self.provenance["sampler"]
        by_chance = sampler.get("kept_one_draw_in", 1) > 1
        made = self.provenance.get("all_draws")
        # Diagnostics before thinning are valid only for the thinned draws they were stored with.
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

    def floor_prior(self, *, widen: float = 1.0, why: str = "") -> LogNormal:
        """Return the posterior of the floor as a prior for other runs on the same evaluation set.

        Parameters
        ----------
        widen
            Factor on the standard deviation of its log, for differences between the sweeps.
        why
            The reason, as in every prior; it names this fit unless given.

        Returns
        -------
        LogNormal
            With the mean and the standard deviation of the log of the posterior, at the selected
            levels (`sel`). State it as ``replace(model, floor=...)``.

        Raises
        ------
        UnsuitableLawError
            If the law has no floor.
        ValueError
            If `widen` is not a positive number.

        Examples
        --------
        >>> import bayescale as bs
        >>> from dataclasses import replace
        >>> fit = bs.fit("chinchilla", "chinchilla", seed=1, progress=False)
        >>> prior = fit.floor_prior(widen=2)
        >>> 1.75 < prior.median < 1.87
        True
        >>> model = replace(bs.load_model("coupled"), floor=prior)
        """
        if not self.law.floor:
            raise UnsuitableLawError(
                f"floor_prior: found a fit of {self.law.name}, expected one of a law with a floor."
            )
        if not 0.0 < widen < np.inf:
            raise ValueError(f"widen: found {widen!r}, expected a positive number.")
        if not self.gates.ok:
            warnings.warn(self.gates.status, BayescaleWarning, stacklevel=2)
        logs = np.log(self.parameters[self.law.floor].to_numpy())
        wider = f", {widen:g} times as wide" if widen != 1.0 else ""
        return LogNormal(
            median=float(np.exp(logs.mean())),
            log_sd=float(widen * logs.std()),
            why=why or f"the posterior of {self.model.id} on {self.runs.name}{wider}",
        )

    def summary(self, prob: float = 0.9) -> pd.DataFrame:
        """Return posterior medians and equal-tailed intervals of all reported quantities.

        Parameters
        ----------
        prob
            Probability of the interval.

        Returns
        -------
        DataFrame
            Indexed by quantity: ``median``, ``lower``, ``upper``, ``sd``, ``meaning``, and the
            diagnostics ``r_hat``, ``ess_bulk``, ``ess_tail``. If the fit failed its gates, the
            header of the table says so and a BayescaleWarning is issued.
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
            **MEANINGS,
            **{name: words for e in self.model.effects for name, words in e.meanings.items()},
        }
        table["meaning"] = [with_domains(meanings[str(name)], self.runs) for name in table.index]
        # Parameters of a selected level need diagnostics of their own.
        gates = self.diagnostics if self._selected is self._posterior else self._level_gates
        return flag_failure(table.join(gates.table[list(MEASURES)]), self.diagnostics)

    @property
    def _level_gates(self) -> Diagnostics:
        return diagnose_quantities(self.quantities)

    def coefficients(self) -> dict[str, float]:
        """Return a point estimate of the law's natural parameters, for use in other tools.

        The posterior medians of the coordinates at the centre of the runs (loss, elasticities and
        exponents), transformed to natural parameters. Marginal medians of A, alpha and E would not
        be consistent, since these are strongly correlated. The estimate excludes uncertainty and
        the discrepancy term; use the draws for decisions.

        Returns
        -------
        dict
            Natural parameters by name, as accepted by `Law.evaluate`.

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
        """Return the draws of all reported quantities, with columns ``chain`` and ``draw``."""
        return draws_of(self)

    def to_datatree(self) -> xr.DataTree:
        """Return the fit as a DataTree for ArviZ.

        Returns
        -------
        DataTree
            Groups ``posterior``, ``sample_stats``, ``log_likelihood`` (pointwise),
            ``observed_data`` and ``constant_data``. Likelihood and observed data refer to the log
            response.
        """
        return tree_of(self)

    def save(self, path: str | Path) -> None:
        """Write the fit to a netCDF file, which `bayescale.load_fit` reads.

        The file is replaced atomically. Selected levels (`sel`) are stored too.
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
        """The description and the status, with the status first if a check failed."""
        return with_status(self.description, self.diagnostics)

    def __repr__(self) -> str:
        return f"<Fit {self.headline}>"


def _stored(groups: Groups) -> dict[str, str | float | None]:
    """Return levels in serialisable form, with None for a new level."""
    return {
        column: None if level is NEW else level if isinstance(level, int | float) else str(level)
        for column, level in groups.items()
    }
