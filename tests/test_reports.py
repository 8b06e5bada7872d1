import base64
import re
from html.parser import HTMLParser

import pytest

import bayescale as bs

BUDGETS = ["1e21", "5.76e23"]
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Collects texts, attributes and whether every tag that opens also closes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.tags: set[str] = set()
        self.references: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img":
            self.images.append(dict(attrs))
        self.references += [value for name, value in attrs if name in ("src", "href", "srcset")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.texts.append(" ".join(data.split()))

    @property
    def text(self) -> str:
        return " ".join(filter(None, self.texts))


@pytest.fixture(scope="module")
def source(fit, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    assert bs.report(fit, path, compute=BUDGETS) == path
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(source) -> Page:
    return Page(source)


def test_the_page_is_whole_and_self_contained(page, source):
    assert page.open == []
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert all(reference.startswith("data:image/svg+xml;base64,") for reference in page.references)
    assert not re.search(r"url\(|@import", source)


def test_the_answer_comes_first(page, fit):
    text = page.text
    order = [
        "All gates passed",
        "With 1e21 FLOP, train",
        "With 5.76e23 FLOP, train",
        "Read this with",
    ]
    order += ["Allocation", "Figures", "Parameters", "Diagnostics", "Data", "Model", "Provenance"]
    places = [text.index(words) for words in order]
    assert places == sorted(places)
    plan = bs.allocate(fit, compute=BUDGETS).text_table()
    for cell in plan.to_numpy().ravel():
        assert cell in text


def test_what_a_reader_must_know(page):
    for words in (
        "Far beyond the data: 5.76e23 FLOP is 44 times",
        "none stated",
        "5 flagged outliers left out",
        "8-bit colour scale",
        "n_tokens derived as compute / (6 n_params)",
        "arXiv:2203.15556",
        "the geometric centre of the runs",
        "seed 1",
        "loss at optimum",
        "loss of plan",
        "loss of next run",
    ):
        assert words in page.text, words


def test_figures_have_descriptions_and_are_drawn(page):
    formulas = [image for image in page.images if image["alt"].startswith("L = E + A")]
    figures = [image for image in page.images if image not in formulas]
    assert (len(formulas), len(figures)) == (1, 4)
    for image in figures:
        assert len(image["alt"].split()) > 10
        picture = base64.b64decode(image["src"].split(",", 1)[1]).decode()
        assert picture.lstrip().startswith("<?xml")
        assert picture.count("<path") > 20


def test_texts_from_users_are_escaped(fit, tmp_path):
    evil = '<script>alert(1)</script> & "co"'
    runs = bs.Runs(fit.runs.table, evil, (evil,))
    odd = bs.Fit(fit.model, runs, fit.scale, fit.posterior, fit.sample_stats, fit.provenance)
    bs.report(odd, tmp_path / "r.html", compute=1e21)
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "<script>" not in odd._repr_html_() + runs._repr_html_()


def test_a_failed_fit_leads_the_page(failed_fit, tmp_path):
    bs.report(failed_fit, tmp_path / "r.html", compute=1e21)
    text = Page((tmp_path / "r.html").read_text(encoding="utf-8")).text
    body = text.split("compute-optimal plans", 1)[1]
    assert body.strip().startswith("THIS FIT FAILED ITS GATES")


def test_the_same_fit_gives_the_same_page(fit, source, tmp_path):
    bs.report(fit, tmp_path / "r.html", compute=BUDGETS)
    assert (tmp_path / "r.html").read_text(encoding="utf-8") == source


def test_a_bad_budget_writes_nothing(fit, tmp_path):
    with pytest.raises(bs.AmountError):
        bs.report(fit, tmp_path / "r.html", compute="soon")
    with pytest.raises(FileNotFoundError):
        bs.report(fit, tmp_path / "no" / "r.html", compute=1e21)
    assert list(tmp_path.iterdir()) == []


def test_other_laws_have_reports_too(chinchilla_runs, tmp_path):
    kaplan = bs.fit("kaplan-nd", chinchilla_runs, seed=1, progress=False)
    bs.report(kaplan, tmp_path / "r.html", compute=1e22)
    assert "made for early-stopped runs" in Page((tmp_path / "r.html").read_text()).text
