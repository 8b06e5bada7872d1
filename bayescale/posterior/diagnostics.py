"""Gates a posterior must pass before its numbers are shown without a warning."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from bayescale.model.checks import Check, verdict
from bayescale.posterior.convergence import measure

R_HAT = 1.01
"""A posterior is sampled until every R-hat is below."""

BY_CHANCE = 0.001
"""Of draws that cannot be made more, a greater R-hat passes where that of chains that agree would
be as great this often."""

ESS = 400.0
ESS_PER_CHAIN = 100.0
E_BFMI = 0.3
TAILS = (0.05, 0.95)
"""Whose quantiles must be known well: the ends of the intervals that are reported."""

MEASURES = ("r_hat", "ess_bulk", "ess_tail")
"""Columns of a table of quantities."""

WITHIN = "ess_within"
"""One more: effective samples if chains agree, from which follows what R-hat they reach."""

DIVERGENT_SHARE = 0.001
"""More divergent draws than this fail; any at all are reported."""

CERTAIN = 0.99
"""A mode with more than this share of the posterior is the posterior."""

UNWEIGHED = 0.3
"""Standard error of a log evidence above which the weights of modes are not known."""

_MOST_FAILURES, _MOST_REMARKS = 2, 3
"""How many sentences of each a status quotes; `Diagnostics.messages` has all."""


@dataclass(frozen=True)
class Diagnostics:
    """What the checks found.

    Attributes
    ----------
    table
        One row a quantity: ``r_hat`` (rank-normalised), ``ess_bulk``, ``ess_tail``, and
        ``ess_within``, which the two would be if chains agreed.
    checks
        Each thing that was looked at, and what it gave: convergence first, then, of a fit, what
        the runs say of the model.
    """

    table: pd.DataFrame
    checks: tuple[Check, ...]

    @property
    def failures(self) -> tuple[str, ...]:
        """A sentence for each check that failed."""
        return tuple(check.sentence for check in self.checks if check.failed)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Sentences on what passed but deserves a look."""
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
        """One line: passed, with the worst values, or failed, with the first reasons."""
        # Remarks often say why: a break beyond the data, modes that both fit.
        remarks = _first(self.remarks, _MOST_REMARKS, "remarks")
        if self.ok:
            return (
                f"All gates passed: R-hat at most {self.table['r_hat'].max():.4f}, effective "
                f"samples at least {self.worst_ess:.0f}.{remarks}"
            )
        failures = _first(self.failures, _MOST_FAILURES, "failures")
        return f"THIS FIT FAILED ITS GATES, do not use its numbers:{failures}{remarks}"

    @property
    def worst_ess(self) -> float:
        """Least effective sample size, bulk or tail, over all quantities."""
        return float(self.table[["ess_bulk", "ess_tail"]].min().min())

    @property
    def facts(self) -> dict[str, Any]:
        """What a table of many fits says of each: ``ok``, ``r_hat``, ``ess`` and ``status``."""
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

    def and_also(self, other: "Diagnostics") -> "Diagnostics":
        """Return the diagnostics of both."""
        return Diagnostics(pd.concat([self.table, other.table]), self.checks + other.checks)


def _first(sentences: Sequence[str], most: int, what: str) -> str:
    """Return the first of several sentences, each after a blank, and how many more there are."""
    rest = len(sentences) - most
    more = [f"And {rest} more {what if rest > 1 else what[:-1]}."] if rest > 0 else []
    return "".join(f" {sentence}" for sentence in (*sentences[:most], *more))


def lead_with_status(description: str, diagnostics: Diagnostics) -> str:
    """Return the status and the description, a failure first."""
    parts = (description, diagnostics.status)
    return " ".join(parts if diagnostics.ok else reversed(parts))


def diagnose_quantities(
    draws: xr.Dataset, known: pd.DataFrame | None = None, *, by_chance: bool = False
) -> Diagnostics:
    """Gate R-hat and effective sample sizes of every variable, element by element.

    Parameters
    ----------
    draws
        Variables with dims chain and draw, and perhaps more.
    known
        The table of some of these, from before.
    by_chance
        Whether an R-hat above the gate passes, with a remark, where chains that agree reach it by
        chance: for draws that cannot be made more, see `greatest_r_hat`.
    """
    chains = draws.sizes["chain"]
    table = measured(draws) if known is None else _completed(known, draws)
    return Diagnostics(table, gate(table, chains, by_chance=by_chance))


