import matplotlib.pyplot as plt
import numpy as np
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


def test_scores(compared):
    ax = bs.plots.scores(compared)
    assert [t.get_text() for t in ax.get_yticklabels()][-1] == compared.by_scale.best
    assert len(ax.containers) == 3, "a bar for each law"
    assert ax.get_xlim()[0] < compared.by_scale.table["diff"].min()


def test_residuals(law_fits, chinchilla_runs):
    ax = bs.plots.residuals(law_fits["kaplan-nd"])
    shown = ax.collections[0]
    assert len(shown.get_offsets()) == 240
    np.testing.assert_allclose(shown.get_offsets()[:, 0], chinchilla_runs.n_params)
    # The corners in which Kaplan's law is too low and too high.
    size, tokens, missed = *shown.get_offsets().T, np.asarray(shown.get_array())
    small = (size < 3e8) & (tokens < 8e9)
    assert missed[small].mean() > 0.01
    one = bs.fit("power-law", chinchilla_runs, draws=50, seed=1, progress=False)
    along = bs.plots.residuals(one, ax=Figure().subplots())
    assert along.get_xlabel().startswith("training compute")
    expected = 100 * np.log(chinchilla_runs.loss).mean()
    assert abs(along.lines[1].get_ydata().mean()) < expected


def test_coupling(law_fits):
    ax = bs.plots.coupling(law_fits["coupled"], law_fits["kaplan-nd"])
    lines = {line.get_label(): line.get_xdata()[0] for line in ax.lines}
    corners = {name: at for name, at in lines.items() if "corner" in name}
    additive, kaplans = corners.values()
    assert additive == 1.0
    alpha_d = float(law_fits["kaplan-nd"].posterior["alpha_D"].median())
    assert kaplans == pytest.approx(alpha_d)
    assert any(
        "(2020), k = 0.103" in label for label in labels(bs.plots.coupling(law_fits["coupled"]))
    )
    with pytest.raises(ValueError, match="found a fit of chinchilla"):
        bs.plots.coupling(law_fits["chinchilla"])


def test_elasticities(law_fits):
    table = bs.elasticities(law_fits, n_params=["1B", "10B"], n_tokens=["20B", "200B"])
    ax = bs.plots.elasticities(table)
    assert {"chinchilla", "kaplan-nd", "at N 10B, D 200B"} <= set(labels(ax))
    assert len(ax.containers) == 6


def test_cross_regret(law_fits):
    crossed = bs.cross_regret(law_fits, compute="1e23")
    ax = bs.plots.cross_regret(crossed)
    assert len(ax.texts) == 9
    np.testing.assert_allclose(np.asarray(ax.images[0].get_array()) ** 2, crossed.matrix)
    assert ax.get_title() == "regret, per cent of 1e23 FLOP"
