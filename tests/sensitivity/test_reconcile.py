"""From Kaplan's exponent to Chinchilla's: the published ladder, and a simulated one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.costs import pearce2024
from bayescale.costs.counting import chinchilla_shapes
from bayescale.errors import RunsError
from bayescale.sensitivity.exponents import budgets_with_a_minimum, measure, slices, way_for
from bayescale.sensitivity.steps import PORIAN, Selection, steps_for

close = pytest.approx
LAW = bs.law("chinchilla")

PUBLISHED = {
    "Kaplan's way": 0.84,
    "counting": 0.71,
    "warm-up": 0.60,
    "schedule": 0.57,
    "tuning": 0.50,
}
"""Porian et al. 2024, arXiv:2406.19146, on RefinedWeb: exponents recomputed from the bootstrap
that was released with the paper, to two digits."""


AS_GIVEN = {
    "n_params": "parameters",
    "n_tokens": "tokens",
    "compute": "FLOP",
    "loss": "nats/token",
}
"""Units are stated, since the simulated curves begin at implausibly few tokens."""


def curves(constants="besiroglu2024", low=790, high=1.58e9, models=20, noise=0.0, **more):
    """Curves of training of models whose sizes without embeddings are evenly spaced."""
    total = pearce2024.total(np.geomspace(low, high, models))
    size, tokens = (x.ravel() for x in np.meshgrid(total, np.geomspace(1e5, 1e14, 160)))
    loss = LAW.evaluate(n_params=size, n_tokens=tokens, **bs.published(constants).parameters)
    scatter = noise * np.random.default_rng(1).standard_normal(len(size))
    names = [f"{n:.6g}" for n in size]
    table = pd.DataFrame({"run": names, "n_params": size, "n_tokens": tokens})
    return bs.load_runs(table.assign(loss=loss * np.exp(scatter), **more), units=AS_GIVEN)


@pytest.fixture(scope="module")
def porian(shared_table) -> bs.ExponentReconciliation:
    return bs.reconcile_exponents(bs.load_runs(shared_table("porian_isoflop")))


def test_the_published_ladder(porian):
    found = porian.table.loc["rw"]
    assert list(found.index) == [*PUBLISHED, "fit range"]
    for step, published in PUBLISHED.items():
        row = found.loc[step]
        assert row["a"] == close(published, abs=0.02), step
        assert row["a_lower"] < published < row["a_upper"], step
        # The interval is narrow enough for this to be a test.
        assert row["a_upper"] - row["a_lower"] < 0.08, step
    assert found["how"].str.startswith("parabolas at 1").iloc[:5].all()


def test_the_page_on_disagreements_has_this_ladder(porian):
    page = (Path(__file__).parents[2] / "docs" / "disagreements.md").read_text(encoding="utf-8")
    found = porian.text_table()["a"]
    for step in porian.table.loc["rw"].index:
        assert f"| {step} | {found['rw', step]} | {found['owt2', step]} |" in page


def test_the_other_corpus_changes_in_the_same_direction(porian):
    found = porian.table.loc["owt2"]
    assert (found["change"].loc["counting":"tuning"] < 0).all()
    # Counting, warm-up and tuning are each more than chance; the schedule is not essential.
    assert (found.loc[["counting", "warm-up", "tuning"], "change_upper"] < 0).all()
    assert found.loc["tuning", "a_lower"] < 0.5 < found.loc["tuning", "a_upper"]
    assert porian.ladders == ("owt2", "rw")
    assert "the largest step is counting" in porian.sentences[1]


def test_attention_counts_too(shared_table):
    """With effective parameters, which include attention, leaving out the head matters less."""
    runs = bs.load_runs(shared_table("porian_isoflop")).where("dataset == 'rw'")
    steps = [replace(PORIAN[0], columns={**PORIAN[0].columns, "view": "attention-train"})]
    counted = bs.reconcile_exponents(runs, steps).table["a"].iloc[0]
    left_out = bs.reconcile_exponents(runs, PORIAN[:1]).table["a"].iloc[0]
    assert counted < left_out - 0.05


@pytest.mark.parametrize(
    ("constants", "reported"), [("besiroglu2024", 0.78), ("hoffmann2022", 0.74)]
)
def test_simulated_chinchilla_runs_measured_by_kaplans_method(constants, reported):
    """Pearce and Song 2024: twenty models of 790 to 1.58B, and more here, give Kaplan's exponent."""
    truth = float(LAW.derived(bs.published(constants).parameters)["a"])
    for models, within in ((20, 0.035), (40, 0.02)):
        found = bs.reconcile_exponents(curves(constants, models=models))
        table = found.table.loc[found.ladders[0]]
        kaplan = table.loc["Kaplan's way"]
        assert kaplan["a"] == close(reported, abs=within)
        exact = bs.apparent_exponents(bs.published(constants)).loc["non-embedding", "kaplan2020"]
        assert kaplan["a_lower"] - 0.01 < exact["median"] < kaplan["a_upper"]
        assert table.loc["counting", "a"] == close(truth, abs=0.005)
        # All models have Kaplan's sizes, so that the range has no effect.
        assert "fit range: it does not change the runs." in found.caveats[0]


