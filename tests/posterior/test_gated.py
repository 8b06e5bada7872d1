"""Convergence of group effects and predictions, in addition to the parameters."""

from dataclasses import replace

import numpy as np
import xarray as xr

import bayescale as bs
from bayescale.backend.observed import Scale
from bayescale.posterior.gated import corners, digest_of, gated_quantities


def test_corners_are_the_extremes_of_each_combination_of_directions():
    size, tokens = np.meshgrid(np.linspace(0, 1, 5), np.linspace(0, 2, 4))
    found = corners(np.array([size.ravel(), tokens.ravel()]))
    assert sorted(zip(size.ravel()[found], tokens.ravel()[found], strict=True)) == [
        (0.0, 0.0),
        (0.0, 2.0),
        (1.0, 0.0),
        (1.0, 2.0),
    ]
    assert corners(np.array([[3.0, 1.0, 2.0]])).tolist() == [0, 1]
    assert corners(np.zeros((2, 3))).tolist() == [0]


def test_a_fit_gates_predictions_at_its_corners_and_the_largest_run(fit):
    found = gated_quantities(fit.model, fit.scale, fit.runs, fit.posterior, fit.seed)
    assert set(fit.quantities) < set(found)
    assert list(fit.gates.table.index[-1:]) == ["ln n_opt at the largest run"]
    rows = found["run"].to_numpy()
    there = fit.runs.table.iloc[rows]
    predicted = bs.predict(fit, n_params=there.n_params, n_tokens=there.n_tokens)["loss"]
    np.testing.assert_allclose(
        found["loss at run"].to_numpy(), predicted.transpose("chain", "draw", "plan"), rtol=1e-12
    )
    plan = bs.allocate(fit, budget=6 * (fit.runs.n_params * fit.runs.n_tokens).max())
    np.testing.assert_allclose(
        found["ln n_opt at the largest run"],
        np.log(plan.draws["n_opt"].isel(budget=0)),
        rtol=1e-9,
    )


def test_effects_that_disagree_fail_though_every_scalar_agrees():
    """Group effects that trade off with their mean: the parameters alone would pass."""
    model = replace(bs.load_model("chinchilla-pooled"), id="floors")
    model = replace(model, pooling=tuple(part for part in model.pooling if part.of == "E"))
    runs = bs.load_runs("overtraining")
    rng = np.random.default_rng(1)
    shape = (4, 1000)
    law = model.law
    truth = law.to_reference(
        bs.published("besiroglu2024").parameters, Scale.of(model, runs).reference
    )
    scalars = {**bs.published("besiroglu2024").parameters, **truth}
    (effect,) = model.effects
    others = {name: 0.1 for name in model.all_priors if name not in scalars}
    draws = xr.Dataset(
        {
            name: (("chain", "draw"), value * np.exp(0.01 * rng.standard_normal(shape)))
            for name, value in {**scalars, **others}.items()
        }
    )
    levels = np.unique(runs.table[effect.over].astype(str))
    steps = 0.01 * rng.standard_normal((*shape, len(levels)))
    named = {f"level_{effect.over}": levels}
    dims = ("chain", "draw", f"level_{effect.over}")
    scale = Scale.of(model, runs)

    def checked(steps):
        whole = draws.assign_coords(named).assign({effect.effect: (dims, steps)})
        made = {"sampler": {"seed": 1}}
        return bs.Fit(model, runs, scale, whole, of_nothing(shape), made).gates

    assert checked(steps).ok
    steps = steps + 0.02 * (np.arange(4)[:, None, None] == 3) * (np.arange(len(levels)) == 0)
    found = checked(steps)
    assert not found.ok
    assert f"R-hat of {effect.effect}[{levels[0]}]" in found.failures[0]
    assert all(effect.effect in said or " at run[" in said for said in found.failures)


def of_nothing(shape) -> xr.Dataset:
    """Statistics of a sampler without divergences or other problems."""
    dims, no = ("chain", "draw"), np.zeros(shape, dtype=bool)
    energy = np.random.default_rng(2).standard_normal(shape)
    return xr.Dataset(
        {"diverging": (dims, no), "maxdepth_reached": (dims, no), "energy": (dims, energy)}
    )


def test_diagnostics_of_all_draws_are_kept_for_thinned_draws(fit):
    """Changed draws are measured again."""
    table = fit.gates.table.reset_index().assign(r_hat=1.005)
    table.loc[0, "r_hat"] = 1.02
    made = {
        "kept": digest_of(fit.posterior),
        "longest": True,
        "measures": table.to_dict("list"),
    }
    provenance = {**fit.provenance, "all_draws": made}
    kept = replace(fit, provenance=provenance)
    assert kept.gates.table["r_hat"].tolist() == table["r_hat"].tolist()
    assert "R-hat of loss_ref is 1.020" in kept.gates.status
    moved = fit.posterior.copy(deep=True)
    moved["alpha"] = moved["alpha"] + xr.DataArray([0.0, 0.0, 0.0, 1e-3], dims="chain")
    again = replace(fit, _posterior=moved, provenance=provenance)
    assert again.gates.table.loc["loss_ref", "r_hat"] == fit.gates.table.loc["loss_ref", "r_hat"]


def test_few_draws_are_taken_from_more_and_a_saved_fit_says_the_same(chinchilla_runs, tmp_path):
    few = bs.fit(chinchilla_runs, "chinchilla", draws=250, seed=4, progress=False)
    assert few.posterior.sizes["draw"] == 250
    factor = few.provenance["sampler"]["kept_one_draw_in"]
    assert factor >= 2
    assert few.provenance["all_draws"]["longest"] == (factor == 16)
    few.save(tmp_path / "few.nc")
    loaded = bs.load_fit(tmp_path / "few.nc")
    assert loaded.gates.table.equals(few.gates.table)
    assert loaded.gates.status == few.gates.status
