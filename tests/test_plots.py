import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import bayescale as bs

BUDGETS = np.array([1e21, 5.76e23, 1e25])


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def labels(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_isoflop(fit):
    ax = bs.plots.isoflop(fit)
    assert len(labels(ax)) == 4
    assert all(label.endswith("FLOP") for label in labels(ax))
    assert ax.get_xscale() == "log"
    assert len(ax.collections) == 4, "a band for each budget"
    chosen = bs.plots.isoflop(fit, compute=np.array([1e20, 1e21]), ax=Figure().subplots())
    assert labels(chosen) == ["1e20 FLOP", "1e21 FLOP"]
    # The bar across the optimum lies at the least of the curve it belongs to.
    curve, _runs, _bar, mark = chosen.lines[:4]
    least = curve.get_xdata()[np.argmin(curve.get_ydata())]
    assert mark.get_xdata()[0] == pytest.approx(least, rel=0.1)


def test_frontier(fit):
    ax = bs.plots.frontier(fit, BUDGETS)
    assert {"range of the runs", "runs", "asked budgets"} <= set(labels(ax))
    assert ax.get_xlim()[1] > 1e25
    marked = ax.lines[-1]
    np.testing.assert_allclose(marked.get_xdata(), BUDGETS)
    expected = bs.allocate(fit, compute=BUDGETS).draws["loss_opt"].median(("chain", "draw"))
    np.testing.assert_allclose(marked.get_ydata(), expected)
    assert "asked budgets" not in labels(bs.plots.frontier(fit))


def test_optimal_size(fit):
    ax = bs.plots.optimal_size(fit, BUDGETS)
    found = labels(ax)
    assert {"90 % of N_opt", "50 % of N_opt", "hoffmann2022-tex"} <= set(found)
    assert "kaplan2020-frontier (in C_min)" in found
    alone = bs.plots.optimal_size(fit, overlays=())
    assert not any("2022" in label for label in labels(alone))


def test_parameters(fit):
    axes = bs.plots.parameters(fit)
    titles = [ax.get_title().split(" = ")[0] for ax in axes.ravel()]
    assert titles == ["e_n", "e_d", "alpha", "beta", "a", "g"]
    low, high = axes[0, 2].get_xlim()
    assert low < float(fit.posterior["alpha"].median()) < high


def test_ticks_are_human(fit):
    ax = bs.plots.optimal_size(fit, BUDGETS)
    ax.figure.canvas.draw()
    texts = {t.get_text() for t in ax.get_yticklabels()} | {
        t.get_text() for t in ax.get_xticklabels()
    }
    assert {"1B", "100B", "1e21"} <= texts


def test_given_axes_are_used(fit):
    for draw in (bs.plots.isoflop, bs.plots.frontier, bs.plots.optimal_size):
        ax = Figure().subplots()
        assert draw(fit, ax=ax) is ax
    assert plt.get_fignums() == []


def test_regret(fit):
    plans = {"as published": ("70B", "1.4T"), "far off": ("1B", "2T")}
    made = bs.decide(fit, compute="5.76e23", plans=plans, prob=0.8)
    ax = bs.plots.regret(made)
    assert {"expected regret", "recommended", "within 5 % with 80 %"} <= set(labels(ax))
    curve, mark, *plans = ax.lines
    np.testing.assert_allclose(curve.get_ydata(), made.curve_of_regret["expected"])
    assert mark.get_xdata()[0] == made.plan["n_params"]
    assert len(plans) == 1, "the plan far off the budget is not on the curve"
    assert [text.get_text() for text in ax.texts] == ["as published"]
    assert bs.plots.regret(made, ax=Figure().subplots()).get_xscale() == "log"


@pytest.mark.slow
def test_rising_cuts(cuts):
    ax = bs.plots.rising_cuts(cuts)
    ticks = [tick.get_text() for tick in ax.get_xticklabels()]
    assert ticks == ["< 1e20\n136 runs", "< 3e20\n177 runs", "< 1e21\n217 runs", "all\n240 runs"]
    assert labels(ax) == ["all runs", "median and 95 % interval"]
    (points,) = [line for line in ax.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(points.get_ydata(), cuts.table["a"])
    sizes = bs.plots.rising_cuts(cuts, "n_opt", Figure().subplots())
    assert sizes.get_yscale() == "log"
    assert "N_opt at 5.76e23 FLOP" in sizes.get_ylabel()
    failed = bs.RisingCuts(cuts.table.assign(ok=[True, False, True, True]), **plain(cuts))
    assert "failed its gates" in labels(bs.plots.rising_cuts(failed))


def plain(cuts) -> dict[str, object]:
    names = ("model", "runs", "fingerprint", "compute", "by", "prob")
    return {name: getattr(cuts, name) for name in names}


def test_ladder():
    steps = pd.MultiIndex.from_product([["mine", "yours"], ["start", "end"]])
    table = pd.DataFrame({"a": [0.8, 0.5, 0.7, 0.6]}, index=steps.set_names(["ladder", "step"]))
    table = table.assign(a_lower=table["a"] - 0.05, a_upper=table["a"] + 0.05)
    ax = bs.plots.ladder(bs.Explanation(table, {}, (), "runs", 0.9))
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["start", "+ end"]
    assert labels(ax)[:2] == ["Kaplan et al. 2020", "Hoffmann et al. 2022"]
    assert labels(ax)[2:] == ["mine, 90 %", "yours, 90 %"]
    alone = bs.plots.ladder(bs.Explanation(table.loc[["mine"]], {}, (), "runs", 0.9))
    assert {text.get_text() for text in alone.texts} == {"0.80", "0.50"}


def test_multiverse():
    index = pd.MultiIndex.from_product([["t", "normal"], ["all", "few"]], names=["noise", "runs"])
    table = pd.DataFrame({"shift": [0.0, 2.0, 3.0, np.nan], "log_n": 20.0}, index=index)
    table = table.assign(log_n_sd=1.0, n_opt=1e9, ok=[True, True, True, False], status="")
    ax = bs.plots.multiverse(bs.Multiverse(table, "mine", 1e24, 0.9))
    ticks = [tick.get_text() for tick in ax.get_yticklabels()]
    assert ticks == ["noise:  t", "normal", "runs:  all", "few"]
    drawn = [line.get_xdata() for line in ax.lines if line.get_marker() == "|"]
    assert [float(x[0]) for x in drawn if len(x)] == [1.0, 3.0, 1.5, 2.0]
    assert "1e24 FLOP" in ax.get_xlabel()
