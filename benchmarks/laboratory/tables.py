"""The laboratory's runs for each law, and the hierarchical cards that are fitted to them."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import pandas as pd

import bayescale as bs
from bayescale.errors import BayescaleWarning

CORPORA = ("prose", "code", "names")

FEW = 5
"""Number of small runs of a new corpus that are fitted."""

SEED, DRAWS = 1, 250

SMALL_BATCHES = bs.LogNormal(
    median=0.001,
    log_sd=1.5,
    why="models of tens of thousands of parameters on bytes: batches of 64 to 4096 tokens were "
    "tried, and the critical one is likely among them; 90 % between 44 and 6200 tokens",
)
"""Prior of the critical batch at the reference point, in units of 2^19 tokens. It replaces the
prior of the card, which is about a million tokens."""


def every() -> pd.DataFrame:
    """Return all runs of the table, including flagged outliers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)
        return bs.load_runs("laboratory", keep_outliers=True).table


def load(table: pd.DataFrame, *columns: str) -> bs.Runs:
    """Return runs with some columns of a table."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)
        kept = table[["run", "family", *columns, "loss"]].reset_index(drop=True)
        return bs.load_runs(kept, needs=(columns[0],))


def standard() -> pd.DataFrame:
    """Return one run of each standard setting, that of the first seed."""
    table = every()
    return table[(table["off_standard"] == 0) & (table["seed"] == 1)]


def sizes_and_tokens() -> bs.Runs:
    return load(standard(), "n_params", "n_tokens", "seed")


def with_batches() -> bs.Runs:
    """Return standard runs, and the run with the best learning rate at each other batch size."""
    table = pd.concat([standard(), best_of_batches()]).drop_duplicates("run")
    return load(table, "n_params", "n_steps", "batch_tokens", "n_tokens")


def best_of_batches() -> pd.DataFrame:
    """Return the run with the best learning rate at each batch size of the batch design."""
    table = every()
    table = table[table["design"].str.contains("batch")]
    cells = ["family", "n_params", "n_tokens", "batch_tokens"]
    return table.loc[table.groupby(cells)["loss"].idxmin()]


def repeated() -> bs.Runs:
    table = every()
    kept = (table["seed"] == 1) & (table["schedule"] == "cosine") & (table["batch_tokens"] == 256)
    kept &= (table["off_standard"] == 0) | (table["epochs"] > 1)
    return load(table[kept], "n_params", "n_tokens", "n_unique_tokens")


def curve() -> bs.Runs:
    """Return runs of one size, all seeds, along tokens."""
    table = every()
    kept = (table["off_standard"] == 0) & (table["width"] == 32) & (table["layers"] == 2)
    return load(table[kept], "n_tokens")


def recipes() -> bs.Runs:
    """Return runs of recipes, each a schedule or learning rate, on several corpora."""
    table = every()
    kept = (table["batch_tokens"] == 256) & (table["epochs"] == 1) & (table["seed"] == 1)
    kept &= ~table["design"].eq("learning-rate")
    table = table[kept].copy()
    usual = table[table["off_standard"] == 0].groupby("n_params")["learning_rate"].first()
    factor = (table["learning_rate"] / table["n_params"].map(usual)).round(2)
    table["recipe"] = table["schedule"].where(factor == 1.0, "rate times " + factor.astype(str))
    return load(table[table["recipe"].notna()], "n_params", "n_tokens", "recipe")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A law, the runs that it is fitted to, the column of their size, and the pooled parameters.

    Floors and scales are pooled: three corpora hardly identify the variance of exponents.
    """

    card: str
    runs: Callable[[], bs.Runs]
    along: str
    of: tuple[str, ...]
    inputs: tuple[tuple[str, str], ...] = ()

    @property
    def plain(self) -> bs.Model:
        """The shipped card, with the inputs and priors that these runs need."""
        model = bs.load_model(self.card)
        if self.inputs:
            model = replace(model, inputs=dict(self.inputs))
        if self.card == "kaplan-ns":
            model = replace(model, priors={**model.priors, "batch_ratio": SMALL_BATCHES})
        return model

    @property
    def pooled(self) -> bs.Model:
        return self.plain.pool("family", of=self.of)


TOKENS = (("x", "n_tokens"),)
CASES = (
    Case(card="kaplan-nd", runs=sizes_and_tokens, along="compute", of=("N_c", "D_c")),
    Case(card="chinchilla", runs=sizes_and_tokens, along="compute", of=("E", "A", "B")),
    Case(card="power-law", runs=curve, along="n_tokens", inputs=TOKENS, of=("x_c", "alpha")),
    Case(card="power-law-floor", runs=curve, along="n_tokens", inputs=TOKENS, of=("E", "x_c")),
    Case(card="kaplan-ns", runs=with_batches, along="compute", of=("N_c", "S_c", "B_star")),
    Case(card="coupled", runs=sizes_and_tokens, along="compute", of=("E", "A", "B")),
    Case(card="data-constrained", runs=repeated, along="compute", of=("E", "A", "B")),
    Case(card="broken-power-law-1", runs=curve, along="n_tokens", inputs=TOKENS, of=("a", "b")),
)
