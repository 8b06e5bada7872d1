"""The first sweep: designs of equal cost, calibrated posteriors, and refusals."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from contract.fits import fit_of_card

import bayescale as bs
from bayescale.costs import Cluster, Money, ShapedCost, ShapeFamily, six_nd
from bayescale.costs.limits import NO_LIMITS
from bayescale.data.catalog import model_cards
from bayescale.experiment_design import first_sweep as module
from bayescale.experiment_design.judge import Judge
from bayescale.experiment_design.prior_laws import PriorLaws
from bayescale.experiment_design.sweep_designs import USUAL, IsoFlop, standard_designs
from bayescale.experiment_design.sweep_result import RECOMMENDED
from bayescale.laws.optimum import Split
from bayescale.model.card import DEFAULT_CARD

BUDGET, TARGET = 1e20, 1e22
SHAPES = ShapedCost(family=ShapeFamily(aspect=128, vocab_size=50257, n_ctx=2048))
CLUSTER = Cluster(n_gpus=64, peak="H100-SXM", utilisation=0.4, price="$2")


@pytest.fixture(scope="module", autouse=True)
def small_search():
    """Search few designs on few projects, for speed."""
    few = {
        "budgets": (3, 5),
        "sizes": (3, 4),
        "seeds": (1,),
        "span": (10.0, 100.0),
        "width": (4.0,),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SEARCHED", 60)
        patch.setattr("bayescale.experiment_design.sweep_designs._CHOICES", few)
        yield patch


@pytest.fixture(scope="module")
def sweep(small_search):
    with small_search.context() as patch:
        patch.setattr(
            "bayescale.experiment_design.sweep_designs._CHOICES",
            {"budgets": (3, 5), "sizes": (5, 7), "span": (100.0, 1000.0), "width": (16.0, 64.0)},
        )
        return bs.first_sweep(
            "chinchilla",
            budget=BUDGET,
            target=TARGET,
            simulations=200,
            hyperparameters="steplaw2025",
            cluster=CLUSTER,
        )


def judge(card: str, count: int = 300) -> Judge:
    model = replace(bs.load_model(card), pooling=())
    table = IsoFlop().placed.costing(BUDGET, 20.0, six_nd)
    logs = (np.log(table[c].to_numpy()) for c in ("n_params", "n_tokens"))
    laws = PriorLaws.about(model, Split.of(model.law), *logs, count=count, seed=1)
    return Judge.of(laws, six_nd, TARGET, NO_LIMITS)


@pytest.mark.parametrize("cost", [six_nd, SHAPES], ids=["6ND", "shapes"])
def test_every_design_costs_the_budget(cost):
    designs = standard_designs(np.random.default_rng(1))
    designs |= {
        "seeds": IsoFlop(budgets=2, sizes=3, seeds=2).placed,
        "one": IsoFlop(budgets=1, sizes=5).placed,
    }
    for name, placed in designs.items():
        table = placed.costing(BUDGET, 20.0, cost)
        assert table["compute"].sum() == pytest.approx(BUDGET, rel=1e-9), name
        size, tokens = (table[c].to_numpy() for c in ("n_params", "n_tokens"))
        assert cost(size, tokens) == pytest.approx(table["compute"].to_numpy())


def test_an_isoflop_sweep_has_sizes_of_equal_compute_about_its_ratio():
    table = IsoFlop(budgets=3, sizes=5, seeds=2, span=100, width=16).placed.costing(
        1e20, 20, six_nd
    )
    assert len(table) == 30 and table["seed"].tolist() == [1, 2] * 15
    budgets = np.unique(np.round(np.log10(table["compute"]), 6))
    assert np.diff(budgets) == pytest.approx([1.0, 1.0])
    ratio = (table["n_tokens"] / table["n_params"]).to_numpy()
    assert (ratio.min(), ratio.max()) == pytest.approx((20 / 16, 20 * 16))


def test_standard_designs_have_their_named_shapes():
    tables = {
        name: placed.costing(BUDGET, 20.0, six_nd)
        for name, placed in standard_designs(np.random.default_rng(1)).items()
    }
    assert list(tables) == [USUAL, "L-shaped", "two diagonals", "random"]
    assert tables[USUAL].groupby(tables[USUAL]["compute"].round(-15)).size().tolist() == [7] * 5
    corner = tables["L-shaped"]
    on_arms = np.isclose(corner["n_params"], corner["n_params"].min()) | np.isclose(
        corner["n_tokens"], corner["n_tokens"].min()
    )
    assert on_arms.all()
    ratios = tables["two diagonals"]["n_tokens"] / tables["two diagonals"]["n_params"]
    assert np.unique(ratios.round(6)).tolist() == [20.0, 80.0]


@pytest.mark.parametrize("card", ["chinchilla", DEFAULT_CARD])
def test_posteriors_of_simulated_projects_are_calibrated(card):
    """True parameters are drawn from the prior, so errors have the posterior standard deviations."""
    found = judge(card)
    table = IsoFlop().placed.costing(BUDGET, 20.0, six_nd)
    verdict = found.verdict(table, count=64, sets=16, seed=2)
    error = float(np.mean(verdict.regret) - verdict.smooth)
    assert abs(error) < 4 * verdict.regret.std() / np.sqrt(len(verdict.regret))
    assert verdict.regret.mean() < 0.6 * found.before.mean()
    assert 0.3 < verdict.contraction < 1.0
    assert (verdict.contractions > 0.2).all() and (verdict.contractions < 1.0).all()


@pytest.mark.slow
def test_intervals_of_simulated_projects_hold_the_truth():
    from bayescale.experiment_design.gaussian_posteriors import posterior_curves

    found = judge(DEFAULT_CARD)
    table = IsoFlop().placed.costing(BUDGET, 20.0, six_nd)
    logs = (np.log(table[c].to_numpy()) for c in ("n_params", "n_tokens"))
    curve = posterior_curves(found.laws, *logs, count=200, sets=40, seed=4)
    with np.errstate(invalid="ignore"):
        drawn = curve.optimum(found.regrets.spending, {}).to_numpy()[..., 0]
    low, high = np.nanquantile(drawn, [0.05, 0.95], axis=1)
    held = np.mean((low <= found.log_n_opt) & (found.log_n_opt <= high))
    assert held == pytest.approx(0.9, abs=4 * np.sqrt(0.09 / len(low)))


@pytest.mark.slow
def test_more_seeds_reduce_regret():
    found = judge("chinchilla", 80)
    one, nine = (
        found.verdict(
            IsoFlop(budgets=3, sizes=5, seeds=seeds).placed.costing(seeds * BUDGET, 20.0, six_nd),
            count=32,
            sets=4,
            seed=3,
        )
        for seeds in (1, 9)
    )
    assert one.smooth > 1.5 * nine.smooth
    assert (nine.contractions > one.contractions).all()


def test_the_recommended_sweep(sweep):
    runs, designs = sweep.runs, sweep.designs
    assert len(runs) <= 35
    assert sweep.compute <= BUDGET * (1 + 1e-9) and sweep.compute > 0.99 * BUDGET
    spent = 6.0 * runs["n_params"] * runs["n_tokens"]
    assert runs["compute"].to_numpy() == pytest.approx(spent.to_numpy())
    assert list(designs.index) == [RECOMMENDED, USUAL, "L-shaped", "two diagonals", "random"]
    usual = designs.loc[USUAL]
    assert usual["more"] > 2 * usual["more_mcse"] > 0
    assert sweep.regret < sweep.before and sweep.saving > sweep.compute
    assert sweep.design.budgets == runs["budget"].nunique()
    assert "The usual sweep (isoFLOP, 5 budgets, 35 runs) of that cost leaves" in str(sweep)
    assert sweep._repr_html_() and sweep.to_record()["caveats"]


def test_a_sweep_that_costs_more_than_its_target_is_cautioned_of(sweep):
    assert not any("give a larger target" in caveat for caveat in sweep.caveats)
    costly = replace(sweep, runs=sweep.runs.assign(compute=1000.0 * sweep.runs["compute"]))
    (caveat,) = (each for each in costly.caveats if "give a larger target" in each)
    assert "no less than the run that they are for, 1e22 FLOP" in caveat


def test_learning_rates_of_a_fit_say_what_they_come_from():
    tuned = fit_of_card("learning-rate-batch")
    sweep = bs.first_sweep(
        "chinchilla", budget=BUDGET, target=TARGET, simulations=50, hyperparameters=tuned
    )
    said = [each for each in sweep.caveats if each.startswith("Learning rates and batches by")]
    assert said == [f"Learning rates and batches by {tuned.description}"]


def test_the_runs_are_a_table_to_launch_and_then_to_fit(sweep, tmp_path):
    path = tmp_path / "sweep.csv"
    sweep.to_csv(path)
    table = pd.read_csv(path)
    best = bs.hyperparameters("steplaw2025", n_params=table["n_params"], n_tokens=table["n_tokens"])
    assert table["learning_rate"].to_numpy() == pytest.approx(best["learning_rate"].to_numpy())
    assert (table["n_steps"] == np.ceil(table["n_tokens"] / table["batch_tokens"])).all()
    assert table["days"].sum() == pytest.approx(CLUSTER.days(sweep.compute))
    law = bs.published("besiroglu2024")
    loss = bs.law("chinchilla").evaluate(
        n_params=table["n_params"], n_tokens=table["n_tokens"], **law.parameters
    )
    table.assign(loss=loss).to_csv(path, index=False)
    runs = bs.load_runs(path)
    assert len(runs) == len(table)
    assert runs.n_params == pytest.approx(table["n_params"].to_numpy())
    # A file with losses is not overwritten by another plan.
    with pytest.raises(FileExistsError, match="not changed"):
        sweep.to_csv(path)
    table.to_csv(path, index=False)
    sweep.to_csv(path)
    (tmp_path / "mine.csv").write_text("when,what\n1,2\n")
    with pytest.raises(FileExistsError, match="not changed"):
        sweep.to_csv(tmp_path / "mine.csv")
    with pytest.raises(ValueError, match="expected one of .csv"):
        sweep.to_csv(tmp_path / "sweep.nc")


def test_a_seed_decides_everything():
    first, again, other = (
        bs.first_sweep("chinchilla", budget=BUDGET, target=TARGET, simulations=50, seed=seed)
        for seed in (1, 1, 2)
    )
    pd.testing.assert_frame_equal(again.designs, first.designs)
    pd.testing.assert_frame_equal(again.runs, first.runs)
    assert other.before != first.before


def test_a_design_of_ones_own_is_compared():
    table = pd.DataFrame({"n_params": ["20M", "80M", "320M"] * 4, "n_tokens": ["1B"] * 12})
    table["n_tokens"] = np.repeat(["300M", "1B", "3B", "9B"], 3)
    found = bs.first_sweep(
        "chinchilla",
        budget=BUDGET,
        target=TARGET,
        simulations=50,
        designs={"grid": table, "pairs": [("20M", "1B"), ("80M", "1B"), ("20M", "9B")] * 3},
    )
    assert found.designs.loc["grid", "runs"] == 12
    assert 0 < found.designs.loc["grid", "regret"] < found.before


def test_limits_of_runs_hold():
    limits = bs.Limits(min_params="50M", max_params="1B", max_tokens="20B")
    found = bs.first_sweep(
        "chinchilla", budget=BUDGET, target=TARGET, simulations=50, run_limits=limits, n_runs=20
    )
    runs = found.runs
    assert len(runs) <= 20
    assert runs["n_params"].min() > 0.99 * 50e6 and runs["n_params"].max() <= 1e9
    assert runs["n_tokens"].max() <= 1.01 * 20e9


def test_a_target_in_money():
    found = bs.first_sweep(
        "chinchilla",
        budget=BUDGET,
        target="$10K",
        cost=Money(cluster=CLUSTER),
        simulations=50,
        cluster=CLUSTER,
    )
    assert "$10" in found.sentences[1] and found.compute <= BUDGET * (1 + 1e-9)


REFUSED = {
    "one ratio": (
        {"designs": {"diagonal": [(n, 20 * n) for n in np.geomspace(1e7, 1e9, 12)]}},
        bs.RunsError,
        "designs, diagonal: Every run has about 20.0 tokens per parameter",
    ),
    "few runs": ({"designs": {"two": [("1B", "20B"), ("2B", "9B")]}}, bs.RunsError, "Found 2 runs"),
    "no tokens": (
        {"designs": {"a": {"n_params": ["1B"]}}},
        bs.AmountError,
        "designs, a: found no n_tokens",
    ),
    "uneven": (
        {"designs": {"a": {"n_params": ["1B"], "n_tokens": ["1B", "2B"]}}},
        bs.AmountError,
        "found 1 of n_params and 2 of n_tokens",
    ),
    "no pairs": (
        {"designs": {"a": "1B"}},
        bs.AmountError,
        "designs, a: found '1B', expected pairs",
    ),
    "many targets": ({"target": ["1e22", "1e23"]}, bs.AmountError, "found 2 budgets"),
    "few projects": ({"simulations": 3}, ValueError, "at least 50"),
    "no runs": ({"n_runs": 0}, ValueError, "n_runs: found 0"),
    "too few runs": ({"n_runs": 4}, bs.AmountError, "found no sweep of at most 4 runs"),
    "no room": (
        {"run_limits": bs.Limits(min_params="100B")},
        bs.AmountError,
        r"run_limits: found no sweep .*at least 100B parameters",
    ),
    "no such rule": ({"hyperparameters": "none"}, bs.UnknownNameError, "hyperparameter rule"),
    "no budget of runs": (
        {"budget": "1e5"},
        bs.AmountError,
        "smallest model of .* parameters, expected at least",
    ),
    "ratio": ({"tokens_per_param": -1}, bs.AmountError, "tokens_per_param"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_invalid_arguments_are_refused(name):
    given, error, match = REFUSED[name]
    with pytest.raises(error, match=match):
        bs.first_sweep("chinchilla", **{"budget": BUDGET, "target": TARGET, **given})


def test_a_stated_floor_is_refused():
    floor = bs.LogNormal(median=1.7, log_sd=0.1, why="for tests")
    model = replace(bs.load_model("chinchilla"), floor=floor)
    with pytest.raises(bs.UnsuitableLawError, match="with a stated floor"):
        bs.first_sweep(model, budget=BUDGET, target=TARGET)


FIXED = {
    "over-fitting": {"n_unique_tokens": "100B"},
    "data-constrained": {"n_unique_tokens": "100B"},
    "mixture-of-experts": {"n_experts": 8},
    "moe-sparsity": {"activation_ratio": 0.1},
    "moe-granularity": {"granularity": 8},
    "kaplan-ns": {"batch_tokens": "500K"},
    "learning-rate-batch": {"learning_rate": 1e-3, "batch_tokens": "500K"},
}


@pytest.mark.parametrize("card", model_cards())
def test_every_card_answers_or_is_refused(card):
    model = bs.load_model(card)
    asked = {"budget": BUDGET, "target": TARGET, "simulations": 50, "fixed": FIXED.get(card)}
    if not model.law.splits_compute:
        with pytest.raises(bs.UnsuitableLawError, match=f"The law {model.law.name} is one of"):
            bs.first_sweep(model, **asked)
    elif any(e.of != model.law.response or e.over != "n_params" for e in model.pooling):
        with pytest.raises(bs.UnsuitableLawError, match="with pooling by"):
            bs.first_sweep(model, **asked)
    elif set(model.law.inputs) - {"n_params", "n_tokens", "n_steps"} - {*model.law.fixed_reference}:
        with pytest.raises(bs.UnsuitableLawError, match="varies size and tokens alone"):
            bs.first_sweep(model, **asked)
    else:
        found = bs.first_sweep(model, **asked)
        assert found.regret < found.before, found
        assert set(found.designs.index) >= {RECOMMENDED, USUAL}
