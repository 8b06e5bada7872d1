"""Arguments that take several values: a text is a list of one, and what is no mapping is refused.

The parameters are found by their annotations. A new function joins by a line of `ARGUMENTS`, without
which a test fails.
"""

import inspect
import types
import typing
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from contract.fits import fit_of_card

import bayescale as bs
from bayescale.errors import as_list
from bayescale.sensitivity.steps import Step
from bayescale.validation.scales import ScalesLeftOut

WRONG = "nosuch"

PAPERS = {name: bs.published(name) for name in ("besiroglu2024", "hoffmann2022")}
PAPER = PAPERS["besiroglu2024"]
CURVE = pd.DataFrame({"x": np.geomspace(1, 1e3, 9), "loss": 1 + np.geomspace(1, 1e3, 9) ** -0.3})
SCHEDULE = "cosine:peak=3e-4,steps=8k,warmup=500"
DONE = pd.DataFrame({"run": ["big"], "N": ["70B"], "D": ["1.4T"], "loss": [1.94]})


def runs() -> bs.Runs:
    return bs.load_runs("chinchilla")


def fit() -> bs.Fit:
    return fit_of_card("chinchilla")


@cache
def forecast() -> bs.Forecast:
    return bs.forecast(CURVE, to=1e4, laws=["power-law"])


def steps() -> pd.DataFrame:
    step = np.arange(600, 8001, 200)
    return pd.DataFrame({"step": step, "loss": 2.5 + 9 * step**-0.5, "run": "short"})


def mixing(**values: float) -> bs.Constants:
    return bs.Constants(name="made", law="data-mixing-2", parameters=values, source="made")


def sealed() -> bs.Preregistration:
    return bs.preregister(fit(), {"big": {"n_params": "70B", "n_tokens": "1.4T"}})


ARGUMENTS: dict[str, Callable[[], dict[str, object]]] = {
    "allocate": lambda: {"source": PAPER, "budget": 1e22},
    "apparent_exponents": lambda: {"source": PAPER},
    "compare": lambda: {"fits": {"chinchilla": fit()}},
    "compare.fits": lambda: {"runs": runs()},
    "cross_regret": lambda: {"sources": PAPERS, "budget": 1e22},
    "data_mixture": lambda: {"fits": mixing(c=2.0, b_1=0.5, b_2=1.5)},
    "decide": lambda: {"source": PAPER, "budget": 1e22},
    "elasticities": lambda: {"sources": PAPERS, "n_params": "1B", "n_tokens": "20B"},
    "expanding_window": lambda: {
        "runs": runs(),
        "model": "chinchilla",
        "cuts": ["1e20"],
        "budget": 1e22,
    },
    "first_sweep": lambda: {"budget": 1e20, "target": 1e22},
    "forecast": lambda: {"source": CURVE, "to": 1e4},
    "forecast_by_floor": lambda: {
        "runs": runs(),
        "model": "chinchilla",
        "floors": [1.75],
        "budget": 1e22,
    },
    "forecast_run": lambda: {
        "source": steps(),
        "schedule": SCHEDULE,
        "run": "long",
        "schedules": {"short": SCHEDULE},
    },
    "hold_out": lambda: {"runs": runs(), "train": "compute < 1e21"},
    "isoflop_parabolas": lambda: {"runs": runs()},
    "learn_prior": dict,
    "leave_scale_out": lambda: {"runs": runs(), "models": ["chinchilla"], "cuts": ["1e20"]},
    "load_runs": lambda: {"source": "chinchilla"},
    "model_average": lambda: {"fits": {"one": fit()}, "weights": {"one": 1.0}},
    "multiverse": lambda: {"runs": runs(), "model": "chinchilla", "budget": 1e22},
    "next_runs": lambda: {"fit": fit(), "target": 1e22, "budget": 1e20},
    "plots.curve": lambda: {"fit": fit_of_card("power-law")},
    "plots.decision_prior": lambda: {"fit": fit(), "budget": 1e22},
    "plots.forecast": lambda: {"found": forecast()},
    "plots.forest": lambda: {"fit": fit_of_card("chinchilla-pooled"), "budget": 1e22},
    "plots.frontier": lambda: {"fit": fit(), "budget": 1e22},
    "plots.isoflop": lambda: {"fit": fit()},
    "plots.optimal_size": lambda: {"fit": PAPER, "budget": 1e22},
    "plots.pairs": lambda: {"fit": fit()},
    "plots.tokens_per_param": lambda: {"fit": PAPER, "budget": 1e22},
    "predict": lambda: {"fit": PAPER, "n_params": "7B", "n_tokens": "2T"},
    "preregister": lambda: {"fit": fit()},
    "reconcile_exponents": lambda: {"runs": runs()},
    "report": lambda: {"fit": PAPER, "path": "report.md", "budget": 1e22},
    "requirements": lambda: {"source": PAPER, "loss": 2.0},
    "score": lambda: {
        "fit": fit_of_card("chinchilla-pooled"),
        "runs": fit_of_card("chinchilla-pooled").runs,
    },
    "score_forecasts": lambda: {"forecasts": sealed(), "runs": DONE},
    "speedup": lambda: {"source": PAPERS, "baseline": "hoffmann2022", "budget": 1e22},
    "token_quality": lambda: {"fit": fit_of_card("chinchilla-quality"), "baseline": "c4"},
    "two_step": lambda: {
        "first": PAPER,
        "second": fit_of_card("accuracy-from-loss"),
        "n_params": "7B",
        "n_tokens": "2T",
    },
    "value_of_runs": lambda: {"fit": fit(), "runs": [("1B", "20B")], "target": 1e22},
}
"""By function, or by function and parameter, the other arguments."""

