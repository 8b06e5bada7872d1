"""Gates a posterior must pass before its numbers are shown without a warning."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from bayescale.checks import Check, verdict

R_HAT = 1.01
BY_CHANCE = 0.001
"""A greater R-hat passes where that of chains that agree would be as great this often."""

ESS = 400.0
ESS_PER_CHAIN = 100.0
E_BFMI = 0.3
TAILS = (0.05, 0.95)
"""Whose quantiles must be known well: the ends of the intervals that are reported."""

DIVERGENT_SHARE = 0.001
"""More divergent draws than this fail; any at all are reported."""


@dataclass(frozen=True)
class Diagnostics:
    """What the checks found.

    Attributes
    ----------
    table
        One row a quantity: ``r_hat`` (rank-normalised), ``ess_bulk``, ``ess_tail``.
    checks
        Each thing that was looked at, and what it gave: convergence first, then, of a fit, what
        the runs say of the model.
    """

    table: pd.DataFrame
    checks: tuple[Check, ...]

    @property
    def failures(self) -> tuple[str, ...]:
        """A sentence for each check that failed."""
        return tuple(check.sentence for check in self.checks if check.status == "failed")

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
        if self.ok:
            return (
                f"All gates passed: R-hat at most {self.table['r_hat'].max():.4f}, effective "
                f"samples at least {self.worst_ess:.0f}."
                + (f" {' '.join(self.remarks)}" if self.remarks else "")
            )
        rest = len(self.failures) - 2
        return (
            "THIS FIT FAILED ITS GATES, do not use its numbers: "
            + " ".join(self.failures[:2])
            + (f" And {rest} more." if rest > 0 else "")
            # Remarks often say why: a break beyond the data, modes that both fit.
            + (f" {' '.join(self.remarks)}" if self.remarks else "")
        )

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


def lead_with_status(description: str, diagnostics: Diagnostics) -> str:
    """Return the status and the description, a failure first."""
    parts = (description, diagnostics.status)
    return " ".join(parts if diagnostics.ok else reversed(parts))


def diagnose_quantities(draws: xr.Dataset, known: pd.DataFrame | None = None) -> Diagnostics:
    """Gate R-hat and effective sample sizes of every variable, element by element.

    Parameters
    ----------
    draws
        Variables with dims chain and draw, and perhaps more.
    known
        The table of some of these, from before.
    """
    chains = draws.sizes["chain"]
    fresh = draws if known is None else draws.drop_vars(known.index, errors="ignore")
    tables = [known, _measured(fresh) if fresh else None]
    table = pd.concat([t for t in tables if t is not None]).loc[_labels(draws)]
    needed = max(ESS, ESS_PER_CHAIN * chains)
    checks = []
    for quantity, row in table.iterrows():
        ess = min(row["ess_bulk"], row["ess_tail"])
        limit = greatest_r_hat(ess, chains)
        # Written so that a NaN (a constant chain, an infinite draw) fails.
        if not row["r_hat"] < limit:
            said = f"R-hat of {quantity} is {row['r_hat']:.3f}, expected below {limit:.3f}."
            checks.append(_failed(f"R-hat of {quantity}", row["r_hat"], said))
        if not ess > needed:
            said = (
                f"Effective samples of {quantity}: {ess:.0f}, expected above {needed:.0f}; draw "
                "more, or look for a parameter the runs do not determine."
            )
            checks.append(_failed(f"effective samples of {quantity}", ess, said))
    return Diagnostics(table, tuple(checks))


def _failed(name: str, statistic: float, sentence: str) -> Check:
    return Check(name=name, status="failed", statistic=statistic, sentence=sentence)


def _measured(draws: xr.Dataset) -> pd.DataFrame:
    from arviz_stats.base import array_stats

    # All at once, on bare arrays: labels for each would take most of the time.
    ours = [x.transpose(..., "chain", "draw").to_numpy() for x in draws.data_vars.values()]
    values = np.concatenate([x.reshape(-1, *x.shape[-2:]) for x in ours])
    axes = {"chain_axis": -2, "draw_axis": -1}
    return pd.DataFrame(
        {
            "r_hat": array_stats.rhat(values, **axes),
            "ess_bulk": array_stats.ess(values, method="bulk", **axes),
            "ess_tail": array_stats.ess(values, method="tail", prob=TAILS, **axes),
        },
        index=pd.Index(_labels(draws), name="quantity"),
    )


def greatest_r_hat(ess: ArrayLike, chains: int, gate: float = R_HAT) -> NDArray[np.float64]:
    """Return the R-hat below which chains agree: the gate, or what few draws reach by chance.

    Means of chains that agree differ by chance, by what their effective samples tell, and the
    square of R-hat exceeds one by a multiple of chi squared over these. At a thousand effective
    samples of four chains that is 1.014 once in a thousand quantities.

    Parameters
    ----------
    ess
        Effective samples of all chains; with fewer than must be, R-hat may be as great as with
        as many.
    chains
        How many they are; R-hat splits each in two.
    gate
        What is below passes however many samples there are.

    Notes
    -----
    Source of the relation between R-hat and effective samples: Vats and Knudson 2021,
    doi:10.1214/20-STS812, who derive a threshold for one from the other.
    """
    from scipy.special import chdtri

    apart = 2 * chains
    excess = apart / np.maximum(ess, ESS) * chdtri(apart - 1, BY_CHANCE) / (apart - 1)
    return np.asarray(np.maximum(gate, np.sqrt(1.0 + excess)))


def diagnose_sampling(stats: xr.Dataset) -> tuple[Check, ...]:
    """Return checks of divergences, energy and tree depth."""
    divergent, total = int(stats["diverging"].sum()), stats["diverging"].size
    energy = stats["energy"].transpose("chain", "draw").to_numpy()
    e_bfmi = float((np.square(np.diff(energy, axis=1)).mean(axis=1) / energy.var(axis=1)).min())
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
    inside = ", ".join(f"{value:g}" for value in point.values())
    return f"{name}[{inside}]" if inside else str(name)
