"""The Streamlit page, run for each visitor and again after each change of a control.

Its only argument is JSON: the path of the fit and the options of the command.
"""

import io
import json
import sys
from typing import Any

import streamlit as st
from matplotlib.figure import Figure
from streamlit.delta_generator import DeltaGenerator

from bayescale import plots
from bayescale.costs import PEAKS, Cluster
from bayescale.data.levels import NEW
from bayescale.decision.result import Decision
from bayescale.errors import BayescaleError
from bayescale.explore.question import QUICK, UTILISATION, Question, budgets_for, floors_of
from bayescale.inference.load import load_fit
from bayescale.posterior.fit import Fit
from bayescale.units import format_budget, format_count, format_share

# Streamlit displays bare string literals, so constants are described in comments here.
_NONE = 0.0
# Numbers of tokens that the sliders offer, zero included.
_AMOUNTS = [_NONE, *(float(f"{step}e{power}") for power in range(9, 16) for step in (1, 2, 5))]

_PRICES = [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0, 10.0]
_PROBS = [0.5, 0.8, 0.9, 0.95, 0.99]

_STYLE = """<style>
.block-container { max-width: 75rem; padding: 2.5rem 1.5rem; }
[data-testid="stTable"] { overflow-x: auto; }
[data-testid="stTable"] td, [data-testid="stTable"] th { white-space: nowrap; }
[data-testid="stToolbar"] { display: none; }
%s
</style>"""
# Figures are drawn in dark ink on white; inverting and rotating keeps their hues.
_DARK = "[data-testid='stImage'] img { filter: invert(0.9) hue-rotate(180deg); }"


def main() -> None:
    """Show the terms and the decision under them."""
    st.set_page_config(page_title="bayescale explore", layout="wide")
    dark = st.context.theme.type == "dark"
    st.html(_STYLE % (_DARK if dark else ""))
    settings = json.loads(sys.argv[1])
    # Read once, for all visitors.
    fit: Fit = st.cache_resource(_load, show_spinner="Reading the fit")(
        settings["fit"], tuple(settings["groups"].items()), tuple(settings["new_levels"])
    )
    st.subheader("Which model to train", anchor=False)
    st.caption(_text(fit.headline))
    decision = st.empty()
    terms, answer = st.columns([1, 2], gap="large")
    with terms:
        question = _terms(fit, settings)
    with answer:
        _answers(fit, question, decision)


def _load(path: str, groups: tuple[tuple[str, str], ...], new_levels: tuple[str, ...]) -> Fit:
    levels: dict[str, Any] = {**dict(groups), **dict.fromkeys(new_levels, NEW)}
    return load_fit(path).sel(**levels)


def _terms(fit: Fit, settings: dict[str, Any]) -> Question:
    """Show the sliders, and return their values as a question."""
    budgets, first = budgets_for(fit, settings["budget"])
    budget = st.select_slider(
        "Budget", budgets, first, key="budget", format_func=lambda x: format_budget(x, "FLOP")
    )
    serving = st.select_slider(
        "Tokens to be served, paid from the budget",
        _AMOUNTS,
        key="serving",
        format_func=lambda x: format_count(x) if x else "none",
    )
    cap = st.select_slider(
        "Available training tokens",
        [*_AMOUNTS[1:], _NONE],
        _NONE,
        key="cap",
        format_func=lambda x: format_count(x) if x else "any number",
    )
    plans = st.text_input(
        "Plans to compare", "; ".join(settings["plans"]), key="plans", placeholder="7B,2T; 3B,1T"
    )
    floor = _floor(fit)
    uncertainty = st.radio(
        "The law is",
        ["uncertain, as fitted", "its median, as if known"],
        key="law",
        help="Its median has neither noise nor discrepancy, and no interval.",
    )
    prob = st.select_slider(
        "Probability of intervals",
        sorted({*_PROBS, settings["prob"]}),
        settings["prob"],
        key="prob",
        format_func=format_share,
    )
    gpu = st.selectbox("GPU", list(PEAKS), list(PEAKS).index("H100-SXM"), key="gpu")
    count = st.select_slider("GPUs", [2**i for i in range(3, 17)], 1024, key="gpus")
    price = st.select_slider(
        "Price of a GPU-hour", _PRICES, 2.0, key="price", format_func=lambda x: f"${x:.2f}"
    )
    st.caption(f"GPUs attain {format_share(UTILISATION)} of their peak rate.")
    return Question(
        budget=budget,
        serving_tokens=serving,
        cluster=Cluster(n_gpus=count, peak=gpu, utilisation=UTILISATION, price=price),
        max_tokens=cap or None,
        plans=plans,
        floor=floor,
        certain=uncertainty != "uncertain, as fitted",
        prob=prob,
        fixed=settings["fixed"],
    )


def _floor(fit: Fit) -> tuple[float, float] | None:
    """Show a range of floors, if the law has one, and return it unless it contains all draws."""
    floors = floors_of(fit)
    if not len(floors) or floors.min() == floors.max():
        return None
    ends = float(floors.min()), float(floors.max())
    step = 10.0 ** round(float(f"{ends[1] - ends[0]:e}".split("e")[1])) / 100
    low, high = step * (ends[0] // step), step * (ends[1] // step + 1)
    found: tuple[float, float] = st.slider(
        "The floor lies between",
        low,
        high,
        (low, high),
        step,
        format="%.3f",
        key="floor",
        help="The posterior given this range: its draws with such a floor, without a refit.",
    )
    return None if found == (low, high) else found


def _answers(fit: Fit, question: Question, decision: DeltaGenerator) -> None:
    """Show an answer from a few draws at once, and then replace it by one from all draws.

    The decision is above the sliders, where a small screen shows it first.
    """
    place = st.empty()
    try:
        if fit.n_draws > QUICK and not question.certain:
            made = question.answer(fit, QUICK)
            decision.markdown(_headline(made))
            with place.container():
                _show(made, f"From {made.source.n_draws:,} draws; all of them follow.")
        made = question.answer(fit)
    except (BayescaleError, ValueError) as error:
        decision.empty()
        with place.container():
            st.error(_text(str(error)))
        return
    decision.markdown(_headline(made))
    with place.container():
        count = made.source.n_draws
        _show(made, f"From all {count:,} draws." if count > 1 else "From one set of coefficients.")


def _headline(made: Decision) -> str:
    return f"**{_text(made.sentences[0])}**"


def _show(made: Decision, draws: str) -> None:
    figure = Figure(figsize=(7.0, 3.6), layout="constrained")
    plots.regret(made, figure.subplots())
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=160)
    st.image(image, width="stretch")
    st.markdown("\n".join(f"- {_text(sentence)}" for sentence in made.sentences[1:]))
    st.table(made.text_table().T.map(_text))
    for caveat in made.caveats:
        st.caption(_text(caveat))
    st.caption(draws)


def _text(sentence: str) -> str:
    """Return text with Markdown characters escaped, so that $ does not start a formula."""
    for sign in ("$", "*", "_", "~", "["):
        sentence = sentence.replace(sign, f"\\{sign}")
    return sentence


if __name__ == "__main__":
    main()
