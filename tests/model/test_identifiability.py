import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.errors import BayescaleWarning, RunsError
from bayescale.model.identifiability import (
    check_identifiable,
    count_distinct,
    design_checks,
    design_warnings,
    unidentified,
)

MODEL = bs.load_model("chinchilla")


def runs_at(n_params, n_tokens) -> bs.Runs:
    n_params, n_tokens = np.broadcast_arrays(n_params, n_tokens)
    parameters = bs.published("besiroglu2024").parameters
    loss = bs.law("chinchilla").evaluate(n_params=n_params, n_tokens=n_tokens, **parameters)
    return bs.load_runs(pd.DataFrame({"N": n_params, "D": n_tokens, "loss": loss}))


SIZES = np.geomspace(1e8, 1e10, 12)


@pytest.mark.parametrize(
    ("n_params", "n_tokens", "match"),
    [
        (SIZES[:6], SIZES[:6][::-1] * 30, "Found 6 runs, expected at least 7"),
        (1e9, SIZES * 20, r"Every run has n_params = 1\.00B.*from the floor"),
        (SIZES, 2e10, r"Every run has n_tokens = 20\.0B.*from the floor"),
        (SIZES, SIZES * 20, "about 20.0 tokens per parameter"),
        (SIZES, np.round(SIZES * 20, -8), "tokens per parameter"),
    ],
    ids=["few", "one size", "one number of tokens", "one ratio", "one rounded ratio"],
)
def test_designs_that_identify_nothing_are_refused_before_sampling(n_params, n_tokens, match):
    runs = runs_at(n_params, n_tokens)
    with pytest.raises(RunsError, match=match):
        check_identifiable(MODEL, runs)
    with pytest.raises(RunsError, match=match):
        bs.fit(runs, MODEL, progress=False)


def test_a_sweep_is_accepted_without_a_word():
    size, tokens = np.meshgrid(SIZES, np.geomspace(3e9, 1e11, 5))
    runs = runs_at(size.ravel(), tokens.ravel())
    check_identifiable(MODEL, runs)
    assert design_warnings(MODEL, runs) == ()


def test_weak_designs_are_warned_of():
    size, tokens = np.meshgrid([1e9, 2e9, 3e9], [2e10, 3e10, 4e10])
    found = " ".join(design_warnings(MODEL, runs_at(size.ravel(), tokens.ravel())))
    assert "Only 3 distinct values of n_params" in found
    assert "values of n_params span 0.5 decades" in found
    assert "values of n_tokens span 0.3 decades" in found
    ratio = np.tile([18.0, 20.0, 22.0], 4)
    assert "a factor 1.2 only" in " ".join(design_warnings(MODEL, runs_at(SIZES, SIZES * ratio)))


def test_digitised_sizes_count_once(chinchilla_runs):
    assert count_distinct(np.array([1e9, 1.0005e9, 2e9])) == 2
    assert count_distinct(np.geomspace(1e8, 1e10, 10_000)) > 500
    # Sizes half a per cent apart are two sizes; digitised values of one size are not.
    assert count_distinct(chinchilla_runs.n_params) == 43


def test_fit_warns_of_a_weak_design():
    size, tokens = np.meshgrid([1e9, 2e9, 3e9], [2e9, 3e10, 4e10])
    with pytest.warns(BayescaleWarning, match="distinct values|decades|runs for 7 unknowns"):
        bs.fit(
            runs_at(size.ravel(), tokens.ravel()), MODEL, draws=10, tune=10, seed=1, progress=False
        )


@pytest.mark.slow
def test_a_design_that_identifies_nothing_is_fitted_on_request_and_warned_of():
    runs = runs_at(SIZES, 20 * SIZES)
    with pytest.raises(RunsError, match="unidentified='warn'"):
        bs.fit(runs, MODEL, progress=False)
    with pytest.raises(ValueError, match="expected 'refuse' or 'warn'"):
        bs.fit(runs, MODEL, unidentified="ignore", progress=False)
    with pytest.warns(BayescaleWarning, match=r"tokens per parameter|Tokens per parameter"):
        fit = bs.fit(runs, MODEL, draws=200, seed=1, unidentified="warn", progress=False)
    # The optimum is not identified: its posterior is about its prior.
    assert 0.1 < float((fit.quantities["a"] > 0.5).mean()) < 0.9


@pytest.mark.parametrize(
    ("batches", "said"),
    [
        ([2**19], r"Every run has batch_tokens = 524K: B_star and alpha_B are not known from"),
        (
            [2**19, 2**20],
            r"batch_tokens vary by a factor 2.0 only: B_star and alpha_B depend mostly",
        ),
        ([2**17, 2**19, 2**21], None),
    ],
    ids=["one", "two close ones", "three"],
)
def test_batches_that_do_not_vary_leave_the_critical_batch_unknown(batches, said):
    size = np.repeat(np.geomspace(1e8, 1e10, 6), 6)
    table = pd.DataFrame(
        {
            "n_params": size,
            "n_steps": np.tile(np.geomspace(1e4, 1e6, 6), 6),
            "batch_tokens": np.resize(np.array(batches, dtype=float), 36),
        }
    )
    law = bs.law("kaplan-ns")
    table["loss"] = law.evaluate(**table, **bs.published("kaplan2020-ns").parameters)
    runs = bs.load_runs(table, needs=("n_params",))
    found = [x for x in design_warnings(bs.load_model("kaplan-ns"), runs) if "batch" in x]
    if said is None:
        assert not found
    else:
        (only,) = found
        assert re.search(said, only), only


