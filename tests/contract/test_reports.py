"""The report of every kind of model, in every form, of one level or of none."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from contract.fits import few_draws, fit_of_card, models

import bayescale as bs
from bayescale._outputs import REPORT
from bayescale.data.levels import Levels
from bayescale.reports import report as writing
from bayescale.reports.blocks import CAVEATS, Facts, Picture, Table
from bayescale.units import WEIGHTS

BUDGET = "1e22"
NAMES = list(models())
OF_ONE_LEVEL = [
    name
    for name, model in models().items()
    if any(not pooling.min_levels for pooling in model.pooling)
]
DRAWN = ("chinchilla-pooled", "nested", "two-powers", "power-law", "data-constrained")
"""Models whose figures are written out too, which takes most of the time of a page."""

VOID = {"meta", "img", "br", "input"}

cases = pytest.mark.parametrize(
    ("name", "of"),
    [(name, "none") for name in NAMES] + [(name, "group") for name in OF_ONE_LEVEL],
)


def fixed_inputs(fit: bs.Fit) -> dict[str, float] | None:
    """Return values of inputs other than size and tokens, from the middle of the runs."""
    own = {"n_params", "n_tokens", "n_steps"}
    return {
        name: float(np.median(values)) for name, values in fit.inputs.items() if name not in own
    } or None


def asked_of(fit: bs.Fit) -> dict[str, object]:
    """Return the arguments of a report: budgets, or points in the middle of the runs and beyond."""
    if fit.law.splits_compute:
        return {"budget": [BUDGET], "fixed": fixed_inputs(fit)}
    return {
        "inputs": {
            fit.columns[name]: [float(np.median(values)), float(3 * values.max())]
            for name, values in fit.inputs.items()
        }
    }


def of_a_level(fit: bs.Fit) -> bs.Fit:
    column = fit.groupings[-1]
    return fit.sel(**{column: Levels.of(fit.runs, column).text(fit.levels(column).labels)[0]})


@pytest.fixture
def facts_of(monkeypatch, tmp_path):
    """Return a function that writes the page of a model, and returns its text and facts."""

    def write(name: str, of: str) -> tuple[bs.Fit, Facts, str]:
        fit = few_draws(fit_of_card(name))
        fit = fit if of == "none" else of_a_level(fit)
        write_page, gathered = writing.FORMS[".html"], []

        def noted(facts: Facts) -> str:
            gathered.append(facts)
            return write_page(facts)

        monkeypatch.setitem(writing.FORMS, ".html", noted)
        monkeypatch.setattr("bayescale.reports.budgets.NODES", 7)
        if name not in DRAWN:
            monkeypatch.setattr("bayescale.reports.html._inline", lambda *_, **__: "data:,")
        path = bs.report(fit, tmp_path / "r.html", **asked_of(fit), progress=False)
        return fit, gathered[0], path.read_text(encoding="utf-8")

    return write


class Page(HTMLParser):
    """The cells of a page, and whether every tag that opens also closes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            self.images.append(dict(attrs))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "td":
            self.cells[-1] += data


@cases
def test_a_report_in_every_form(facts_of, name, of, tmp_path):
    fit, facts, source = facts_of(name, of)
    page = Page(source)
    assert page.open == []
    # The script fills the cells of the control, one for each quantity and level.
    assert all(cell.strip() for cell in page.cells) or facts.budgets
    assert all(picture["alt"] and picture["src"] for picture in page.images)
    pictures = [b for section in facts.sections for b in section.blocks if isinstance(b, Picture)]
    pictures += [answer.picture for answer in facts.answers if answer.picture]
    # The formula as well, unless a user's own law is not TeX.
    assert len(page.images) in (len(pictures), len(pictures) + 1)
    text = writing.FORMS[".md"](facts)
    record = json.loads(writing.FORMS[".json"](facts), parse_constant=pytest.fail)
    assert record["next_steps"]
    for form, content in ((".html", source), (".md", text)):
        written = (tmp_path / "written").with_suffix(form)
        written.write_text(content, encoding="utf-8")
        REPORT.check(written)  # the next report may replace it
    for shown in (source, text):
        assert "nan" not in re.sub(r"data:image\S+", "", shown.lower()).split()
        assert fit.law.name in shown
    asked = asked_of(fit)
    if fit.law.splits_compute:
        best = bs.allocate(fit, **asked).recommended.iloc[0]
        (answer,) = record["answers"]
        assert answer["n_params"] == pytest.approx(best["n_params"])
        assert answer["n_tokens"] == pytest.approx(best["n_tokens"])
        assert record["budgets"]["asked"] == [float(BUDGET)]
    else:
        *mixture, inside, beyond = record["answers"]
        assert bool(mixture) == bool(fit.law.domains)
        found = bs.predict(fit, **asked)[fit.response].median(("chain", "draw"))
        assert inside[fit.response]["median"] == pytest.approx(float(found[0]))
        assert inside["beyond"] == {}
        # Three times as much of every domain is the same mixture.
        far = [] if set(fit.inputs) <= WEIGHTS else [3.0] * len(fit.inputs)
        assert list(beyond["beyond"].values()) == pytest.approx(far)
        assert record["budgets"] is None
        assert any("extrapolates" in caveat for caveat in record["caveats"]) == bool(far)
    for level in fit.groups.values():
        assert str(level) in record["description"]
    kinds = [CAVEATS.index(caveat.kind) for caveat in facts.caveats]
    assert kinds == sorted(kinds)
    assert record["caveats"] == [caveat.sentence for caveat in facts.caveats]
    assert len(record["sections"]) == len(facts.sections)
    for section in facts.sections:
        assert f"<h2>{section.title}</h2>" in source
        assert f"## {section.title}" in text
        tables = [block for block in section.blocks if isinstance(block, Table)]
        assert all(len(row) == len(table.header) for table in tables for row in table.rows)
        assert all(table.rows for table in tables)


@pytest.mark.slow
def test_a_report_of_levels_shows_each(facts_of):
    fit, facts, _ = facts_of("chinchilla-pooled", "none")
    (section,) = [section for section in facts.sections if section.id == "families"]
    (table,) = section.blocks
    assert [row[0] for row in table.rows] == ["c4", "pile", "web", "a new one"]
    for record in table.records[:-1]:
        own = bs.allocate(fit.sel(family=record["family"]), budget=BUDGET)
        n_opt = float(own.draws["n_opt"].median())
        assert record["N_opt at 1e22 FLOP"] == pytest.approx(n_opt, rel=0.02)
    assert facts.description.startswith("For a new family, since none was named")


@pytest.mark.parametrize(
    ("name", "asked", "found"),
    [
        ("power-law-floor", {"plans": {"x": ("1B", "20B")}}, "plans: the law power-law-floor"),
        ("power-law-floor", {"limits": bs.Limits(max_params="1B")}, "limits"),
        ("encoder-decoder", {"budget": "1e22"}, "budget: the law encoder-decoder is one of loss"),
        ("chinchilla", {"budget": "1e22", "inputs": {"n_params": "1B"}}, "inputs: the law"),
    ],
)
def test_arguments_that_a_law_does_not_take_are_refused(tmp_path, name, asked, found):
    with pytest.raises(bs.UnsuitableLawError, match=found):
        bs.report(fit_of_card(name), tmp_path / "r.md", progress=False, **asked)


def test_budgets_are_needed_where_they_are_split(tmp_path):
    with pytest.raises(bs.AmountError, match="expected one or more budgets"):
        bs.report(fit_of_card("chinchilla"), tmp_path / "r.md", progress=False)
