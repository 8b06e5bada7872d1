"""Diagnostics of a posterior: convergence gates and model checks."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from bayescale.model.checks import Check, verdict
from bayescale.posterior.convergence import bfmi, measure

R_HAT = 1.01
"""Limit of R-hat; a posterior is sampled until all are below."""

BY_CHANCE = 0.001
"""Significance level of R-hat if no more draws can be made: a larger R-hat passes unless chains
that agree would reach it with less than this probability."""

ESS = 400.0
ESS_PER_CHAIN = 100.0
E_BFMI = 0.3
TAILS = (0.05, 0.95)
"""Probabilities of the tail effective sample size: the ends of reported intervals."""

MEASURES = ("r_hat", "ess_bulk", "ess_tail")
"""Diagnostic columns of a table of quantities."""

WITHIN = "ess_within"
"""Column of the effective sample size without between-chain variance, which limits R-hat."""

DIVERGENT_SHARE = 0.001
"""Share of divergent draws above which a fit fails; fewer are reported."""

CERTAIN = 0.99
"""Posterior weight above which a mode is treated as the only one."""

UNWEIGHED = 0.3
"""Standard error of the log evidence above which the weights of modes are unreliable."""

FAILED = "THIS FIT FAILED ITS GATES"
"""Beginning of the status, and of the headline, of a posterior with a failed check."""

_MOST_FAILURES, _MOST_REMARKS = 2, 3
"""Numbers of sentences that a status quotes; `Diagnostics.messages` has all."""


@dataclass(frozen=True)
class Diagnostics:
    """Results of the checks of a posterior.

    Attributes
    ----------
    table
        One row per quantity: ``r_hat`` (rank-normalised), ``ess_bulk``, ``ess_tail``, and
        ``ess_within``, their minimum without between-chain variance.
    checks
        Every check with its result: convergence first, then the model checks of a fit.
    outweighed
        What failed but has little weight, so that it is remarked; empty if nothing did.
    """

    table: pd.DataFrame
    checks: tuple[Check, ...]
    outweighed: str = ""

    @property
    def failures(self) -> tuple[str, ...]:
        """One sentence per failed check."""
        return tuple(check.sentence for check in self.checks if check.failed)

    @property
    def remarks(self) -> tuple[str, ...]:
        """One sentence per check that passed with a remark."""
        return tuple(check.sentence for check in self.checks if check.status == "remark")

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return not self.failures

    @property
    def messages(self) -> tuple[str, ...]:
        """Failures first, then remarks."""
        return self.failures + self.remarks

    @property
    def status(self) -> str:
        """One line: passed, with the worst values, or failed, with the first failures."""
        # Remarks often explain a failure: a break beyond the data, several modes.
        remarks = _first(self.remarks, _MOST_REMARKS, "remarks")
        if self.ok:
            return (
                f"{self._passed}: R-hat at most {self.table['r_hat'].max():.4f}, effective "
                f"samples at least {self.worst_ess:.0f}.{remarks}"
            )
        failures = _first(self.failures, _MOST_FAILURES, "failures")
        return f"{FAILED}, do not use its numbers:{failures}{remarks}"

    @property
    def clause(self) -> str:
        """The status for the end of an answer: without values, if all checks passed."""
        if self.ok:
            return f"{self._passed}.{_first(self.remarks, _MOST_REMARKS, 'remarks')}"
        return self.status

    @property
    def _passed(self) -> str:
        return "All gates passed" + (f" but {self.outweighed}" if self.outweighed else "")

    @property
    def worst_ess(self) -> float:
        """Minimum effective sample size, bulk or tail, over all quantities."""
        return float(self.table[["ess_bulk", "ess_tail"]].min().min())

    @property
    def facts(self) -> dict[str, Any]:
        """Summary for tables of several fits: ``ok``, ``r_hat``, ``ess`` and ``status``."""
        return {
            "ok": bool(self.ok),
            "r_hat": float(self.table["r_hat"].max()),
            "ess": float(self.worst_ess),
            "status": self.status,
        }

    @property
    def records(self) -> list[dict[str, Any]]:
        """Every check as a record: ``name``, ``status``, ``statistic`` and ``sentence``."""
        return [check.to_dict() for check in self.checks]

    def join(self, other: "Diagnostics") -> "Diagnostics":
        """Return the concatenation of two diagnostics."""
        return Diagnostics(
            pd.concat([self.table, other.table]),
            self.checks + other.checks,
            " and ".join(filter(None, (self.outweighed, other.outweighed))),
        )

    def named(self, name: str) -> "Diagnostics":
        """Return the same, with sentences that say which fit they are of."""
        checks = tuple(replace(c, sentence=f"{name}: {c.sentence}") for c in self.checks)
        return replace(self, checks=checks)


def _first(sentences: Sequence[str], most: int, what: str) -> str:
    """Return the first sentences, each after a space, and the number of the others."""
    rest = len(sentences) - most
    more = [f"And {rest} more {what if rest > 1 else what[:-1]}."] if rest > 0 else []
    return "".join(f" {sentence}" for sentence in (*sentences[:most], *more))


def with_status(description: str, diagnostics: Diagnostics) -> str:
    """Return the description and the status, with the status first if a check failed."""
    parts = (description, diagnostics.clause)
    return " ".join(parts if diagnostics.ok else reversed(parts))


def diagnose_quantities(
    draws: xr.Dataset, known: pd.DataFrame | None = None, *, by_chance: bool = False
) -> Diagnostics:
    """Check R-hat and effective sample size of every element of every variable.

    Parameters
    ----------
    draws
        Variables with dims chain and draw, and possibly more.
    known
        Table of diagnostics already computed for some of the quantities.
    by_chance
        Whether an R-hat above the gate passes, with a remark, if chains that agree may reach it by
        chance. For posteriors that cannot be sampled for longer; see `greatest_r_hat`.
    """
    chains = draws.sizes["chain"]
    table = measured(draws) if known is None else _completed(known, draws)
    return Diagnostics(table, gate(table, chains, by_chance=by_chance))


def _completed(known: pd.DataFrame, draws: xr.Dataset) -> pd.DataFrame:
    """Return the table of all quantities, computing those that are missing."""
    missing = [name for name in draws if not set(_labels(draws[[name]])) <= set(known.index)]
    table = pd.concat([known, measured(draws[missing])]) if missing else known
    return table.loc[_labels(draws)]


def gate(table: pd.DataFrame, chains: int, *, by_chance: bool = False) -> tuple[Check, ...]:
    """Return checks of the quantities of a `measured` table that fail or pass with a remark."""
    needed = max(ESS, ESS_PER_CHAIN * chains)
    worth = table[["ess_bulk", "ess_tail"]].min(axis="columns")
    limits = greatest_r_hat(table[WITHIN], chains) if by_chance else np.full(len(table), R_HAT)
    checks = []
    for quantity, r_hat, ess, limit in zip(table.index, table["r_hat"], worth, limits, strict=True):
        # Negated comparison, so that NaN (constant chains, infinite draws) fails.
        if not r_hat < limit:
            said = f"R-hat of {quantity} is {r_hat:.3f}, expected below {limit:.3f}."
            checks.append(_failed(f"R-hat of {quantity}", r_hat, said))
        if not ess > needed:
            said = (
                f"Effective samples of {quantity}: {ess:.0f}, expected above {needed:.0f}; draw "
                "more, or look for a parameter the runs do not determine."
            )
            checks.append(_failed(f"effective samples of {quantity}", ess, said))
    r_hats = table["r_hat"].to_numpy()
    above = np.flatnonzero((r_hats >= R_HAT) & (r_hats < limits))
    if len(above):
        worst = above[r_hats[above].argmax()]
        more = f" (and of {len(above) - 1} more)" if len(above) > 1 else ""
        said = (
            f"R-hat of {table.index[worst]} is {r_hats[worst]:.3f}{more}, above {R_HAT}, and "
            f"passes as chance: converged chains reach {limits[worst]:.3f} once in "
            f"{1 / BY_CHANCE:.0f} at as few effective samples."
        )
        name = "R-hat by chance"
        checks.append(Check(name=name, status="remark", statistic=r_hats[worst], sentence=said))
    return tuple(checks)


def _failed(name: str, statistic: float, sentence: str) -> Check:
    return Check(name=name, status="failed", statistic=statistic, sentence=sentence)


def measured(draws: xr.Dataset) -> pd.DataFrame:
    """Return R-hat and effective sample sizes, with one row per element of each variable."""
    # On NumPy arrays, since the overhead of labels would dominate.
    ours = [x.transpose(..., "chain", "draw").to_numpy() for x in draws.data_vars.values()]
    found = measure(np.concatenate([x.reshape(-1, *x.shape[-2:]) for x in ours]), TAILS)
    return pd.DataFrame(
        {name: getattr(found, name) for name in (*MEASURES, WITHIN)},
        index=pd.Index(_labels(draws), name="quantity"),
    )


def samples_beyond_chance(chains: int, gate: float = R_HAT) -> float:
    """Return the effective sample size above which chains that agree pass the gate on R-hat."""
    return float(_critical_excess(1.0, chains) / (gate**2 - 1.0))


def greatest_r_hat(ess: ArrayLike, chains: int, gate: float = R_HAT) -> NDArray[np.float64]:
    """Return the critical value of R-hat under the hypothesis that chains agree.

    Means of chains that agree differ by Monte Carlo error, so that the square of R-hat minus one
    is a multiple of chi squared over the effective sample size. For four chains with an effective
    sample size of 1000, R-hat exceeds 1.014 for one in a thousand quantities.

    The test has limited power: at an effective sample size of 400, chains of which one in four is
    off by 0.4 standard deviations pass in six of ten cases. It is therefore used only for
    posteriors that cannot be sampled for longer.

    Parameters
    ----------
    ess
        Effective sample size of all chains without between-chain variance, clipped from below at
        `ESS`.
    chains
        Number of chains; R-hat splits each in two.
    gate
        Lower bound of the critical value.

    Notes
    -----
    The relation between R-hat and effective sample size is that of Vats and Knudson 2021,
    doi:10.1214/20-STS812, who derive a threshold for one from the other.
    """
    excess = _critical_excess(np.maximum(ess, ESS), chains)
    return np.asarray(np.maximum(gate, np.sqrt(1.0 + excess)))


def _critical_excess(ess: ArrayLike, chains: int) -> NDArray[np.float64]:
    """Return the critical value of the square of R-hat minus one, at level `BY_CHANCE`."""
    from scipy.special import chdtri

    apart = 2 * chains
    return np.asarray(apart / np.asarray(ess) * chdtri(apart - 1, BY_CHANCE) / (apart - 1))


def diagnose_sampling(stats: xr.Dataset) -> tuple[Check, ...]:
    """Return checks of divergences, energy and tree depth."""
    divergent, total = int(stats["diverging"].sum()), stats["diverging"].size
    energy = stats["energy"].transpose("chain", "draw").to_numpy()
    e_bfmi = float(bfmi(energy).min())
    deep = int(stats["maxdepth_reached"].sum())
    return (
        Check(
            name="divergences",
            status=verdict(failed=divergent / total > DIVERGENT_SHARE, remark=divergent > 0),
            statistic=divergent,
            sentence=f"{divergent} of {total} draws diverged.",
        ),
        Check(
            name="energy",
            status=verdict(failed=not e_bfmi > E_BFMI),
            statistic=e_bfmi,
            sentence=f"E-BFMI is {e_bfmi:.2f}, expected above {E_BFMI}.",
        ),
        Check(
            name="tree depth",
            status=verdict(failed=deep > 0),
            statistic=deep,
            sentence=f"{deep} of {total} draws reached the greatest tree depth.",
        ),
    )


def describe_unfinished(made: Mapping[str, int]) -> str:
    """Describe the progress of a fit that was interrupted."""
    of_chains = f", of {made['chains']} of {made['all_chains']} chains"
    return (
        f"This fit is unfinished: {made['draws']} of {made['all_draws']} draws a chain were made"
        + (of_chains if made["chains"] < made["all_chains"] else "")
        + "."
    )


def _labels(draws: xr.Dataset) -> list[str]:
    return [_label(name, point) for name in draws for point in _points(draws[name])]


def _points(variable: xr.DataArray) -> list[dict[Hashable, object]]:
    extra = [dim for dim in variable.dims if dim not in ("chain", "draw")]
    points: list[dict[Hashable, object]] = [{}]
    for dim in extra:
        points = [{**p, dim: value} for p in points for value in variable[dim].to_numpy()]
    return points


def _label(name: Hashable, point: dict[Hashable, object]) -> str:
    inside = ", ".join(str(x) if isinstance(x, str) else f"{x:g}" for x in point.values())
    return f"{name}[{inside}]" if inside else str(name)


def describe_modes(log_evidence: Mapping[str, float], error: float) -> tuple[str, bool]:
    """Describe the modes of a posterior; return also whether their weights are reliable."""
    names = list(log_evidence)
    if len(names) == 1:
        return f"Chains from every mode of the law ended in one: {names[0]}.", True
    weights = np.exp([log_evidence[name] for name in names])
    weights = weights / weights.sum()
    if weights[0] > CERTAIN:
        sentence = (
            f"Chains were started in every mode of the law: {names[0]} won, ahead of "
            f"{names[1]} by {-log_evidence[names[1]]:.1f} in log evidence."
        )
        return sentence, True
    shares = ", ".join(
        f"{name} {w:.2f}" for name, w in zip(names, weights, strict=True) if w > 1.0 - CERTAIN
    )
    sentence = (
        "More than one mode of the law is supported, and the draws are of each by its weight "
        f"({shares}"
    )
    if error > UNWEIGHED:
        return (
            f"{sentence}), but the weights are not known: the log evidence is uncertain by "
            f"{error:.1f}.",
            False,
        )
    return f"{sentence}, to within a factor {np.exp(error):.2f}).", True