def _completed(known: pd.DataFrame, draws: xr.Dataset) -> pd.DataFrame:
    """Return the table of all draws, from one that has some of them."""
    missing = [name for name in draws if not set(_labels(draws[[name]])) <= set(known.index)]
    table = pd.concat([known, measured(draws[missing])]) if missing else known
    return table.loc[_labels(draws)]


def gate(table: pd.DataFrame, chains: int, *, by_chance: bool = False) -> tuple[Check, ...]:
    """Return a check of each quantity of a table of `measured` that does not pass plainly."""
    needed = max(ESS, ESS_PER_CHAIN * chains)
    worth = table[["ess_bulk", "ess_tail"]].min(axis="columns")
    limits = greatest_r_hat(table[WITHIN], chains) if by_chance else np.full(len(table), R_HAT)
    checks = []
    for quantity, r_hat, ess, limit in zip(table.index, table["r_hat"], worth, limits, strict=True):
        # Written so that a NaN (a constant chain, an infinite draw) fails.
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
            f"passes as chance: chains that agree reach {limits[worst]:.3f} once in "
            f"{1 / BY_CHANCE:.0f} at as few effective samples."
        )
        name = "R-hat by chance"
        checks.append(Check(name=name, status="remark", statistic=r_hats[worst], sentence=said))
    return tuple(checks)


def _failed(name: str, statistic: float, sentence: str) -> Check:
    return Check(name=name, status="failed", statistic=statistic, sentence=sentence)


def measured(draws: xr.Dataset) -> pd.DataFrame:
    """Return R-hat and effective sample sizes, a row for each element of each variable."""
    # On bare arrays: labels for each would take most of the time.
    ours = [x.transpose(..., "chain", "draw").to_numpy() for x in draws.data_vars.values()]
    found = measure(np.concatenate([x.reshape(-1, *x.shape[-2:]) for x in ours]), TAILS)
    return pd.DataFrame(
        {name: getattr(found, name) for name in (*MEASURES, WITHIN)},
        index=pd.Index(_labels(draws), name="quantity"),
    )


def samples_beyond_chance(chains: int, gate: float = R_HAT) -> float:
    """Return the effective samples at which chains that agree no longer reach a gate by chance."""
    return float(_excess(1.0, chains) / (gate**2 - 1.0))


def greatest_r_hat(ess: ArrayLike, chains: int, gate: float = R_HAT) -> NDArray[np.float64]:
    """Return the R-hat below which chains may agree: the gate, or what few draws reach by chance.

    Chains that differ may be below it too: at 400 effective samples it passes six in ten of those
    of which one in four is off by 0.4 standard deviations. A posterior is sampled for longer
    instead, and this is for what cannot be.

    Means of chains that agree differ by chance, by what their effective samples tell, and the
    square of R-hat exceeds one by a multiple of chi squared over these. At a thousand effective
    samples of four chains that is 1.014 once in a thousand quantities.

    Parameters
    ----------
    ess
        Effective samples of all chains, as if they agreed; with fewer than must be, R-hat may be
        as great as with as many.
    chains
        How many they are; R-hat splits each in two.
    gate
        What is below passes however many samples there are.

    Notes
    -----
    Source of the relation between R-hat and effective samples: Vats and Knudson 2021,
    doi:10.1214/20-STS812, who derive a threshold for one from the other.
    """
    excess = _excess(np.maximum(ess, ESS), chains)
    return np.asarray(np.maximum(gate, np.sqrt(1.0 + excess)))


def _excess(ess: ArrayLike, chains: int) -> NDArray[np.float64]:
    """Return what the square of R-hat exceeds one by, once in so many quantities."""
    from scipy.special import chdtri

    apart = 2 * chains
    return np.asarray(apart / np.asarray(ess) * chdtri(apart - 1, BY_CHANCE) / (apart - 1))


def diagnose_sampling(stats: xr.Dataset) -> tuple[Check, ...]:
    """Return checks of divergences, energy and tree depth."""
    from arviz_stats.base import array_stats

    divergent, total = int(stats["diverging"].sum()), stats["diverging"].size
    energy = stats["energy"].transpose("chain", "draw").to_numpy()
    e_bfmi = float(array_stats.bfmi(energy).min())
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
    """Return the sentence that says how far a fit had come when it was interrupted."""
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
    """Return the sentence that says which modes there are, and whether their weights are known."""
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
