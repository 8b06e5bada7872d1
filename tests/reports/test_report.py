import base64
import hashlib
import itertools
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from contract.fits import few_draws, fit_of_card

import bayescale as bs
from bayescale._plain import plain
from bayescale.costs import Cluster, Lifetime, Money, Serving
from bayescale.errors import BayescaleWarning, RunsError
from bayescale.model.identifiability import design_warnings
from bayescale.reports import html
from bayescale.reports.caveats import caveats_of
from bayescale.reports.markdown import escaped
from bayescale.units import format_count

BUDGETS = ["1e21", "5.76e23"]
VOID = {"meta", "img", "br", "input"}
HIDDEN = ("style", "script")
EVIL = '</script><script>alert(1)</script> & "co" | [x](javascript:y)'


class Page(HTMLParser):
    """Collects texts, attributes, headings, and whether every tag that opens also closes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif self.open and self.open[-1] not in HIDDEN:
            self.texts.append(" ".join(data.split()))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(filter(None, self.texts))

    @property
    def budgets(self) -> dict:
        return json.loads(self.scripts[0])


@pytest.fixture(scope="module")
def source(fit, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    assert bs.report(fit, path, budget=BUDGETS) == path
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(source) -> Page:
    return Page(source)


@pytest.fixture(scope="module")
def record(fit, tmp_path_factory) -> dict:
    path = tmp_path_factory.mktemp("report") / "report.json"
    bs.report(fit, path, budget=BUDGETS)
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def plan(fit) -> bs.Allocation:
    return bs.allocate(fit, budget=BUDGETS)


def test_the_page_is_whole_and_self_contained(page, source):
    assert page.open == []
    assert not {"link", "iframe", "object", "base"} & {tag for tag, _ in page.elements}
    fetched = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "action", "poster", "data")
    ]
    assert fetched
    assert all(re.match(r"data:image/(svg\+xml|png);base64,", value) for value in fetched)
    assert not re.search(r"url\(|@import", source)
    assert not re.search(r"fetch\(|XMLHttpRequest|import\(|https?:", page.scripts[1])
    assert not any(name.startswith("on") for _, found in page.elements for name in found)


def test_the_policy_of_the_page_allows_its_own_script_alone(page):
    policy = next(m["content"] for m in page.all("meta") if "http-equiv" in m)
    assert "default-src 'none'" in policy
    digest = base64.b64encode(hashlib.sha256(page.scripts[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert len(page.scripts) == 2


def test_headings_are_in_order_and_the_control_is_labelled(page):
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1 and levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    (control,) = page.all("input")
    assert control["type"] == "range"
    assert control["id"] in [label["for"] for label in page.all("label")]
    (output,) = page.all("output")
    assert output["for"] == control["id"]
    assert control["aria-describedby"] == output["id"]
    assert len(page.all("button")) == len(BUDGETS)
    assert page.all("html")[0]["lang"] == "en"
    ids = [found["id"] for _, found in page.elements if "id" in found]
    assert len(ids) == len(set(ids))


def test_without_a_script_a_table_stands_in_for_the_control(page, plan):
    assert "hidden" in next(found for found in page.all("div") if found.get("id"))
    assert "open" in page.all("details")[0]
    for budget, text in zip(plan.text_table().index, plan.text_table()["N_opt"], strict=True):
        assert f"{budget} (asked) {text}" in page.text


def test_the_answer_comes_first(page, plan):
    text = page.text
    order = [
        "With 1e21 FLOP, train",
        "within 1 % of the best",
        "within 5 % of the best",
        "regret of half the size",
        "With 5.76e23 FLOP, train",
        "What to do next",
        "How far to trust this",
        "Diagnostics: amber. All gates passed",
    ]
    order += ["Other budgets", "Allocation over budgets", "Alternatives", "Parameters, ela"]
    order += ["Fit and diagnostics", "Data", "Method", "Provenance"]
    places = [text.index(words) for words in order]
    assert places == sorted(places)
    for cell in plan.text_table().to_numpy().ravel():
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
        "compute 44x",
        "half the size",
        "Loss is not capability",
        "not the entropy of language",
        "repeats teach less",
        "whether each run's schedule ended with it",
        "No setting has runs of several seeds",
    ):
        assert words in page.text, words


def test_figures_have_descriptions_and_are_drawn(page):
    images = page.all("img")
    formulas = [image for image in images if image["alt"].startswith("L = E + A")]
    figures = [image for image in images if image not in formulas]
    assert len(formulas) == 1
    assert len(figures) == 9
    for image in figures:
        assert len(image["alt"].split()) > 10
        kind, content = image["src"].split(",", 1)
        picture = base64.b64decode(content)
        if "svg" in kind:
            assert picture.lstrip().startswith(b"<?xml")
            assert picture.count(b"<path") > 20
        else:
            assert picture.startswith(b"\x89PNG") and len(picture) > 20_000


def test_the_numbers_of_the_page_are_those_of_allocate(page, fit, plan, record):
    grid = page.budgets
    assert grid == record["budgets"]
    nodes = np.array(grid["budget"])
    assert set(plan.budgets) <= set(nodes)
    assert nodes[0] == pytest.approx(float(np.min(6 * fit.runs.n_params * fit.runs.n_tokens)))
    assert nodes[-1] == pytest.approx(10 * plan.budgets.max())
    some = nodes[[0, 20, 45, -1]]
    draws = bs.allocate(fit, budget=some).draws
    for name in ("n_opt", "d_opt", "tokens_per_param", "loss_plan"):
        expected = draws[name].quantile(grid["quantiles"], ("chain", "draw"))
        found = np.array(grid[name])[:, [0, 20, 45, -1]]
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert np.all(np.diff(grid["loss_run"], axis=0) > 0)


def test_answers_are_those_of_allocate_and_decide(fit, plan, record):
    table = plan.table(0.9)
    for i, answer in enumerate(record["answers"]):
        row, best = table.iloc[i], plan.recommended.iloc[i]
        assert answer["budget"] == plan.budgets[i]
        assert answer["n_params"] == pytest.approx(best["n_params"])
        assert answer["n_tokens"] == pytest.approx(best["n_tokens"])
        for name in ("n_opt", "d_opt", "loss_run"):
            ends = [row[f"{name}_lower"], row[f"{name}_upper"]]
            np.testing.assert_allclose(answer[name]["interval_90"], ends)
            low, high = answer[name]["interval_50"]
            assert ends[0] < low < answer[name]["median"] < high < ends[1]
        made = bs.decide(
            fit, budget=plan.budgets[i], plans={"it": (best["n_params"], best["n_tokens"])}
        )
        assert answer["regret"] == pytest.approx(made.table().loc["it", "regret"], rel=0.1)
        at = np.abs(np.log(made.sizes / best["n_params"])).argmin()
        for share in ("1", "5"):
            near = made.curve_of_regret[f"p_within_{share}"].iloc[at]
            assert answer["p_within"][share] == pytest.approx(near, abs=0.04)
        assert answer["p_within"]["1"] <= answer["p_within"]["5"]


def test_markdown_says_what_the_page_says(fit, page, record, tmp_path):
    text = bs.report(fit, tmp_path / "r.md", budget=BUDGETS).read_text(encoding="utf-8")
    assert text.startswith("# chinchilla: compute-optimal plans\n\nchinchilla law")
    assert text.index("With 1e21 FLOP, train") < text.index("**Diagnostics: amber.**")
    for sentence in record["next_steps"]:
        assert (
            sentence in page.text.replace("\N{NO-BREAK SPACE}", " ") and escaped(sentence) in text
        )
    cells = re.findall(r"\d\S* \[\S+, \S+\]", text)
    assert len(cells) > 50
    for cell in cells:
        assert cell in page.text
    for answer in record["answers"]:
        plan = f"{format_count(answer['n_params'])} parameters on "
        assert plan in text and plan in page.text
    for caveat in record["caveats"]:
        assert caveat in page.text
        assert escaped(caveat) in text
    columns = [line.count(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert min(columns) > 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b and _c_", "a_b and \\_c\\_"),
        ("2.10 [2.09, 2.11]", "2.10 [2.09, 2.11]"),
        ("[x](y)", "[x\\](y)"),
        ("<b>&", "&lt;b&gt;&amp;"),
        ("1. one", "&#49;. one"),
        ("- minus", "&#45; minus"),
        ("-1.5", "-1.5"),
        ("## no\nheading", "#&#35; no heading"),
        ("a | `b`", "a \\| \\`b\\`"),
    ],
)
def test_markdown_is_escaped(text, expected):
    assert escaped(text) == expected


@pytest.fixture(scope="module")
def odd(fit) -> bs.Fit:
    """The fit, of runs whose name and note are an attack."""
    runs = bs.Runs(fit.runs.table, EVIL, (EVIL,))
    return bs.Fit(fit.model, runs, fit.scale, fit.posterior, fit.sample_stats, fit.provenance)


@pytest.mark.slow
def test_texts_from_users_are_escaped(odd, tmp_path):
    plans = {EVIL: ("70B", "1.4T")}
    options = {"budget": 1e21, "plans": plans}
    text = bs.report(odd, tmp_path / "r.html", **options).read_text(encoding="utf-8")
    assert text.count("<script") == 2 == text.count("</script>")
    assert "alert(1)</" not in text
    assert "&lt;script&gt;" in text
    page = Page(text)
    assert page.open == [] and page.budgets["asked"] == [1e21]
    assert EVIL in page.text
    assert "<script>" not in odd._repr_html_() + odd.runs._repr_html_()
    text = bs.report(odd, tmp_path / "r.md", **options).read_text(encoding="utf-8")
    assert "<script" not in text
    assert set(re.findall(r".\]\(javascript", text)) == {r"\](javascript"}
    assert not re.search(r'"co" \|', text)
    record = json.loads(bs.report(odd, tmp_path / "r.json", **options).read_text())
    assert record["title"].startswith(EVIL)


def test_embedded_json_cannot_end_its_element():
    text = html._embedded({"unit": EVIL, "x": ["<!--", "\u2028"]})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"unit": EVIL, "x": ["<!--", "\u2028"]}


def test_numbers_that_are_not_finite_are_null():
    assert plain({"a": [np.nan, np.float64(1.5), np.int64(2), np.bool_(True), None]}) == {
        "a": [None, 1.5, 2, True, None]
    }


@pytest.mark.slow
def test_a_failed_fit_leads_every_form(failed_fit, tmp_path):
    text = Page(bs.report(failed_fit, tmp_path / "r.html", budget=1e21).read_text()).text
    body = text.split("compute-optimal plans", 1)[1]
    assert re.match(r"\s*✖ Diagnostics: red. THIS FIT FAILED ITS GATES", body)
    text = bs.report(failed_fit, tmp_path / "r.md", budget=1e21).read_text()
    assert text.startswith("**Diagnostics: red.** THIS FIT FAILED ITS GATES")
    record = json.loads(bs.report(failed_fit, tmp_path / "r.json", budget=1e21).read_text())
    assert next(iter(record.items())) == ("passed", False)
    assert record["status"].startswith("THIS FIT FAILED")


@pytest.mark.slow
def test_the_same_fit_gives_the_same_page(fit, source, tmp_path):
    bs.report(fit, tmp_path / "r.html", budget=BUDGETS)
    assert (tmp_path / "r.html").read_text(encoding="utf-8") == source


def test_what_is_bad_writes_nothing(fit, tmp_path):
    with pytest.raises(bs.AmountError):
        bs.report(fit, tmp_path / "r.html", budget="soon")
    with pytest.raises(FileNotFoundError):
        bs.report(fit, tmp_path / "no" / "r.html", budget=1e21)
    with pytest.raises(ValueError, match=r"found the suffix '.pdf', expected one of .html"):
        bs.report(fit, tmp_path / "r.pdf", budget=1e21)
    with pytest.raises(bs.AmountError, match="recommended here"):
        bs.report(fit, tmp_path / "r.md", budget=1e21, plans={"recommended here": (1e9, 1e9)})
    assert list(tmp_path.iterdir()) == []


def test_plans_and_a_cluster(fit, tmp_path):
    cluster = Cluster(n_gpus=512, peak="H100-SXM", utilisation=0.4, price="$2")
    path = tmp_path / "r.json"
    bs.report(fit, path, budget="1e22", plans={"mine": ("7B", "2T")}, cluster=cluster)
    (table,) = json.loads(path.read_text())["sections"]["alternatives"]["tables"]
    rows = {row["plan"]: row for row in table["rows"]}
    # The plan of least expected regret is the recommended one, but for a per cent of its size.
    assert list(rows) == ["recommended here", "mine"]
    assert rows["mine"]["note"] == "8.40 times the budget"
    assert rows["recommended here"]["days"] > 0 and rows["recommended here"]["regret_money"] > 0


@pytest.mark.filterwarnings("ignore:THIS FIT FAILED ITS GATES")
def test_the_speedup_of_recipes_has_a_section(tmp_path):
    some = few_draws(fit_of_card("chinchilla-recipes"), 40)
    found = bs.speedup(some, baseline="c4", budget="1e22")
    path = bs.report(some, tmp_path / "r.md", budget="1e22", speedup=found, progress=False)
    text = path.read_text(encoding="utf-8")
    assert "Speedup over c4" in text and found.sentences[0] in text
    other = few_draws(fit_of_card("chinchilla-pooled"), 40)
    with pytest.raises(RunsError, match="speedup"):
        bs.report(other, tmp_path / "o.md", budget="1e22", speedup=found, progress=False)


def test_comparison_sensitivity_and_next_runs(fit, compared, cuts, tmp_path):
    advised = bs.next_runs(fit, target="5.76e23", budget="1e22", n_runs=1)
    path = bs.report(
        fit,
        tmp_path / "r.html",
        budget="5.76e23",
        comparison=compared,
        cuts=cuts,
        next_runs=advised,
    )
    page = Page(path.read_text(encoding="utf-8"))
    sections = [found["id"] for found in page.all("section") if "id" in found]
    assert sections == [
        "allocation",
        "alternatives",
        "comparison",
        "sensitivity",
        "parameters",
        "next-runs",
        "fit",
        "data",
        "method",
        "provenance",
    ]
    assert page.open == []
    for sentence in (*compared.sentences, *cuts.caveats, *advised.sentences):
        assert sentence in page.text
    assert "if kaplan-nd holds" in page.text
    for caveat in cuts.caveats:
        assert page.text.index(caveat) < page.text.index("Far beyond the data")


@pytest.mark.slow
def test_a_full_report_asks_the_rest_itself(fit, tmp_path):
    path = bs.report(fit, tmp_path / "r.json", budget="5.76e23", full=True, progress=False)
    record = json.loads(path.read_text(encoding="utf-8"))
    assert {"comparison", "sensitivity", "next-runs"} <= set(record["sections"])
    rows = record["sections"]["comparison"]["tables"][0]["rows"]
    laws = {next(iter(row.values())) for row in rows}
    assert laws == {"chinchilla", "coupled", "kaplan-nd-floor"}


@pytest.mark.slow
def test_what_runs_cannot_answer_is_left_out_of_a_full_report(fit, tmp_path, monkeypatch):
    def refused(*args, **options):
        raise bs.RunsError("found too few runs.")

    for name in ("compare", "expanding_window", "next_runs"):
        monkeypatch.setattr(f"bayescale.reports.extras.{name}", refused)
    path = tmp_path / "r.md"
    with pytest.warns(BayescaleWarning, match="left out of the report. found too few runs"):
        bs.report(fit, path, budget="5.76e23", full=True, progress=False)
    assert "## Law comparison" not in path.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*left out of the report:bayescale.errors.BayescaleWarning")
def test_a_full_report_asks_nothing_that_it_was_given(fit, cuts, tmp_path, monkeypatch):
    def refused(*args, **options):
        raise bs.RunsError("found too few runs.")

    for name in ("compare", "next_runs"):
        monkeypatch.setattr(f"bayescale.reports.extras.{name}", refused)
    monkeypatch.setattr(
        "bayescale.reports.extras.expanding_window", lambda *_, **__: pytest.fail("asked again")
    )
    options = {"budget": "5.76e23", "cuts": cuts, "full": True, "progress": False}
    text = bs.report(fit, tmp_path / "r.md", **options).read_text(encoding="utf-8")
    assert "## Sensitivity and drift" in text


def test_what_is_of_other_runs_is_refused(fit, compared, cuts, tmp_path):
    other = fit.runs.where("compute < 1e21")
    small = bs.Fit(fit.model, other, fit.scale, fit.posterior, fit.sample_stats, fit.provenance)
    for given in ({"cuts": cuts}, {"comparison": compared}):
        with pytest.raises(bs.RunsError, match="found other runs"):
            bs.report(small, tmp_path / "r.json", budget=1e21, **given)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_multiverse(fit, tmp_path):
    from bayescale.sensitivity.choices import CHOICES

    choices = {"outliers": CHOICES["outliers"]}
    found = bs.multiverse(
        "chinchilla", "chinchilla", budget="5.76e23", choices=choices, draws=300, progress=False
    )
    path = bs.report(fit, tmp_path / "r.md", budget="5.76e23", multiverse=found)
    text = path.read_text()
    assert "## Sensitivity and drift" in text
    for sentence in found.sentences:
        assert escaped(sentence) in text
    renamed = bs.Multiverse(found.table, "others", found.budget, found.prob)
    with pytest.raises(bs.RunsError, match="multiverse: found other runs"):
        bs.report(fit, path, budget="5.76e23", multiverse=renamed)


def test_caveats_follow_the_runs(fit):
    def of(table) -> str:
        runs = bs.Runs(table, "mine")
        found = bs.Fit(fit.model, runs, fit.scale, fit.posterior, fit.sample_stats, fit.provenance)
        plan = bs.allocate(found, budget=3.0 * float(table["compute"].max()))
        said = [caveat.sentence for caveat in caveats_of(found, plan)]
        assert set(design_warnings(fit.model, runs)) <= set(said)
        return " ".join(said)

    table = fit.runs.table
    said = of(table)
    assert "is 3.0 times the largest run" in said
    assert "how parameters and compute are counted or whether each run's schedule" in said
    assert "No setting has runs of several seeds" in said
    twice = table.loc[table.index.repeat(2)].reset_index(drop=True)
    seeded = twice.assign(seed=np.arange(len(twice)) % 2, warmup=100)
    said = of(seeded)
    assert "No setting has runs of several seeds" not in said and "schedule" not in said
    assert "No setting has runs of several seeds" in of(twice.assign(seed=1))
    said = of(table.assign(n_unique_tokens=0.5 * table["n_tokens"]))
    assert f"{len(table)} of {len(table)} runs repeat data" in said
    few = of(table[table["n_params"] > 9e9].reset_index(drop=True))
    assert "less than one: its exponent" in few


def test_thinning_keeps_the_answer(fit):
    some = fit.thin(1000)
    assert some.posterior.sizes["chain"] * some.posterior.sizes["draw"] == 1000
    assert fit.thin(10**6) is fit
    every, few = (bs.allocate(x, budget=1e22).draws["n_opt"] for x in (fit, some))
    width = float(every.quantile(0.95) - every.quantile(0.05))
    for q in (0.05, 0.5, 0.95):
        assert abs(float(every.quantile(q) - few.quantile(q))) < 0.1 * width


@pytest.fixture(scope="module")
def repeating() -> bs.Fit:
    """A law of repeated data, whose unique tokens a report has to be told."""
    rng = np.random.default_rng(0)
    rows = [
        (size, tokens, min(unique, tokens))
        for size in np.geomspace(1e8, 5e9, 6)
        for tokens in (2e9, 1e10, 5e10)
        for unique in (1e9, 1e10)
    ]
    table = pd.DataFrame(rows, columns=["n_params", "n_tokens", "n_unique_tokens"])
    inputs = {name: table[name].to_numpy() for name in table}
    constants = bs.published("muennighoff2023").parameters
    table["loss"] = bs.law("data-constrained").evaluate(**inputs, **constants)
    table["loss"] *= np.exp(0.005 * rng.standard_normal(len(table)))
    table["compute"] = 6 * table["n_params"] * table["n_tokens"]
    return bs.fit(bs.Runs(table, "repeats"), "data-constrained", draws=500, seed=2, progress=False)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bayescale.errors.BayescaleWarning")
def test_what_a_law_is_given_is_on_the_first_page(repeating, tmp_path):
    path = tmp_path / "r.html"
    with pytest.raises(bs.AmountError, match="n_unique_tokens"):
        bs.report(repeating, path, budget=1e21)
    given = {"n_unique_tokens": "25B"}
    page = Page(bs.report(repeating, path, budget=1e21, fixed=given).read_text())
    assert "Given: n_unique_tokens = 25.0B." in page.text.split("With 1e21 FLOP, train")[0]
    plan = bs.allocate(repeating, budget=1e21, fixed=given)
    assert plan.text_table()["N_opt"].iloc[0] in page.text


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bayescale.errors.BayescaleWarning")
def test_budgets_may_pay_for_more_than_training(fit, tmp_path):
    cluster = Cluster(n_gpus=2048, peak="H100-SXM", utilisation=0.4, price="$2")
    serving = Serving(n_tokens="5T")
    for cost, budget, text in (
        (Money(cluster=cluster, serving=serving), "$1.5M", "$1.50M"),
        (Lifetime(serving), "5.76e23", "5.76e23 FLOP"),
    ):
        limits = bs.Limits(max_tokens="2.5T")
        path = bs.report(fit, tmp_path / "r.html", budget=budget, cost=cost, limits=limits)
        page = Page(path.read_text())
        first = page.text.split(f"With {text}, train")[0]
        assert f"Budgets pay for {cost.name}. Limits: at most 2.50T tokens." in first
        plan = bs.allocate(fit, budget=budget, cost=cost, limits=limits)
        assert plan.text_table()["N_opt"].iloc[0] in page.text
        grid = page.budgets
        asked = grid["budget"].index(grid["asked"][0])
        # How far a plan is from the runs is a matter of its training, whatever its budget is of.
        times = float(plan.extrapolation["compute"].iloc[0])
        assert grid["times_largest"][asked] == pytest.approx(times, rel=1e-6)
        assert max(x for x in grid["d_opt"][-1] if x) < 2.501e12


@pytest.mark.slow
def test_other_laws_have_reports_too(law_fits, tmp_path):
    path = bs.report(law_fits["kaplan-nd"], tmp_path / "r.html", budget=1e22)
    assert "made for early-stopped runs" in Page(path.read_text()).text


def test_the_report_folder_has_what_the_page_is_made_of():
    folder = Path(html.__file__).parent
    assert {"report.css", "report.js", "report.html.jinja"} <= {p.name for p in folder.iterdir()}