def test_noise_widens_and_does_not_move():
    noisy = bs.reconcile_exponents(curves(models=40, noise=0.002)).table.droplevel(0)
    clean = bs.reconcile_exponents(curves(models=40)).table.droplevel(0)
    assert noisy.loc["Kaplan's way", "a"] == close(clean.loc["Kaplan's way", "a"], abs=0.03)
    widths = [t.loc["counting", "a_upper"] - t.loc["counting", "a_lower"] for t in (clean, noisy)]
    assert widths[1] > widths[0]
    truth = LAW.derived(bs.published("besiroglu2024").parameters)["a"]
    assert noisy.loc["counting", "a_lower"] < truth < noisy.loc["counting", "a_upper"]


def test_numbers_of_warmup_schedule_and_tuning_are_steps():
    runs = curves(high=3e10, models=30)
    table, optimal = runs.table, runs.n_tokens / runs.n_params
    # Warm-up is long for short runs; half of the models were planned for longer; some were tuned.
    table["warmup_tokens"] = 1e7
    table["schedule_tokens"] = np.where(optimal > 5, table["n_tokens"], 10 * table["n_tokens"])
    table["tuned"] = (table["n_tokens"] > 1e8).astype(int)
    marked = bs.load_runs(table, units=AS_GIVEN)
    names = [step.name for step in steps_for(marked)]
    assert names == ["Kaplan's way", "counting", "fit range", "warm-up", "schedule", "tuning"]
    selection, kept = Selection(), []
    for step in steps_for(marked):
        selection = selection.after(step)
        kept.append(selection.of(marked, "total", chinchilla_shapes))
    sizes = [len(part) for part in kept]
    assert sizes[0] == sizes[1] < sizes[2] == len(marked)
    assert sizes[2] > sizes[3] > sizes[4] > sizes[5]
    assert (kept[3].column("warmup_tokens") <= 0.2 * kept[3].n_tokens).all()
    assert (kept[4].column("schedule_tokens") == kept[4].n_tokens).all()
    assert (kept[5].n_tokens > 1e8).all()
    found = bs.reconcile_exponents(marked, way="curves")
    assert found.table.loc[(found.ladders[0], "fit range"), "n_runs"] == len(marked)


def test_slices_lie_on_the_curves():
    runs = curves(models=25)
    cut = slices(runs, "run")
    budgets = np.unique(np.round(np.log(cut.compute), 9))
    assert len(budgets) == 16 and np.ptp(np.diff(budgets)) < 1e-6
    np.testing.assert_allclose(6 * cut.n_params * cut.n_tokens, cut.compute, rtol=1e-9)
    truth = bs.published("besiroglu2024").parameters
    exact = LAW.evaluate(n_params=cut.n_params, n_tokens=cut.n_tokens, **truth)
    # The error of interpolation between checkpoints 14 % apart is small.
    np.testing.assert_allclose(cut.loss, exact, rtol=1e-3)
    assert len(budgets_with_a_minimum(cut)) == 16


