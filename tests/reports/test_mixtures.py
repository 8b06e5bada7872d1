"""The report of a law of mixtures, of a critical batch, and of a pooled fit: answers and next steps."""

import json
from types import SimpleNamespace

import pandas as pd
import pytest
from contract.fits import few_draws, fit_of_card, laplace_posterior
from reports.page import Page

import bayescale as bs
from bayescale.posterior.named_domains import with_domains
from bayescale.reports.next_steps import next_steps


@pytest.fixture(scope="module")
def mixed() -> bs.Fit:
    runs = fit_of_card("data-mixing-3").runs
    names = {"domain_1": "web", "domain_2": "code", "domain_3": "books"}
    table = runs.table.rename(columns=names)[[*names.values(), "loss"]]
    read = bs.load_runs(table, needs=tuple(names), columns=names)
    return laplace_posterior(bs.load_model("data-mixing-3"), read)


def test_the_report_of_a_mixture_has_its_decision_and_next_steps(mixed, tmp_path):
    found = bs.data_mixture(mixed)
    page = Page(bs.report(mixed, tmp_path / "mix.html", progress=False).read_text("utf-8"))
    assert "loss against web, code and books" in page.text
    read, _, _ = page.text.partition("Fit and diagnostics")
    assert "domain_1" not in read and "domain 1" not in read
    assert "For the least loss on this validation text, train on" in page.text
    assert "What to do next" in page.text and "bayescale mixture" in page.text
    record = json.loads(bs.report(mixed, tmp_path / "mix.json", progress=False).read_text("utf-8"))
    (answer,) = record["answers"]
    assert answer["mixture"] == pytest.approx(found.recommended.to_dict())
    assert answer["regret"] == pytest.approx(found.expected_regret)
    text = bs.report(mixed, tmp_path / "mix.md", progress=False).read_text("utf-8")
    best = found.recommended.idxmax()
    assert f"**{100 * found.recommended[best]:.0f} % {best}" in text
    assert f"regret of equal shares: {float(found.regret_equal.mean()):.2g} nats/token" in text


def test_domains_whose_columns_are_not_known_keep_their_numbers():
    runs = fit_of_card("data-mixing-3").runs
    assert with_domains("from domain 1 to domain_2", runs) == "from domain 1 to domain_2"
    table = pd.DataFrame({"domain_1": [1.0], "loss": [2.0]})
    reading = SimpleNamespace(columns=[SimpleNamespace(name="domain_1", column="web")])
    read = SimpleNamespace(table=table, reading=reading)
    assert with_domains("from domain 1 to domain_2, domain_10", read) == (
        "from web to domain_2, domain_10"
    )


def test_a_critical_batch_is_in_words_and_one_format(tmp_path):
    fit = fit_of_card("critical-batch")
    path = tmp_path / "report.md"
    text = bs.report(fit, path, inputs={"n_tokens": ["1T"]}, progress=False).read_text("utf-8")
    first, _, rest = text.partition("## What to do next")
    assert "**critical batch of " in first and "critical_batch" not in first
    reference = next(line for line in rest.splitlines() if line.startswith("| critical_batch_ref"))
    assert "," not in reference.replace(", ", " "), "an amount without its suffix"
    assert "gives the tokens for a critical batch that you need" in rest


def test_a_point_is_asked_for_where_none_was_given(tmp_path):
    fit = fit_of_card("power-law")
    text = bs.report(fit, tmp_path / "report.md", progress=False).read_text("utf-8")
    (column,) = fit.columns.values()
    assert f"--at {column}=AMOUNT" in text


def test_the_plan_for_a_new_level_says_how_to_have_that_of_a_fitted_one():
    fit = few_draws(fit_of_card("chinchilla-pooled"))

    def first(asked: bs.Fit) -> str:
        plan = bs.allocate(asked, budget="1e21")
        decision = bs.decide(asked, budget="1e21")
        compared = [SimpleNamespace(decision=decision)]
        return next_steps(asked, plan, compared, SimpleNamespace(ok=True), None, ())[0]

    assert "--group family=LEVEL" in first(fit)
    assert "--group" not in first(fit.sel(family=fit.runs.families[0]))