ONE_OR_SEVERAL = ("data_mixture.fits", "elasticities.sources", "speedup.source")
"""Parameters that take a posterior, or several by name."""


def public(module: types.ModuleType, prefix: str = "") -> dict[str, Callable[..., object]]:
    found = {name: getattr(module, name) for name in module.__all__}
    return {f"{prefix}{name}": f for name, f in found.items() if inspect.isfunction(f)}


FUNCTIONS = public(bs) | public(bs.plots, "plots.")


def forms(annotation: object) -> set[str]:
    """Return the names of the types that an argument may have, such as ``Sequence``."""
    if isinstance(annotation, typing.TypeAliasType):
        return forms(annotation.__value__)
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        return set().union(*map(forms, typing.get_args(annotation)))
    if isinstance(annotation, str):
        return {form.partition("[")[0] for form in annotation.split(" | ")}
    return {getattr(typing.get_origin(annotation), "__name__", "")}


def of_form(is_such: Callable[[set[str]], bool]) -> list[str]:
    """Return the parameters of public functions of some forms, as ``function.parameter``."""
    return [
        f"{function}.{name}"
        for function, call in FUNCTIONS.items()
        for name, parameter in inspect.signature(call).parameters.items()
        if is_such(forms(parameter.annotation))
    ]


LISTS = of_form(lambda found: bool(found & {"Sequence", "Collection"}))
MAPPINGS = of_form(lambda found: "Mapping" in found and not found & {"Sequence", "Collection"})
LIMITS = [
    f"{function}.{name}"
    for function, call in FUNCTIONS.items()
    for name, parameter in inspect.signature(call).parameters.items()
    if parameter.annotation is bs.Limits
]


def call(place: str, value: object) -> object:
    """Call a function with a value of one of its parameters."""
    function, _, name = place.rpartition(".")
    arguments = ARGUMENTS.get(place) or ARGUMENTS[function]
    return FUNCTIONS[function](**(arguments() | {name: value}))


def test_every_function_that_takes_several_values_is_here():
    taking = {place.rpartition(".")[0] for place in (*LISTS, *MAPPINGS, *LIMITS)}
    assert {place for place in ARGUMENTS if place in FUNCTIONS} == taking
    assert {place for place in ARGUMENTS if place not in FUNCTIONS} <= {*LISTS, *MAPPINGS}


