"""Sections and caveats of a report, and what it refuses."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from contract.fits import few_draws, fit_of_card
from reports.page import Page

import bayescale as bs
from bayescale.costs import Cluster, Lifetime, Money, Serving
from bayescale.errors import BayescaleWarning, RunsError
from bayescale.model.identifiability import design_warnings
from bayescale.reports.caveats import caveats_of
from bayescale.reports.markdown import escaped


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


def test_invalid_arguments_write_no_file(fit, tmp_path):
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
    # The plan of least expected regret has the recommended size to 1 %, and is not listed.
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
def test_a_full_report_computes_missing_analyses(fit, tmp_path):
    path = bs.report(fit, tmp_path / "r.json", budget="5.76e23", full=True, progress=False)
    record = json.loads(path.read_text(encoding="utf-8"))
    assert {"comparison", "sensitivity", "next-runs"} <= set(record["sections"])
    rows = record["sections"]["comparison"]["tables"][0]["rows"]
    laws = {next(iter(row.values())) for row in rows}
    assert laws == {"chinchilla", "coupled", "kaplan-nd-floor"}


@pytest.mark.slow
def test_analyses_that_the_runs_do_not_allow_are_left_out(fit, tmp_path, monkeypatch):
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
def test_a_full_report_does_not_recompute_given_analyses(fit, cuts, tmp_path, monkeypatch):
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


def test_analyses_of_other_runs_are_refused(fit, compared, cuts, tmp_path):
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
    """A fit of the law of repeated data; its reports require a number of unique tokens."""
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
def test_fixed_inputs_are_on_the_first_page(repeating, tmp_path):
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
        # The distance from the runs depends on the training compute, in any unit of the budget.
        times = float(plan.extrapolation["compute"].iloc[0])
        assert grid["times_largest"][asked] == pytest.approx(times, rel=1e-6)
        assert max(x for x in grid["d_opt"][-1] if x) < 2.501e12


@pytest.mark.slow
def test_other_laws_have_reports_too(law_fits, tmp_path):
    path = bs.report(law_fits["kaplan-nd"], tmp_path / "r.html", budget=1e22)
    assert "made for early-stopped runs" in Page(path.read_text()).text
