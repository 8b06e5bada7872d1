"""The replay of sweeps: the runs fitted before each forecast, and the page."""

import numpy as np
import pandas as pd
import pytest
from contract.fits import laplace_posterior

import bayescale as bs
from benchmarks.forecast_records import Sweep, half_decades, page, replay, three_digits


@pytest.fixture(scope="module")
def sweep() -> Sweep:
    """Five budgets of eight sizes each, not in the order of compute."""
    rows = [
        (size, budget / (6.0 * size))
        for budget in 10.0 ** np.arange(17, 22)
        for size in np.sqrt(budget / 120.0) * np.geomspace(0.2, 5.0, 8)
    ]
    table = pd.DataFrame(rows, columns=["n_params", "n_tokens"]).sample(frac=1, random_state=1)
    law = bs.published("besiroglu2024")
    loss = bs.predict(law, n_params=table.n_params, n_tokens=table.n_tokens)["loss"]
    runs = bs.load_runs(table.assign(loss=loss.to_numpy().ravel()).reset_index(drop=True))
    return Sweep(runs, three_digits(runs.compute))


def test_no_run_is_seen_before_it_is_forecast(sweep):
    stages = list(sweep.stages())
    assert [budget for budget, _, _ in stages] == [1e20, 1e21]
    for budget, seen, following in stages:
        assert seen.compute.max() < 0.99 * budget
        assert following.compute == pytest.approx(budget, rel=0.01)
        assert len(following) == 8
    assert [len(seen) for _, seen, _ in stages] == [24, 32]


def test_half_decades():
    found = half_decades(np.array([1.0e18, 3.1e18, 3.2e18, 9.9e18, 1.1e19]))
    assert found.tolist() == [1e18, 1e18, 3.16e18, 3.16e18, 1e19]


def test_every_forecast_is_on_the_page(sweep, tmp_path, monkeypatch):
    def fitted(runs, card, **_):
        return laplace_posterior(bs.load_model(card), runs)

    monkeypatch.setattr("bayescale.fit", fitted)
    scores = replay("chinchilla", sweep, tmp_path)
    assert len(scores) == 16 and not scores.pending
    assert len(list(tmp_path.iterdir())) == 2
    text = page({("a sweep", "chinchilla"): scores})
    assert "2 files of forecasts are scored" in text
    history = scores.history()
    for budget, runs in (("1e20 FLOP", 24), ("1e21 FLOP", 32)):
        (line,) = [line for line in text.splitlines() if line.startswith(f"| {budget} |")]
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        (name,) = [name for name in history.index if budget in name]
        assert cells[1] == f"{runs} runs" and cells[3] == "8"
        assert cells[5] == f"{100 * history.loc[name, 'coverage_90']:.0f} %"
        assert cells[6] == f"{100 * history.loc[name, 'bias']:+.2f} %"