@pytest.mark.parametrize("place", LISTS)
def test_a_text_is_a_list_of_one(place):
    errors = []
    for value in (WRONG, [WRONG]):
        with pytest.raises((bs.BayescaleError, ValueError), match=WRONG) as found:
            call(place, value)
        errors.append(str(found.value))
    assert errors[0] == errors[1]


@pytest.mark.parametrize("wrong", [WRONG, [WRONG]], ids=["a text", "a list"])
@pytest.mark.parametrize("place", MAPPINGS)
def test_what_is_no_mapping_is_refused(place, wrong):
    # Some take one posterior, too.
    expected = "a fit" if place in ONE_OR_SEVERAL else "a mapping such as {"
    with pytest.raises(bs.BayescaleError, match=f"found .*{WRONG}.*, expected {expected}"):
        call(place, wrong)


@pytest.mark.parametrize("place", LIMITS)
def test_limits_by_name_are_refused(place):
    with pytest.raises(bs.AmountError, match=r"found .*max_tokens.*, expected bayescale.Limits"):
        call(place, {"max_tokens": 1e12})


@pytest.mark.parametrize("of", ["loss", ["loss"]])
def test_one_name_or_amount_is_read_as_a_list_of_it(of):
    model = bs.load_model("chinchilla")
    assert model.pool("family", of=of).groupings == ("family",)
    assert [effect.of for effect in model.pool("family", of=of).effects] == ["loss"]
    several = isinstance(of, list)
    cited = replace(model, references=["a paper"] if several else "a paper")
    assert cited.references == ("a paper",)
    coupled = bs.load_model("coupled-discrepancy").discrepancy
    axes = replace(coupled, axes=["n_params"] if several else "n_params").axes
    assert axes == ("n_params",)
    assert forecast().quantiles([0.5] if several else 0.5).columns.to_list() == [0.5]
    scores = pd.MultiIndex.from_tuples([("aa", 1.0), ("a", 1.0)], names=["model", "cut"])
    left_out = ScalesLeftOut(pd.DataFrame({"ok": 1.0}, index=scores), {})
    assert left_out.of(["aa"] if several else "aa").models == ("aa",)
    assert as_list(Path("card.toml")) == [Path("card.toml")]


@pytest.mark.parametrize("wrong", [WRONG, [WRONG]], ids=["a text", "a list"])
@pytest.mark.parametrize(
    "make",
    [
        lambda given: replace(bs.load_model("chinchilla"), inputs=given),
        lambda given: replace(bs.load_model("chinchilla"), priors=given),
        lambda given: replace(PAPER, parameters=given),
        lambda given: replace(PAPER, inputs=given),
        lambda given: bs.Noise(kind="normal", priors=given),
        lambda given: Step(name="a step", why="a test", columns=given),
    ],
    ids=["inputs", "priors", "parameters", "inputs of constants", "noise", "step"],
)
def test_what_is_no_mapping_makes_no_part_of_a_model(make, wrong):
    with pytest.raises(
        bs.BayescaleError, match=f"found .*{WRONG}.*, expected a mapping such as {{"
    ):
        make(wrong)


def test_texts_are_neither_choices_nor_pairs():
    asked = {"runs": "chinchilla", "model": "chinchilla", "budget": 1e22}
    with pytest.raises(bs.CardError, match="choices, window: found 'all', expected choices, such"):
        bs.multiverse(**asked, choices={"window": "all"})
    # Each of two letters, as a pair is of two amounts.
    with pytest.raises(
        bs.AmountError, match=r"found \('1B', '2T'\), expected pairs of size and tok"
    ):
        bs.value_of_runs(fit(), ("1B", "2T"), target=1e22)


def test_the_plural_of_a_kind_is_that_of_its_noun():
    for run, kind in ((bs.forecast, "laws of a forecast"), (bs.forecast_run, "laws of schedules")):
        with pytest.raises(bs.UnknownNameError, match=f"; the {kind} are "):
            run(
                CURVE, **({"to": 1e4} if run is bs.forecast else {"schedule": SCHEDULE}), laws=WRONG
            )
