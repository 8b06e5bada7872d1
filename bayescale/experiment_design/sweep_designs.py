"""Designs of a first sweep: the sizes and tokens of its runs, at a given total cost."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from bayescale.costs import Cost
from bayescale.costs.budget import Array

USUAL = "isoFLOP, 5 budgets"
"""Name of the sweep that recommendations are compared with."""

_LEVELS = 7
"""Sizes along each arm of an L-shaped grid, and budgets along each diagonal."""


@dataclass(frozen=True, slots=True)
class IsoFlop:
    """An isoFLOP sweep: several sizes at each of several budgets.

    Attributes
    ----------
    budgets, sizes, seeds
        Number of budgets, of sizes at each, and of seeds of each size.
    span
        Ratio of the largest to the smallest budget.
    width
        Factor by which tokens per parameter vary to either side of their middle; sizes vary by its
        square root.
    """

    budgets: int = 5
    sizes: int = 7
    seeds: int = 1
    span: float = 100.0
    width: float = 16.0

    @property
    def placed(self) -> "Placed":
        """The relative sizes and tokens of its runs."""
        shares = np.geomspace(1.0 / self.span, 1.0, self.budgets) if self.budgets > 1 else [1.0]
        ratios = np.geomspace(1.0 / self.width, self.width, self.sizes)
        share, ratio = (x.ravel() for x in np.meshgrid(shares, ratios, indexing="ij"))
        again = np.tile(np.arange(1.0, self.seeds + 1.0), len(share))
        share, ratio = (np.repeat(x, self.seeds) for x in (share, ratio))
        return Placed(np.sqrt(share / ratio), np.sqrt(share * ratio), again)

    @classmethod
    def starts(cls) -> Iterator["IsoFlop"]:
        """Yield starting points of the search: the usual design, and smaller ones."""
        yield cls()
        for sizes, width in product((3, 5), (4.0, 16.0)):
            for budgets, span in product((1, 2, 3, 4, 5), (3.0, 10.0, 100.0)):
                yield cls(budgets=budgets, sizes=sizes, span=span, width=width)

    @staticmethod
    def changes() -> Iterator[tuple[dict[str, Any], ...]]:
        """Yield the changes that a search tries, one property at a time."""
        for name, values in _CHOICES.items():
            yield tuple({name: value} for value in values)

    def __str__(self) -> str:
        seeds = f", {self.seeds} seeds of each" if self.seeds > 1 else ""
        return (
            f"{self.budgets} budgets over a factor of {self.span:.0f}, {self.sizes} sizes each "
            f"over a factor of {self.width:.0f}{seeds}"
        )


_CHOICES: dict[str, tuple[float, ...]] = {
    "budgets": (1, 2, 3, 4, 5, 6, 8),
    "sizes": (2, 3, 4, 5, 7, 9, 11),
    "seeds": (1, 2),
    "span": (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0),
    "width": (4.0, 8.0, 16.0, 32.0, 64.0),
}
"""Values of each property of an isoFLOP sweep among which the search chooses."""


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """Relative sizes and tokens of runs, in units that the total cost determines.

    Attributes
    ----------
    size, tokens
        Multiples of the unit, one per run.
    seed
        Number of the replicate of each run, from one.
    """

    size: Array
    tokens: Array
    seed: Array

    def costing(self, total: float, ratio: float, training: Cost) -> pd.DataFrame:
        """Return the runs whose training costs `total` altogether.

        Parameters
        ----------
        total
            The total compute, in FLOP.
        ratio
            Tokens per parameter of the unit.
        training
            The training cost.

        Returns
        -------
        DataFrame
            ``n_params``, ``n_tokens``, ``seed`` and ``compute``.
        """
        from scipy.optimize import brentq

        def excess(log_n: float) -> float:
            size = np.exp(log_n) * self.size
            return float(
                np.log(np.sum(training(size, np.exp(log_n) * ratio * self.tokens)) / total)
            )

        unit = float(np.exp(brentq(excess, -20.0, 80.0, xtol=1e-12)))
        size, tokens = unit * self.size, unit * ratio * self.tokens
        return pd.DataFrame(
            {
                "n_params": size,
                "n_tokens": tokens,
                "seed": self.seed.astype(int),
                "compute": np.asarray(training(size, tokens), dtype=float),
            }
        )


def standard_designs(rng: np.random.Generator) -> dict[str, Placed]:
    """Return common designs by name: isoFLOP, L-shaped, two diagonals, random."""
    usual = IsoFlop()
    arm = np.geomspace(1.0, usual.span, _LEVELS)
    flat = np.ones(_LEVELS - 1)
    steps = np.geomspace(1.0, np.sqrt(usual.span), _LEVELS)
    count = usual.budgets * usual.sizes
    share, ratio = (
        np.exp(rng.uniform(low, high, count))
        for low, high in ((-np.log(usual.span), 0.0), np.log([1 / usual.width, usual.width]))
    )
    return {
        USUAL: usual.placed,
        "L-shaped": _once(np.append(arm, flat), np.append(np.ones(_LEVELS), arm[1:])),
        "two diagonals": _once(np.append(steps, steps / 2.0), np.append(steps, steps * 2.0)),
        "random": _once(np.sqrt(share / ratio), np.sqrt(share * ratio)),
    }


def _once(size: Array, tokens: Array) -> Placed:
    return Placed(size, tokens, np.ones(len(size)))
