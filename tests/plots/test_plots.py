from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

import bayescale as bs
from bayescale.plots.style import BLUE

BUDGETS = np.array([1e21, 5.76e23, 1e25])


def labels(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_isoflop(fit):
    ax = bs.plots.isoflop(fit)
    assert len(labels(ax)) == 4
    assert all(label.endswith("FLOP") for label in labels(ax))
    assert ax.get_xscale() == "log"
    assert len(ax.collections) == 8, "a band and a density for each budget"
    chosen = bs.plots.isoflop(fit, budget=np.array([1e20, 1e21]), ax=Figure().subplots())
    assert labels(chosen) == ["1e20 FLOP", "1e21 FLOP"]
    # The bar across the optimum lies at the minimum of its curve.
    curve, mark = chosen.lines[0], chosen.lines[5]
    least = curve.get_xdata()[np.argmin(curve.get_ydata())]
    assert mark.get_xdata()[0] == pytest.approx(least, rel=0.1)
    # Its density is drawn downwards from there, and has its maximum there.
    outline = chosen.collections[2].get_paths()[0].vertices
    assert outline[np.argmin(outline[:, 1]), 0] == pytest.approx(mark.get_xdata()[0], rel=0.02)
    assert outline[:, 1].max() == pytest.approx(mark.get_ydata()[0])


def test_frontier(fit):
    ax = bs.plots.frontier(fit, BUDGETS)
    assert {"range of the runs", "runs", "requested budgets"} <= set(labels(ax))
    assert ax.get_xlim()[1] > 1e25
    marked = ax.lines[-1]
    np.testing.assert_allclose(marked.get_xdata(), BUDGETS)
    expected = bs.allocate(fit, budget=BUDGETS).draws["loss_opt"].median(("chain", "draw"))
    np.testing.assert_allclose(marked.get_ydata(), expected)
    assert "requested budgets" not in labels(bs.plots.frontier(fit))


def test_optimal_size(fit):
    ax = bs.plots.optimal_size(fit, BUDGETS)
    found = labels(ax)
    assert {"90 % of N_opt", "50 % of N_opt", "Hoffmann et al. 2022"} <= set(found)
    assert "Kaplan et al. 2020 (in C_min)" in found
    alone = bs.plots.optimal_size(fit, overlays=())
    assert not any("2022" in label for label in labels(alone))


def test_tokens_per_param(fit):
    ax = bs.plots.tokens_per_param(fit, BUDGETS)
    found = labels(ax)
    assert {"90 % of D_opt/N_opt", "Hoffmann et al. 2022", "Kaplan et al. 2020 (in C_min)"} <= set(
        found
    )
    marked = ax.lines[-1]
    expected = bs.allocate(fit, budget=BUDGETS).draws["tokens_per_param"]
    np.testing.assert_allclose(marked.get_ydata(), expected.median(("chain", "draw")))
    ax.figure.canvas.draw()
    assert {"0.1", "1", "10"} <= {tick.get_text() for tick in ax.get_yticklabels()}
    alone = labels(bs.plots.tokens_per_param(fit, overlays=(), ax=Figure().subplots()))
    assert not any("20" in label for label in alone)


def scores() -> pd.DataFrame:
    """Part of the result of `leave_scale_out`: two models, and a third that could not be fitted."""
    index = pd.MultiIndex.from_product([["a", "b", "c"], [1e20, 1e21]], names=["model", "cut"])
    return pd.DataFrame(
        {
            "coverage_50": [0.5, 0.4, 0.2, 0.1, np.nan, np.nan],
            "coverage_90": [0.9, 0.8, 0.7, 0.6, np.nan, np.nan],
            "distance": [0.5, 1.5, 0.5, 1.5, np.nan, np.nan],
            "n_test": [40, 10, 40, 10, np.nan, np.nan],
        },
        index=index,
    )


def test_coverage():
    ax = bs.plots.coverage(scores())
    assert labels(ax) == ["a", "b", "nominal 90 %"]
    first, second, nominal = ax.lines
    np.testing.assert_allclose(first.get_ydata(), [0.9, 0.8])
    np.testing.assert_allclose(second.get_ydata(), [0.7, 0.6])
    np.testing.assert_allclose(first.get_xdata(), np.exp([0.5, 1.5]), rtol=0.02)
    assert set(nominal.get_ydata()) == {0.9}
    # Fewer runs give wider intervals.
    long, short = (np.ptp(bar[:, 1]) for bar in reversed(ax.collections[0].get_segments()))
    assert long > 1.5 * short
    assert bs.plots.coverage(scores(), prob=0.5).lines[-1].get_ydata()[0] == 0.5
    with pytest.raises(ValueError, match="expected one of 50, 90 per cent"):
        bs.plots.coverage(scores(), prob=0.7)


def test_decision_prior(fit):
    ax = bs.plots.decision_prior(fit, "5.76e23", prob=0.8)
    prior, posterior = labels(ax)
    assert prior.startswith("prior: ") and posterior.startswith("posterior: ")
    _, _, bar, middle = ax.lines
    draws = bs.allocate(fit, budget="5.76e23").draws["n_opt"]
    np.testing.assert_allclose(bar.get_xdata(), np.exp(np.log(draws).quantile([0.1, 0.9])))
    assert middle.get_xdata()[0] == pytest.approx(float(draws.median()))
    wide, narrow = (np.ptp(np.log(line.get_xdata())) for line in (ax.lines[0], bar))
    assert wide > 5 * narrow, "these runs say far more than the prior"
    with pytest.raises(ValueError, match="found 2 budgets, expected one"):
        bs.plots.decision_prior(fit, ["1e21", "1e22"])


def test_the_prior_of_the_decision_is_that_of_the_card(fit):
    """Elasticities and exponents drawn from the priors give N_opt in closed form."""
    rng = np.random.default_rng(1)
    drawn = {name: prior.draw(rng, 20_000) for name, prior in fit.model.priors.items()}
    kept = drawn["e_n"] / drawn["alpha"] + drawn["e_d"] / drawn["beta"] < 1
    alpha, beta = drawn["alpha"][kept], drawn["beta"][kept]
    reference = fit.scale.reference
    log_product = np.log(1e23 / 6)
    # alpha A N^-alpha = beta B D^-beta, where alpha A N0^-alpha is the elasticity times the loss.
    log_n = (
        np.log(drawn["e_n"] / drawn["e_d"])[kept]
        + alpha * np.log(reference["n_params"])
        - beta * np.log(reference["n_tokens"])
        + beta * log_product
    ) / (alpha + beta)
    ax = bs.plots.decision_prior(fit, 1e23)
    found = np.log(ax.lines[0].get_xdata())
    np.testing.assert_allclose(found, np.quantile(log_n, [0.05, 0.95]), atol=0.15)


def test_ridge(fit):
    left, right = bs.plots.pairs(fit).ravel()
    pair = {left.get_xlabel(), left.get_ylabel()}
    assert pair in ({"beta", "B (log scale)"}, {"alpha", "A (log scale)"})
    assert (right.get_xlabel(), right.get_ylabel()) == ("e_n", "e_d")
    steep = float(left.get_title().removeprefix("correlation "))
    flat = float(right.get_title().removeprefix("correlation "))
    assert abs(steep) > 0.95 > 0.7 > abs(flat)
    assert len(left.get_yticks()) >= 2
    (chosen,) = bs.plots.pairs(fit, [("E", "alpha")]).ravel()
    # A subset of the draws.
    points = set(chosen.lines[0].get_xdata().tolist())
    assert points <= set(fit.posterior["E"].to_numpy().ravel().tolist())


@pytest.fixture(scope="module")
def pooled(fit) -> bs.Fit:
    """Floors of two made-up families in an otherwise real posterior."""
    card = bs.load_model("chinchilla-pooled")
    model = replace(card, id="floors", pooling=tuple(p for p in card.pooling if p.of == "E"))
    families = np.where(np.arange(len(fit.runs)) % 2, "even", "odd")
    runs = bs.load_runs(fit.runs.table.assign(family=families))
    shape = (fit.posterior.sizes["chain"], fit.posterior.sizes["draw"], 2)
    noise = 0.01 * np.random.default_rng(2).standard_normal(shape)
    posterior = fit.posterior.assign(
        sd_E_by_family=xr.full_like(fit.posterior["E"], 0.1),
        E_by_family=(("chain", "draw", "level_family"), noise + np.array([-0.1, 0.1])),
    ).assign_coords(level_family=["even", "odd"])
    scale = replace(fit.scale, centres={name: [v, v] for name, v in fit.scale.reference.items()})
    return bs.Fit(model, runs, scale, posterior, fit.sample_stats, fit.provenance)


def test_forest(pooled):
    floors, sizes = bs.plots.forest(pooled, budget="1e21").ravel()
    assert floors.get_title() == "E"
    assert sizes.get_title() == "N_opt at 1e21 FLOP"
    assert [t.get_text() for t in floors.get_yticklabels()] == ["even", "odd", "a new one"]
    at = {line.get_ydata()[0]: line.get_xdata()[0] for line in floors.lines}
    expected = [
        float(one.curve.parameters["E"].median())
        for one in (pooled.sel(family="even"), pooled.sel(family="odd"), pooled)
    ]
    np.testing.assert_allclose([at[y] for y in range(3)], expected)
    assert at[0] < at[2] < at[1]
    # The interval of a new family is wider than that of each fitted family.
    wide = {
        bar.get_segments()[0][0, 1]: np.ptp(bar.get_segments()[0][:, 0])
        for bar in floors.collections
        if bar.get_linewidth()[0] < 2
    }
    assert wide[2] > 2 * max(wide[0], wide[1])
    blue = [line.get_color() == BLUE for line in floors.lines]
    assert blue == [True, True, False]


def test_forest_needs_families(fit):
    with pytest.raises(bs.CardError, match="Fit a card with pooling"):
        bs.plots.forest(fit)


def test_figures_as_images(fit):
    """The pixels of a band agree with its numbers, independent of the installed fonts."""
    figure = Figure(figsize=(6, 4), dpi=100)
    ax = figure.subplots()
    bs.plots.tokens_per_param(fit, ax=ax, overlays=())
    ax.get_legend().remove()
    ax.set_ylim(5, 100)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = np.asarray(canvas.buffer_rgba())
    compute = 1e21
    low, middle, high = (
        bs.allocate(fit, budget=compute).draws["tokens_per_param"].quantile([0.05, 0.5, 0.95])
    )

    def pixel(ratio: float) -> np.ndarray:
        x, y = ax.transData.transform((compute, ratio))
        return image[image.shape[0] - 1 - round(y), round(x), :3] / 255

    paper = pixel(float(high) * 1.3)
    line = np.array(to_rgba(BLUE)[:3])
    assert np.abs(pixel(float(middle)) - line).max() < 0.15
    for inside in (float(low) * 1.03, float(high) * 0.97):
        # Tinted with the colour of the band: less red than the background.
        assert pixel(inside)[0] < paper[0] - 0.1
    assert np.abs(pixel(float(low) / 1.3) - paper).max() < 0.05


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
    draws = (
        bs.plots.isoflop,
        bs.plots.frontier,
        bs.plots.optimal_size,
        bs.plots.tokens_per_param,
    )
    for draw in draws:
        ax = Figure().subplots()
        assert draw(fit, ax=ax) is ax
    assert plt.get_fignums() == []


def test_labels_of_plans_keep_off_the_curve_of_regret(fit):
    best = bs.decide(fit, budget="1e22").plan["n_params"]
    plans = {
        "on": (1.3 * best, 1e22 / (6 * 1.3 * best)),
        "above": (1.3 * best, 0.5e22 / (6 * 1.3 * best)),
        "left": (best / 1.3, 0.5e22 * 1.3 / (6 * best)),
    }
    ax = bs.plots.regret(bs.decide(fit, budget="1e22", plans=plans))
    sides = {text.get_text(): text.get_horizontalalignment() for text in ax.texts}
    assert sides == {"on": "left", "above": "right", "left": "left"}


def test_regret(fit):
    plans = {"as published": ("70B", "1.4T"), "far off": ("1B", "2T")}
    made = bs.decide(fit, budget="5.76e23", plans=plans, prob=0.8)
    ax = bs.plots.regret(made)
    assert {"expected regret", "least expected regret", "within 5 % with 80 %"} <= set(labels(ax))
    curve, mark, *plans = ax.lines
    np.testing.assert_allclose(curve.get_ydata(), made.curve_of_regret["expected"])
    assert mark.get_xdata()[0] == made.plan["n_params"]
    assert len(plans) == 1, "the plan far off the budget is not on the curve"
    assert [text.get_text() for text in ax.texts] == ["as published"]
    assert bs.plots.regret(made, ax=Figure().subplots()).get_xscale() == "log"


@pytest.mark.slow
def test_expanding_window(cuts):
    ax = bs.plots.expanding_window(cuts)
    ticks = [tick.get_text() for tick in ax.get_xticklabels()]
    assert ticks == ["< 1e20\n136 runs", "< 3e20\n177 runs", "< 1e21\n217 runs", "all\n240 runs"]
    assert labels(ax) == ["all runs", "median and 95 % interval"]
    (points,) = [line for line in ax.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(points.get_ydata(), cuts.table["a"])
    sizes = bs.plots.expanding_window(cuts, "n_opt", Figure().subplots())
    assert sizes.get_yscale() == "log"
    assert "N_opt at 5.76e23 FLOP" in sizes.get_ylabel()
    failed = bs.ExpandingWindow(cuts.table.assign(ok=[True, False, True, True]), **plain(cuts))
    assert "failed its gates" in labels(bs.plots.expanding_window(failed))


def plain(cuts) -> dict[str, object]:
    names = ("model", "runs", "fingerprint", "budget", "scale", "prob")
    return {name: getattr(cuts, name) for name in names}


def test_reconciliation_of_exponents():
    steps = pd.MultiIndex.from_product([["mine", "yours"], ["start", "end"]])
    table = pd.DataFrame({"a": [0.8, 0.5, 0.7, 0.6]}, index=steps.set_names(["ladder", "step"]))
    table = table.assign(a_lower=table["a"] - 0.05, a_upper=table["a"] + 0.05)
    ax = bs.plots.reconcile_exponents(bs.ExponentReconciliation(table, {}, (), "runs", 0.9))
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["start", "+ end"]
    assert labels(ax)[:2] == ["Kaplan et al. 2020", "Hoffmann et al. 2022"]
    assert labels(ax)[2:] == ["mine, 90 %", "yours, 90 %"]
    alone = bs.plots.reconcile_exponents(
        bs.ExponentReconciliation(table.loc[["mine"]], {}, (), "runs", 0.9)
    )
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


def made_by_floor(budget=1e24):
    rows = {
        "as the card": (np.nan, np.nan, 1.8, 1.95, 9e10, True),
        "1.7": (1.7, -4.0, 1.7, 1.90, 7e10, False),
        "1.9": (1.9, 4.0, 1.9, 2.00, 1e11, True),
    }
    names = ["stated", "distance", "floor", "loss", "n_opt", "ok"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=names)
    for name in ("floor", "loss", "n_opt"):
        table[f"{name}_lower"], table[f"{name}_upper"] = 0.99 * table[name], 1.01 * table[name]
    if budget is None:
        table = table.drop(columns=[name for name in table if name.startswith("n_opt")])
    plan = {"n_params": 9.4e10, "n_tokens": 1.8e12}
    return bs.ForecastByFloor(table.assign(status="said"), "mine", "loss", plan, budget, 0.9)


def test_forecast_by_floor():
    ax = bs.plots.forecast_by_floor(made_by_floor())
    assert ax.get_ylabel() == "loss at n_params 94.0B, n_tokens 1.80T"
    assert labels(ax) == [
        "the unchanged card",
        "its posterior of the floor",
        "median and 90 % interval",
        "failed its gates",
    ]
    (line, *points) = ax.lines
    np.testing.assert_allclose(line.get_xydata(), [[1.7, 1.9], [1.9, 2.0]])
    assert [list(x.get_xdata()) for x in points] == [[1.9], [1.7]]
    ax = bs.plots.forecast_by_floor(made_by_floor(), "n_opt")
    assert ax.get_yscale() == "log" and ax.get_ylabel() == "N_opt at 1e24 FLOP"
    with pytest.raises(ValueError, match="found 'n_opt' without a budget"):
        bs.plots.forecast_by_floor(made_by_floor(None), "n_opt")


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
    one = bs.fit(chinchilla_runs, "power-law", draws=50, seed=1, progress=False)
    along = bs.plots.residuals(one, ax=Figure().subplots())
    assert along.get_xlabel().startswith("training compute")
    expected = 100 * np.log(chinchilla_runs.loss).mean()
    assert abs(along.lines[1].get_ydata().mean()) < expected


def test_coupling(law_fits):
    ax = bs.plots.coupling(law_fits["coupled"], law_fits["kaplan-nd"])
    lines = {line.get_label(): line.get_xdata()[0] for line in ax.lines}
    limits = {name: at for name, at in lines.items() if "law" in name}
    additive, kaplans = limits.values()
    assert additive == 1.0
    alpha_d = float(law_fits["kaplan-nd"].posterior["alpha_D"].median())
    assert kaplans == pytest.approx(alpha_d)
    assert any(
        "(2020), k = 0.103" in label for label in labels(bs.plots.coupling(law_fits["coupled"]))
    )
    with pytest.raises(bs.UnsuitableLawError, match="found a fit of chinchilla"):
        bs.plots.coupling(law_fits["chinchilla"])


def test_a_curve_needs_runs():
    with pytest.raises(bs.UnsuitableLawError, match="kaplan2020-n: .* Expected a fit"):
        bs.plots.curve(bs.published("kaplan2020-n"))


def test_elasticities(law_fits):
    table = bs.elasticities(law_fits, n_params=["1B", "10B"], n_tokens=["20B", "200B"])
    ax = bs.plots.elasticities(table)
    assert {"chinchilla", "kaplan-nd", "at N 10B, D 200B"} <= set(labels(ax))
    assert len(ax.containers) == 6


def test_cross_regret(law_fits):
    crossed = bs.cross_regret(law_fits, budget="1e23")
    ax = bs.plots.cross_regret(crossed)
    assert len(ax.texts) == 9
    np.testing.assert_allclose(np.asarray(ax.images[0].get_array()) ** 2, crossed.matrix)
    assert ax.get_title() == "regret, per cent of 1e23 FLOP"
