"""Budgets predicted from smaller ones: selection, coverage and sentences."""

import json

import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.cli.main import main
from bayescale.errors import RunsError
from bayescale.validation.backtest import _budgets


def made(pit, prob=0.9, **more) -> bs.Backtest:
    """A backtest whose budgets have these PIT values."""
    pit = np.asarray(pit, dtype=float)
    table = pd.DataFrame(
        {
            "n_train": 20,
            "n_test": 5,
            "distance": 1.0,
            "predicted": 2.0,
            "lower": 1.9,
            "upper": 2.1,
            "observed": 2.05,
            "error": 0.02,
            "pit": pit,
            "inside": abs(pit - 0.5) < prob / 2,
            "coverage": 0.8,
            "ok": True,
            "status": "All gates passed.",
        },
        index=pd.Index(1e20 * 2.0 ** np.arange(len(pit)), name="scale"),
    )
    facts = {"model": "chinchilla", "runs": "mine", "fingerprint": "f", "scale": "compute"}
    return bs.Backtest(table, prob=prob, **{**facts, **more})


@pytest.mark.parametrize("count", [4, 7, 12])
def test_budgets_of_an_isoflop_sweep_are_its_own(count):
    budgets = np.geomspace(1e18, 1e21, count)
    compute = np.outer(budgets, [0.95, 1.0, 1.05]).ravel()
    expected = np.repeat(np.arange(count), 3)
    order = np.random.default_rng(1).permutation(len(compute))
    np.testing.assert_array_equal(_budgets(compute[order]), expected[order])


def test_other_runs_are_grouped_in_equal_parts():
    compute = np.geomspace(1e18, 1e22, 50)
    np.testing.assert_array_equal(_budgets(compute), np.repeat(np.arange(10), 5))
    same = np.full(8, 1e20)
    np.testing.assert_array_equal(_budgets(same), np.zeros(8))


def test_a_number_of_misses_expected_by_chance_is_no_caveat():
    found = made([0.5, 0.2, 0.9, 0.7, 0.01, 0.5])
    assert found.covered == (5, 6)
    assert found.p_value == pytest.approx(1 - 0.9**6)
    assert found.ok() and found.caveats == ()
    assert found.sentences[0] == (
        "On your own runs: 5 of 6 budgets inside their 90 % intervals, up to 2.7 times beyond the "
        "largest fitted run, and 80 % of their 30 runs."
    )


def test_more_misses_are_a_caveat():
    found = made([0.5, 0.01, 0.99, 0.999, 0.01, 0.5])
    assert not found.ok()
    assert "only 2 of 6 budgets are inside their 90 % intervals" in found.caveats[0]


def test_the_widening_is_the_conformal_quantile():
    eight = [0.5, 0.2, 0.9, 0.7, 0.1, 0.5, 0.6, 0.3]
    assert np.isnan(made(eight).widening)
    # The largest of nine scores: 0.975 is a score of 1.96, and the interval ends at 1.645.
    nine = made([*eight, 0.975])
    assert nine.widening == pytest.approx(1.96 / 1.645, rel=1e-3)
    assert "1.2 times as wide would have held 90 %" in nine.sentences[1]


def test_a_budget_that_failed_is_said_and_not_counted():
    found = made([0.5, 0.5, 0.01])
    found.table["ok"] = [True, True, False]
    found.table.loc[found.table.index[2], "status"] = "THIS FIT FAILED."
    assert found.covered == (2, 2)
    assert found.caveats == ("4e20 FLOP could not be predicted: THIS FIT FAILED.",)
    assert list(found.text_table()["inside"]) == ["yes", "yes", "failed"]


def test_too_few_runs_are_refused(chinchilla_runs):
    few = chinchilla_runs.where(np.arange(len(chinchilla_runs)) < 4)
    with pytest.raises(RunsError, match=r"expected a group with at least 7 runs below it"):
        bs.backtest(few, "chinchilla", progress=False)


@pytest.fixture(scope="module")
def sweep() -> pd.DataFrame:
    """Six budgets of five sizes, from the law of one variable."""
    rng = np.random.default_rng(3)
    x = np.repeat(np.geomspace(1e18, 1e21, 6), 5) * np.tile(np.linspace(0.9, 1.1, 5), 6)
    return pd.DataFrame(
        {"compute": x, "loss": 3 * (x / 1e18) ** -0.1 * np.exp(0.005 * rng.normal(size=30))}
    )


@pytest.mark.slow
def test_intervals_of_the_right_law_hold_and_those_of_a_wrong_one_do_not(sweep):
    options = {"draws": 250, "seed": 1, "progress": False}
    found = bs.backtest(sweep, "power-law", **options)
    assert list(found.table["n_train"]) == [10, 15, 20, 25]
    assert found.ok() and found.table["ok"].all()
    np.testing.assert_allclose(found.table["observed"], found.table["predicted"], rtol=0.03)
    # The losses have a floor: a power law without one predicts too low a loss, ever more confidently.
    wrong = bs.backtest(sweep.assign(loss=sweep["loss"] + 1.0), "power-law", **options)
    assert wrong.table["error"].gt(0).all()
    assert wrong.covered[0] < found.covered[0]


@pytest.mark.slow
def test_the_report_has_the_coverage(sweep, tmp_path):
    runs = bs.load_runs(sweep, needs=("compute",))
    model = bs.load_model("power-law")
    options = {"draws": 250, "seed": 1, "progress": False}
    found = bs.backtest(runs, model, **options)
    fit = bs.fit(runs, model, **options)
    path = bs.report(
        fit, tmp_path / "r.md", inputs={"compute": ["1e22"]}, backtest=found, progress=False
    )
    text = path.read_text()
    assert found.sentences[0] in text and "Each budget as smaller ones predicted it" in text
    other = bs.fit(sweep.iloc[:20], model, **options)
    with pytest.raises(RunsError, match=r"backtest: found other runs"):
        bs.report(
            other, tmp_path / "s.md", inputs={"compute": ["1e22"]}, backtest=found, progress=False
        )


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["check", "fit"])
def test_commands_print_the_coverage(sweep, verb, tmp_path, capsys):
    path = tmp_path / "runs.csv"
    sweep.to_csv(path, index=False)
    assert main([verb, str(path), "--model", "power-law", "--backtest", "--quiet"]) == 0
    assert "On your own runs: 4 of 4 budgets" in capsys.readouterr().out
    assert main([verb, str(path), "--model", "power-law", "--backtest", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["backtest"]
    assert "4 of 4 budgets" in said["sentences"][0] and len(said["table"]) == 4
