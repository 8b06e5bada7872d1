"""Choices of an analysis, each a name and a function, to be combined in a multiverse."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from bayescale.costs import RecountedCost, pearce2024, six_nd
from bayescale.data.runs import Runs
from bayescale.model.card import Model, load_model
from bayescale.model.noise import Heteroscedasticity
from bayescale.model.priors import Normal
from bayescale.sensitivity.refit import Question


@dataclass(frozen=True, kw_only=True)
class Universe:
    """An analysis: a model, the runs to fit, and the quantity of interest.

    Attributes
    ----------
    model, runs
        The model, and the runs to fit.
    question
        The budget and its cost, and the conversion of fitted to reported N.
    """

    model: Model
    runs: Runs
    question: Question

    def after(self, choices: "Iterable[Choice]") -> "Universe":
        """Return the analysis after applying choices in order."""
        return reduce(lambda universe, choice: choice.make(universe), choices, self)


def as_it_is(universe: Universe) -> Universe:
    """Return the analysis unchanged."""
    return universe


@dataclass(frozen=True, slots=True)
class Choice:
    """One option for a decision of the analysis.

    Attributes
    ----------
    name
        Name in tables.
    make
        Returns the analysis with this choice; unchanged unless given. It may raise a
        `BayescaleError` if the choice does not apply.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from bayescale.sensitivity.choices import Choice
    >>> large = Choice("large", lambda u: replace(u, runs=u.runs.where("n_params > 1e9")))
    """

    name: str
    make: Callable[[Universe], Universe] = as_it_is


def normal(universe: Universe) -> Universe:
    """Use Normal noise on the log of the loss."""
    noise = universe.model.noise
    priors = {"sigma": noise.priors["sigma"]}
    return _with_model(universe, noise=replace(noise, kind="normal", priors=priors), tag="normal")


def growing(universe: Universe) -> Universe:
    """Let the residual scale vary with compute."""
    why = "from halving to doubling over two decades: small runs may be noisier, or large ones"
    growth = Heteroscedasticity(along="compute", exponent=Normal(mean=0.0, sd=0.15, why=why))
    noise = replace(universe.model.noise, growth=growth)
    return _with_model(universe, noise=noise, tag="growing")


def upper(share: float) -> Callable[[Universe], Universe]:
    """Leave out a share of the runs with the least compute."""

    def make(universe: Universe) -> Universe:
        compute = universe.runs.compute
        kept = compute >= np.quantile(compute, share)
        return replace(universe, runs=universe.runs.where(kept, f"upper {1 - share:g} by compute"))

    return make


def lower(share: float) -> Callable[[Universe], Universe]:
    """Leave out a share of the runs with the most compute."""

    def make(universe: Universe) -> Universe:
        compute = universe.runs.compute
        kept = compute <= np.quantile(compute, 1.0 - share)
        return replace(universe, runs=universe.runs.where(kept, f"lower {1 - share:g} by compute"))

    return make


def without_flagged(universe: Universe) -> Universe:
    """Leave out the runs flagged by the column ``outlier``, if there is one."""
    table = universe.runs.table
    if "outlier" not in table:
        return universe
    return replace(
        universe, runs=universe.runs.where(table["outlier"].to_numpy() == 0, "not flagged")
    )


def without_embeddings(universe: Universe) -> Universe:
    """Fit a law of parameters without embeddings, converted by Chinchilla's shapes.

    The budget and N_opt remain in total parameters; only the law uses the other count.
    """
    runs = universe.runs
    table = runs.table.assign(n_params=pearce2024.non_embedding(runs.n_params))
    cost = RecountedCost(six_nd, pearce2024.total, "6ND of all parameters")
    return replace(
        universe,
        runs=replace(runs, _table=table),
        question=replace(universe.question, cost=cost, count=pearce2024.total),
    )


def of_law(card: str) -> Callable[[Universe], Universe]:
    """Fit the law of another card, with its priors, and the current noise."""

    def make(universe: Universe) -> Universe:
        other = load_model(card)
        return _with_model(
            universe, law=other.law, priors=other.priors, inputs=other.inputs, tag=card
        )

    return make


CHOICES: Mapping[str, tuple[Choice, ...]] = {
    "likelihood": (Choice("as the card"), Choice("normal", normal), Choice("growing", growing)),
    "window": (
        Choice("all runs"),
        Choice("upper three quarters", upper(0.25)),
        Choice("lower three quarters", lower(0.25)),
    ),
    "outliers": (Choice("left out", without_flagged), Choice("kept")),
    "counting": (Choice("total"), Choice("non-embedding", without_embeddings)),
    "law": (
        Choice("as the card"),
        Choice("coupled", of_law("coupled")),
        Choice("kaplan-nd-floor", of_law("kaplan-nd-floor")),
    ),
}
"""The default decisions and their options: 108 combinations."""


def _with_model(universe: Universe, *, tag: str, **changes: object) -> Universe:
    # The id includes the change, since models of one id are compiled once.
    model = replace(universe.model, id=f"{universe.model.id}, {tag}", **changes)  # type: ignore[arg-type]
    return replace(universe, model=model)