def test_the_method_depends_on_the_runs(chinchilla_runs):
    runs = curves(models=25)
    assert way_for([slices(runs, "run")], "run") == "parabolas"
    assert way_for([runs], "run") == "curves"
    assert way_for([chinchilla_runs], "run") == "law"
    # All steps use the same method, so that they differ in one respect only.
    assert way_for([slices(runs, "run"), runs], "run") == "curves"
    assert way_for([runs, chinchilla_runs], "run") == "law"
    options = {"curve": "run", "width": 8.0, "card": "chinchilla", "options": {"seed": 1}}
    with pytest.raises(RunsError, match="expected at least 3"):
        measure(chinchilla_runs.where("compute < 1e19"), "parabolas", **options)
    with pytest.raises(RunsError, match="found 0 curves"):
        measure(chinchilla_runs.where("compute < 1e19"), "curves", **options)


@pytest.mark.slow
def test_a_law_on_hoffmanns_runs(fit, chinchilla_runs):
    """Counting and range together move the exponent of Hoffmann's runs half way to Kaplan's."""
    found = bs.reconcile_exponents(chinchilla_runs, seed=1)
    table = found.table.droplevel(0)
    assert list(table.index) == ["Kaplan's way", "counting", "fit range"]
    assert (table["change"].dropna() < -0.03).all() and (table["change_upper"].dropna() < 0).all()
    assert table.loc["fit range", "a"] == close(float(fit.quantities["a"].median()), abs=0.003)
    assert table.loc["Kaplan's way", "a_lower"] > 0.58
    assert set(table["how"]) == {"the chinchilla card"}


def test_total_parameters_are_the_default_count():
    """Runs counted without embeddings are not recounted at the first step."""
    runs = curves(models=40)
    body = bs.recount(runs, "non-embedding")
    table = body.table.drop(columns="params_non_embedding")
    told = bs.reconcile_exponents(bs.load_runs(table, units=AS_GIVEN), given="non-embedding").table
    plain = bs.reconcile_exponents(runs).table
    np.testing.assert_allclose(told["a"].to_numpy(), plain["a"].to_numpy(), atol=1e-6)


def test_what_is_left_out_is_said_and_what_cannot_be_is_refused(chinchilla_runs):
    runs = curves(models=25)
    nothing = bs.Step(name="nothing", why="to leave none", keep="n_tokens < 0")
    found = bs.reconcile_exponents(runs, [bs.Step(name="start", why="to begin"), nothing])
    assert list(found.table.index.get_level_values("step")) == ["start"]
    assert "nothing: left out." in found.caveats[0] and found.caveats[0] in str(found)
    with pytest.raises(RunsError, match="no step could be measured"):
        bs.reconcile_exponents(runs, [nothing])
    with pytest.raises(ValueError, match="steps: found none"):
        bs.reconcile_exponents(runs, [])
    with pytest.raises(RunsError, match="found no column 'corpus'"):
        bs.reconcile_exponents(runs, by="corpus")
    with pytest.raises(RunsError, match="found runs of 3 families"):
        bs.reconcile_exponents(bs.load_runs("overtraining"))
    missing = bs.Step(name="none", why="", columns={"warmup": "long"})
    with pytest.raises(RunsError, match="found no column 'warmup'"):
        bs.reconcile_exponents(runs, [missing])


def test_the_same_seed_gives_the_same_answer():
    runs = curves(models=25, noise=0.002)
    first, again, other = (bs.reconcile_exponents(runs, seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first.table, again.table)
    assert not first.table["a"].equals(other.table["a"])
