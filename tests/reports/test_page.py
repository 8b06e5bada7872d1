"""The page, Markdown and JSON of one report: well-formed, escaped, accessible, with the right numbers."""

import base64
import hashlib
import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest
from reports.page import BUDGETS, Page

import bayescale as bs
from bayescale._io import plain
from bayescale.reports import html
from bayescale.reports.markdown import escaped
from bayescale.units import format_count

EVIL = '</script><script>alert(1)</script> & "co" | [x](javascript:y)'


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
        assert f"{budget} (requested) {text}" in page.text


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


def test_the_page_states_what_readers_need(page):
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
        "loss of a run",
        "compute 44x",
        "half the size",
        "Loss is not capability",
        "not the entropy of language",
        "repeated tokens are worth less",
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
    """The fit, with markup and a script in the name and the note of its runs."""
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
def test_the_same_fit_gives_the_same_page(fit, source, tmp_path):
    bs.report(fit, tmp_path / "r.html", budget=BUDGETS)
    assert (tmp_path / "r.html").read_text(encoding="utf-8") == source


def test_the_report_folder_has_what_the_page_is_made_of():
    folder = Path(html.__file__).parent
    assert {"report.css", "report.js", "report.html.jinja"} <= {p.name for p in folder.iterdir()}


def test_the_plan_is_stated_once_and_compared_once(page, plan):
    """The answer and the row of alternatives; the control is next to it, with its own table."""
    size = plan.text_table()["N_opt"].iloc[0].split(" ")[0]
    answer, rest = page.text.split("What to do next")
    assert answer.count(f"{size} parameters on") == 1 and f"N {size}" in answer
    _, alternatives = rest.split("Alternatives", 1)
    alternatives, _ = alternatives.split("Parameters, elasticities first", 1)
    assert alternatives.count(f"recommended here {size}") == 1
    # Plans that spend the budget have no column of compute.
    assert "wasted" not in alternatives and "compute" not in alternatives
    allocation = rest[rest.index("Allocation over budgets") : rest.index("Alternatives")]
    assert size not in allocation
