"""token_quality: the number of baseline tokens that one token of another corpus replaces."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayescale.allocation.speedup import levels_of
from bayescale.errors import UnknownNameError, UnsuitableLawError, as_list, did_you_mean
from bayescale.posterior.diagnostics import Diagnostics, diagnose_quantities, with_status
from bayescale.posterior.fit import Fit
from bayescale.posterior.protocol import Posterior
from bayescale.posterior.result import Result
from bayescale.posterior.summary import flag_failure, interval_columns
from bayescale.units import format_number

_TERM, _EXPONENT = "B", "beta"
"""The data term and its exponent: in laws that have both, tokens enter through B D^-beta alone."""

_SURE = 0.95
"""Probability above which one of two corpora is called better."""

_LEARNT = 0.7
"""Ratio of posterior to prior standard deviation above which a quality is weakly identified."""


@dataclass(frozen=True, eq=False, repr=False)
class TokenQuality(Result):
    """The number of baseline tokens that one token of each corpus replaces, with uncertainty.

    Attributes
    ----------
    draws
        Draws of the quality, with dims ``chain``, ``draw`` and ``corpus``: the number of baseline
        tokens that one token of the corpus replaces, at every size and number of tokens.
    fit
        The fit.
    by
        The grouping factor of which the corpora are levels.
    baseline
        The corpus of which a token counts as one.
    """

    draws: xr.DataArray
    fit: Fit
    by: str
    baseline: str

    @property
    def corpora(self) -> tuple[str, ...]:
        """The corpora that are compared with the baseline."""
        return tuple(map(str, self.draws["corpus"].to_numpy()))

    @property
    def p_better(self) -> "pd.Series[float]":
        """Probability that the quality is above one, by corpus."""
        share = (self.draws > 1.0).mean(("chain", "draw")).to_numpy()
        return pd.Series(share, index=pd.Index(self.corpora, name="corpus"))

    @cached_property
    def diagnostics(self) -> Diagnostics:
        """Diagnostics of the fit and of every quality."""
        named = {
            f"quality of {name}": self.draws.sel(corpus=name, drop=True) for name in self.corpora
        }
        return self.fit.diagnostics.join(diagnose_quantities(xr.Dataset(named)))

    @property
    def sd_ratio(self) -> "pd.Series[float]":
        """Standard deviation of the log quality over that of its prior, by corpus.

        The prior is that of the difference of two levels, at the posterior exponent.
        """
        beta = _parameters(self.fit)[_EXPONENT]
        (effect,) = (e for e in self.fit.model.effects if e.of == _TERM and e.over == self.by)
        prior = np.sqrt(2.0) * effect.typical_sd / float(beta.median())
        drawn = self.draws.transpose("chain", "draw", "corpus").to_numpy()
        own = np.log(drawn).std(axis=(0, 1))
        return pd.Series(own / prior, index=pd.Index(self.corpora, name="corpus"))

    @property
    def headline(self) -> str:
        """What is compared, from which posterior, with failed checks first."""
        said = f"Quality of tokens over those of {self.baseline}, by {self.by}. "
        return with_status(said + self.fit.description, self.diagnostics)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The quality of every corpus."""
        table, found = interval_columns(self.draws.to_dataset(name="quality"), 0.9, "corpus"), []
        for name, p in zip(self.corpora, self.p_better, strict=True):
            row: Any = table.loc[name]
            middle, low, high = (
                format_number(float(row[f"quality{end}"])) for end in ("", "_lower", "_upper")
            )
            said = (
                "" if max(p, 1.0 - p) >= _SURE else ", so that it is not yet known which is better"
            )
            found.append(
                f"A token of {name} is worth {middle} [{low}, {high}] tokens of {self.baseline}; "
                f"it is worth more than one with probability {p:.2f}{said}."
            )
        return tuple(found)

    @property
    def caveats(self) -> tuple[str, ...]:
        """The assumptions of the quality, and the corpora for which it is weakly identified."""
        found = [
            "One number holds for every size and budget if the corpora share the exponents and the "
            "floor on the evaluation set. If their floors differ, the quality changes with the "
            "range of the runs: compare with a card in which they differ (chinchilla-corpora)."
        ]
        weak = [name for name, share in self.sd_ratio.items() if share > _LEARNT]
        if weak:
            found.append(
                f"The runs hardly identify the quality of {', '.join(map(str, weak))}: most of the "
                "spread of the prior remains. Runs of few tokens for their size identify it, since "
                "the data term is a large part of their loss."
            )
        own = self.fit.curve.caveat
        return (*found, own) if own else tuple(found)

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Return ``quality`` with its interval, and ``p_better``, by corpus.

        Parameters
        ----------
        prob
            Probability of the interval.
        """
        found = interval_columns(self.draws.to_dataset(name="quality"), prob, "corpus")
        return flag_failure(found.assign(p_better=self.p_better), self.diagnostics)

    def text_table(self, prob: float = 0.9) -> pd.DataFrame:
        """Return the table formatted as text."""
        table = interval_columns(self.draws.to_dataset(name="quality"), prob, "corpus")
        shown = [
            f"{format_number(row['quality'])} [{format_number(row['quality_lower'])}, "
            f"{format_number(row['quality_upper'])}]"
            for _, row in table.iterrows()
        ]
        better = [f"{p:.2f}" for p in self.p_better]
        return pd.DataFrame(
            {f"tokens of {self.baseline}": shown, "P(better)": better}, index=table.index
        )


def token_quality(
    fit: Fit, *, baseline: str, by: str | None = None, corpora: Sequence[str] | None = None
) -> TokenQuality:
    """Return the number of tokens of a baseline corpus that one token of each other replaces.

    Parameters
    ----------
    fit
        A fit whose model lets the data term differ between corpora, and neither exponent: the card
        ``chinchilla-quality``, or ``[pooling.B.family]`` in one of ``data-constrained`` or
        ``coupled``.
    baseline
        The corpus of which a token counts as one.
    by
        The grouping factor of which the corpora are levels; the only one unless given.
    corpora
        The corpora to compare with the baseline; all others unless given.

    Returns
    -------
    TokenQuality
        Joint draws of the qualities, their summaries, and whether the runs identify them.

    Raises
    ------
    UnsuitableLawError
        If the law has no data term B D^-beta, or the model does not pool it, or pools an exponent.
    UnknownNameError
        If there is no such corpus.

    Notes
    -----
    If tokens of corpus g have quality q, its loss at D tokens is that of the baseline at q D:
    B (q D)^-beta, so that ln q = (ln B - ln B_g) / beta. In the law ``data-constrained`` the
    quality applies to unique tokens too, and the relative value of repetitions is the same in all
    corpora.

    Examples
    --------
    >>> import bayescale as bs
    >>> runs = bs.load_runs("overtraining").where("compute > 1e18 and family != 'c4'")
    >>> fit = bs.fit(runs, "chinchilla-quality", seed=1, draws=250, progress=False)
    >>> found = bs.token_quality(fit, baseline="redpajama")
    >>> 0.3 < float(found.table()["quality"].item()) < 3.0
    True
    """
    sources, by = levels_of(fit, by)
    law = fit.law
    if not {_TERM, _EXPONENT} <= set(law.parameters) or "n_tokens" not in law.inputs:
        raise UnsuitableLawError(
            f"fit: the law {law.name} has no data term {_TERM} D^-{_EXPONENT}. Give a fit of "
            "chinchilla, coupled or data-constrained."
        )
    pooled = {e.of for e in fit.model.effects if set(e.over.split("+")) & set(by.split("+"))}
    if _TERM not in pooled:
        raise UnsuitableLawError(
            f"fit: the model {fit.model.id} does not let {_TERM} differ between levels of {by}. "
            "Fit the card chinchilla-quality."
        )
    if exponents := sorted(pooled & {*law.exponents, "alpha", _EXPONENT}):
        raise UnsuitableLawError(
            f"fit: in the model {fit.model.id} {' and '.join(exponents)} differ between levels of "
            f"{by}, so that no one number of tokens is worth a token everywhere. Fit the card "
            "chinchilla-quality, or compare budgets with bayescale.speedup."
        )
    others = list(sources) if corpora is None else as_list(corpora)
    for name in (baseline, *others):
        if name not in sources:
            raise UnknownNameError(
                f"corpus: found {name!r}, expected one of {', '.join(sources)}."
                f"{did_you_mean(str(name), sources)}"
            )
    others = [name for name in others if name != baseline]
    if not others:
        raise ValueError(f"corpora: found {baseline!r} alone, expected another one to compare.")
    own = _parameters(sources[baseline])
    ratios = np.stack(
        [
            ((own[_TERM] / _parameters(sources[name])[_TERM]) ** (1.0 / own[_EXPONENT])).to_numpy()
            for name in others
        ],
        axis=-1,
    )
    draws = xr.DataArray(ratios, dims=("chain", "draw", "corpus"), coords={"corpus": others})
    return TokenQuality(draws, fit, by, baseline)


def _parameters(source: Posterior) -> Mapping[str, xr.DataArray]:
    """Return draws of the natural parameters, with dims ``chain`` and ``draw``."""
    (piece,) = source.curve.pieces
    return {name: x.transpose("chain", "draw") for name, x in piece.parameters.items()}
