"""Every class of results and fits: the first sentence, table, figure, notebook output and record."""

import json
from html.parser import HTMLParser

import matplotlib as mpl
import pytest
from contract.fits import few_draws, fit_of_card
from contract.results import RESULTS, result_of
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from modules import import_all

import bayescale as bs
from bayescale.plots.figures import FIGURES
from bayescale.posterior.diagnostics import FAILED
from bayescale.posterior.result import Result

# Fits of few draws, which are quick, fail the gate on effective sample size.
pytestmark = pytest.mark.filterwarnings("ignore:THIS FIT FAILED ITS GATES")
each = pytest.mark.parametrize("kind", RESULTS, ids=lambda kind: kind.__name__)
each_result = pytest.mark.parametrize(
    "kind", [kind for kind in RESULTS if issubclass(kind, Result)], ids=lambda kind: kind.__name__
)


def concrete(kind: type) -> set[type]:
    """Return the classes below one that have results."""
    below = set().union(*map(concrete, kind.__subclasses__()), set())
    return below or {kind}


def test_every_class_has_a_figure_and_an_example():
    import_all()
    ours = {kind for kind in concrete(Result) if kind.__module__.startswith("bayescale.")}
    assert ours | {bs.Fit, bs.ModelAverage} == set(FIGURES) == set(RESULTS)


@each
def test_a_figure_is_drawn_on_given_axes_or_on_new_ones(kind):
    import matplotlib.pyplot as plt

    given = Figure().subplots()
    found = result_of(kind)
    assert found.plot(ax=given) is given
    assert given.has_data() and given.get_xlabel()
    with mpl.rc_context({"backend": "agg"}):
        made = found.plot()
        assert isinstance(made, Axes) and made is not given
        plt.close("all")


class Page(HTMLParser):
    """Checks that every tag that opens closes, and collects the addresses that are loaded."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str | None] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.loaded += [value for name, value in attrs if name in ("src", "href", "xlink:href")]

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@each
def test_notebooks_show_the_answer_with_its_figure(kind):
    page = result_of(kind)._repr_html_()
    assert page.count("<svg") == 1 and "<script" not in page
    assert all(address.startswith(("#", "data:")) for address in Page(page).loaded), (
        "nothing of a server"
    )
    assert "#000000" not in page and "currentColor" in page


def test_notebooks_show_the_same_page_each_time():
    found = result_of(bs.Allocation)
    assert found._repr_html_() == found._repr_html_()


@each_result
def test_the_answer_is_read_first_and_a_failure_before_it(kind):
    found = result_of(kind)
    text = str(found)
    assert repr(found) == text
    assert found.headline, "what it is computed from"
    assert text.startswith(found.headline) == found.failed
    assert text.endswith(found.headline) == (not found.failed)
    assert "R-hat at most" not in text
    for sentence in (*found.sentences, *found.caveats):
        assert text.count(sentence) == 1
    assert not found.text_table().empty


@each_result
def test_a_record_is_json_and_says_the_same(kind):
    found = result_of(kind)
    record = found.to_record()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["headline"] == found.headline
    assert record["sentences"] == list(found.sentences)
    assert record["table"]


@pytest.mark.parametrize("name", ["chinchilla", "power-law", "mixture-of-experts", "nested"])
def test_a_notebook_shows_diagnostics_before_the_decision(name):
    fit = fit_of_card(name)
    page = fit._repr_html_()
    first = page.index("<p")
    assert page[first:].startswith("<p>All gates passed: R-hat at most")
    assert fit.model.title.split("'")[0] in page and fit.runs.describe() in page
    for parameter in fit.law.parameters.values():
        assert parameter.meaning.replace("'", "&#x27;") in page
    ahead = "10 times the largest run" in page
    assert ahead == (name != "mixture-of-experts"), "whose other inputs are not known"
    failed = few_draws(fit)._repr_html_()
    assert failed[failed.index("<p") :].startswith(f'<p class="failed">{FAILED}')
    assert "10 times the largest run" not in failed


def test_the_kinds_of_laws_have_a_figure_each():
    labels = {
        name: few_draws(fit_of_card(name)).plot(Figure().subplots()).get_xlabel()
        for name in ("power-law", "two-powers", "mixture-of-experts", "nested")
    }
    assert labels == {
        "power-law": "training compute C (FLOP)",
        "two-powers": "training compute C (FLOP)",
        "mixture-of-experts": "predicted loss",
        "nested": "training compute C (FLOP)",
    }
    fixed = {"n_unique_tokens": "100B"}
    known = few_draws(fit_of_card("data-constrained")).plot(Figure().subplots(), fixed=fixed)
    assert known.get_xlabel() == "training compute C (FLOP)"


def test_options_are_those_of_the_function_that_draws():
    found = result_of(bs.Requirements)
    assert found.plot(Figure().subplots(), quantity="n_tokens").get_xlabel() == "tokens D"
    with pytest.raises(ValueError, match="quantity: found 'money', expected one of n_params"):
        found.plot(Figure().subplots(), quantity="money")
    with pytest.raises(bs.UnknownNameError, match="curve"):
        result_of(bs.Forecast).plot(Figure().subplots(), curves=["mine"])


def test_published_constants_have_no_interval():
    paper = bs.published("besiroglu2024")
    for found in (
        bs.allocate(paper, budget="1e22"),
        bs.decide(paper, budget="1e22"),
        bs.requirements(paper, loss=2.2),
        bs.score(paper, result_of(bs.Fit).runs),
    ):
        legend = [text.get_text() for text in found.plot(Figure().subplots()).get_legend().texts]
        assert not [text for text in legend if "90 %" in text or "50 %" in text]
        assert "90 %" not in str(found)