# Responses and numbers of runs.


def curve(loss, x=None) -> bs.Runs:
    x = np.geomspace(1e18, 1e21, len(loss)) if x is None else x
    return bs.load_runs(pd.DataFrame({"compute": x, "loss": loss}), needs=("compute",))


def power(card: str = "power-law") -> bs.Model:
    return replace(bs.load_model(card), inputs={"x": "compute"})


NOISE = np.exp(0.01 * np.random.default_rng(2).standard_normal(36))


def grid(loss) -> bs.Runs:
    n, d = (x.ravel() for x in np.meshgrid(np.geomspace(1e8, 1e10, 6), np.geomspace(2e9, 2e11, 6)))
    return bs.load_runs(pd.DataFrame({"N": n, "D": d, "loss": loss(n / 1e9, d / 2e10) * NOISE}))


@pytest.mark.parametrize(
    ("model", "runs", "match"),
    [
        (MODEL, grid(lambda n, d: 2 * (n * d) ** 0.03), "rises with n_params and n_tokens"),
        (MODEL, grid(lambda n, d: 3 * n**0.05 * d**-0.1), "rises with n_params where all"),
        (MODEL, grid(lambda n, d: 3 / NOISE), "Every run has loss = 3:"),
        (power(), curve([3.1, 3.4, 3.9]), "The loss rises with compute"),
        (power(), curve(3 + 0.1 * np.arange(9)), "The loss rises with compute"),
        (power("power-law-floor"), curve(np.full(9, 2.5)), r"Every run has loss = 2\.5"),
    ],
    ids=["both", "one", "constant", "three", "nine", "constant curve"],
)
def test_a_response_that_goes_the_other_way_is_refused(model, runs, match):
    with pytest.raises(RunsError, match=match):
        bs.fit(runs, model, progress=False)
    assert design_checks(model, runs)[0].status == "failed"


def test_a_response_that_falls_or_only_scatters_is_not_refused():
    for loss in (
        lambda n, d: 3 * n**-0.05 * d**-0.1,
        lambda n, d: 3 + 0 * n,
        # No variation along the first input.
        lambda n, d: 3 * d**-0.1,
    ):
        assert unidentified(MODEL, grid(loss)) == ()
    accuracy = bs.load_model("error-from-loss")
    assert accuracy.law.rises_in == {"loss"}


@pytest.mark.slow
def test_scatter_alone_is_seldom_called_a_rise():
    rng = np.random.default_rng(11)
    refused = [
        bool(unidentified(power(), curve(3 * np.exp(0.1 * rng.standard_normal(8)))))
        for _ in range(300)
    ]
    # Half a per cent of 300 is 1.5; a count above 7 has probability 5e-4.
    assert sum(refused) <= 7


@pytest.mark.parametrize(
    ("breaks", "needed", "suits"),
    [(1, 16, "power-law-floor"), (2, 22, "broken-power-law-1"), (3, 28, "broken-power-law-2")],
)
def test_laws_with_breaks_need_twice_as_many_runs_as_unknowns(breaks, needed, suits):
    model = power(f"broken-power-law-{breaks}")
    assert model.law.breaks == breaks
    assert needed == max(5 * (breaks + 1), 2 * model.n_free)
    check_identifiable(model, curve(3 / np.arange(1, needed + 1) ** 0.1))
    with pytest.raises(RunsError, match=rf"expected at least {needed}.*simpler law: {suits}\."):
        bs.fit(curve(3 / np.arange(1, needed) ** 0.1), model, progress=False)


def cells(count: int, repeats: int = 1) -> bs.Runs:
    """Return runs of two budgets half a decade apart."""
    budget = np.where(np.arange(count) % 2, 3.16e20, 1e20)
    ratio = np.geomspace(5, 100, count)
    n = np.repeat(np.sqrt(budget / 6 / ratio), repeats)
    d = n * np.repeat(ratio, repeats)
    loss = bs.law("chinchilla").evaluate(
        n_params=n, n_tokens=d, **bs.published("besiroglu2024").parameters
    )
    noise = np.exp(0.005 * np.random.default_rng(1).standard_normal(len(n)))
    return bs.load_runs(pd.DataFrame({"N": n, "D": d, "loss": loss * noise}))


@pytest.mark.parametrize(
    ("runs", "status"),
    [(cells(7), "failed"), (cells(7, repeats=3), "failed"), (cells(9), "remark"), (cells(14), "")],
    ids=["seven for seven", "seven repeated", "nine", "fourteen"],
)
def test_few_runs_for_the_unknowns_are_said(runs, status):
    found = {check.name: check for check in design_checks(MODEL, runs)}
    assert (found["runs"].status if "runs" in found else "") == status
    assert "compute span 0.5 decades" in found["range of compute"].sentence


@pytest.mark.slow
def test_a_rising_response_fitted_on_request_fails():
    runs = grid(lambda n, d: 2 * (n * d) ** 0.03)
    with pytest.warns(BayescaleWarning, match="rises with n_params and n_tokens"):
        found = bs.fit(runs, MODEL, seed=1, progress=False, unidentified="warn")
    assert not found.diagnostics.ok
    assert {"identified", "pattern"} <= {
        check.name for check in found.diagnostics.checks if check.status == "failed"
    }
