"""Choices that an analyst makes, each a name and a function, to be combined in a multiverse."""

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
    """An analysis: a model, the runs that it is fitted to, and what is asked of the posterior.

    Attributes
    ----------
    model, runs
        What is fitted, and to what.
    question
        The budget and its cost, and N as it is to be reported from N as it was fitted.
    """

    model: Model
    runs: Runs
    question: Question

    def after(self, choices: "Iterable[Choice]") -> "Universe":
        """Return the analysis in which choices are made, in their order."""
        return reduce(lambda universe, choice: choice.make(universe), choices, self)


def as_it_is(universe: Universe) -> Universe:
    """Return the analysis as it is."""
    return universe


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to decide a question of the analysis.

    Attributes
    ----------
    name
        How tables call it.
    make
        Returns the analysis in which it is made; as it is unless given. It may raise a
        `BayescaleError` where it cannot be made.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from bayescale.sensitivity.choices import Choice
    >>> large = Choice("large", lambda u: replace(u, runs=u.runs.where("n_params > 1e9")))
    """

    name: str
    make: Callable[[Universe], Universe] = as_it_is


def normal(universe: Universe) -> Universe:
    """Let the log of the loss scatter normally."""
    noise = universe.model.noise
    priors = {"sigma": noise.priors["sigma"]}
    return _with_model(universe, noise=replace(noise, kind="normal", priors=priors), tag="normal")


def growing(universe: Universe) -> Universe:
    """Let the scale of the scatter grow or shrink with compute."""
    why = "from halving to doubling over two decades: small runs may be noisier, or large ones"
    growth = Heteroscedasticity(along="compute", exponent=Normal(mean=0.0, sd=0.15, why=why))
    noise = replace(universe.model.noise, growth=growth)
    return _with_model(universe, noise=noise, tag="growing")


def upper(share: float) -> Callable[[Universe], Universe]:
    """Leave out a share of the runs, those of least compute."""

    def make(universe: Universe) -> Universe:
        compute = universe.runs.compute
        kept = compute >= np.quantile(compute, share)
        return replace(universe, runs=universe.runs.where(kept, f"upper {1 - share:g} by compute"))

    return make


def lower(share: float) -> Callable[[Universe], Universe]:
    """Leave out a share of the runs, those of most compute."""

    def make(universe: Universe) -> Universe:
        compute = universe.runs.compute
        kept = compute <= np.quantile(compute, 1.0 - share)
        return replace(universe, runs=universe.runs.where(kept, f"lower {1 - share:g} by compute"))

    return make


def without_flagged(universe: Universe) -> Universe:
    """Leave out the runs that the column ``outlier`` flags, where there is one."""
    table = universe.runs.table
    if "outlier" not in table:
        return universe
    return replace(
        universe, runs=universe.runs.where(table["outlier"].to_numpy() == 0, "not flagged")
    )


def without_embeddings(universe: Universe) -> Universe:
    """Fit a law of parameters without embeddings, by the rule of Chinchilla's shapes.

    The budget and N_opt stay in total parameters, so that only the law is of another N.
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
    """Fit the law of another card, with its priors, under the noise that there is."""

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
"""Questions and the choices that are made of each unless others are given: 108 combinations."""


def _with_model(universe: Universe, *, tag: str, **changes: object) -> Universe:
    # The name says what was changed: models of one name are compiled once.
    model = replace(universe.model, id=f"{universe.model.id}, {tag}", **changes)  # type: ignore[arg-type]
    return replace(universe, model=model)
