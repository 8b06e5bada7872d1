"""Two-step predictions: exact identities of the composition, refusals, and shapes."""

import json
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from contract.fits import fit_of_card

import bayescale as bs
from bayescale.cli.main import main
from bayescale.forecasting.two_step import _share

PLANS = {"n_params": ["7B", "70B"], "n_tokens": ["2T", "2T"]}


@pytest.fixture(scope="module")
def loss_fit():
    return fit_of_card("chinchilla")


@pytest.fixture(scope="module")
def task_fit():
    return fit_of_card("accuracy-from-loss")


@pytest.fixture(scope="module")
def found(loss_fit, task_fit):
    return bs.two_step(loss_fit, task_fit, **PLANS)


def draws_of(array) -> np.ndarray:
    ordered = array.transpose("chain", "draw", "plan").to_numpy()
    return ordered.reshape(-1, ordered.shape[-1])


def with_accuracy(fit: bs.Fit, accuracy: np.ndarray) -> bs.Fit:
    table = fit.runs.table.assign(accuracy=accuracy)
    units = {"loss": "nats/token"}
    runs = bs.load_runs(table, needs=["loss"], response="accuracy", units=units)
    return replace(fit, runs=runs)


def test_losses_are_those_of_predict_in_another_order(found, loss_fit):
    alone = bs.predict(loss_fit, **PLANS)
    for name in ("loss", "loss_run"):
        np.testing.assert_array_equal(
            np.sort(draws_of(found.draws[name]), axis=0), np.sort(draws_of(alone[name]), axis=0)
        )
    # Plans are paired within draws.
    pairs = {tuple(row) for row in draws_of(alone["loss"])}
    assert {tuple(row) for row in draws_of(found.draws["loss"])} == pairs


def test_each_draw_of_the_response_is_the_law_at_its_own_loss(found, task_fit):
    p = {name: x.to_numpy()[..., None] for name, x in task_fit.parameters.items()}
    loss = found.draws["loss"].transpose("chain", "draw", "plan").to_numpy()
    expected = p["a"] + (p["b"] - p["a"]) / (1.0 + np.exp(p["k"] * (loss - p["L_0"])))
    accuracy = found.draws["accuracy"].transpose("chain", "draw", "plan").to_numpy()
    np.testing.assert_allclose(accuracy, expected, rtol=1e-12)


def test_constants_have_no_noise_of_their_own(loss_fit):
    found = bs.two_step(loss_fit, "gadre2024-refinedweb-error", **PLANS)
    p = bs.published("gadre2024-refinedweb-error").parameters
    expected = p["epsilon"] - p["k"] * np.exp(-p["gamma"] * found.draws["loss"].to_numpy())
    np.testing.assert_allclose(found.draws["error"].to_numpy(), expected, rtol=1e-12)
    assert "error_run" not in found.draws
    assert found.shapes is None and np.isnan(found.p_unpredictable)
    assert np.isnan(found.share_of_loss).all() and str(found)
    both = bs.two_step(bs.published("besiroglu2024"), "gadre2024-refinedweb-error", **PLANS)
    assert both.diagnostics is None and both.draws["error"].size == 2 and str(both)


def test_intervals_have_the_errors_of_both_steps(found, task_fit):
    """By the law of total variance, with the run's loss independent of the second step."""
    slope = {}
    for name, shift in (("up", 1e-4), ("down", -1e-4)):
        losses = (found.draws["loss_run"].median(("chain", "draw")) + shift).to_numpy()
        slope[name] = draws_of(bs.predict(task_fit, inputs={"loss": losses.tolist()})["accuracy"])
    slopes = (slope["up"] - slope["down"]).mean(axis=0) / 2e-4
    by_loss = np.square(slopes) * draws_of(found.draws["loss_run"]).var(axis=0)
    losses = found.draws["loss_run"].median(("chain", "draw")).to_numpy()
    alone = draws_of(bs.predict(task_fit, inputs={"loss": losses.tolist()})["accuracy_run"])
    whole = draws_of(found.draws["accuracy_run"]).var(axis=0)
    np.testing.assert_allclose(whole, by_loss + alone.var(axis=0), rtol=0.25)
    np.testing.assert_allclose(found.share_of_loss, by_loss / whole, atol=0.15)


@pytest.mark.parametrize("outliers", [0.0, 1e9])
def test_the_share_of_the_loss_does_not_depend_on_a_few_draws(outliers):
    rng = np.random.default_rng(1)
    loss, noise = rng.standard_normal((2, 4, 5000, 1))
    noise[:, :3] += outliers
    whole, rest = (
        xr.DataArray(x, dims=("chain", "draw", "plan")) for x in (loss + 2.0 * noise, 2.0 * noise)
    )
    np.testing.assert_allclose(_share(whole, rest), 0.2, atol=0.04)


def test_a_share_of_answers_is_at_most_one(loss_fit, task_fit):
    wide = task_fit._posterior.assign(sigma=0.5 + 0.0 * task_fit._posterior["sigma"])
    noisy = replace(task_fit, _posterior=wide)
    found = bs.two_step(loss_fit, noisy, **PLANS)
    assert float(found.draws["accuracy_run"].max()) == 1.0


def test_the_result_says_what_it_is(found):
    table = found.table(0.5)
    assert {"loss", "loss_run_lower", "accuracy_upper", "accuracy_run"} <= set(table.columns)
    assert list(found.text_table().columns)[-1] == "accuracy of one run"
    json.dumps(found.to_record())
    assert "chinchilla law" in found.headline and "accuracy-from-loss law" in found.headline
    assert any(s.startswith("The accuracy follows the loss") for s in found.sentences)
    assert any("variance of the accuracy" in s for s in found.sentences)
    assert found._repr_html_()


def test_losses_below_those_of_the_second_fit_are_a_caveat(found, loss_fit, task_fit):
    np.testing.assert_array_equal(found.beyond_losses.round(), [0.0, 1.0])
    assert any("of 1 of 2 plans is probably below every loss" in s for s in found.caveats)
    far = bs.two_step(loss_fit, task_fit, n_params="1T", n_tokens="1000T")
    assert far.beyond_losses == pytest.approx(1.0)


def test_shapes_tell_the_law_from_no_relation_and_from_others(loss_fit, task_fit):
    assert bs.shape_weights(task_fit)["accuracy-from-loss"] > 0.9
    rng, loss = np.random.default_rng(1), task_fit.inputs["loss"]
    flat = with_accuracy(task_fit, 0.25 * np.exp(0.03 * rng.standard_normal(len(loss))))
    assert bs.shape_weights(flat)["no relation"] > 0.9
    bent = with_accuracy(task_fit, 0.3 + 0.2 * np.square(np.sin(3.0 * loss)))
    weights = bs.shape_weights(bent)
    assert weights.sum() == pytest.approx(1.0)
    doubtful = bs.two_step(loss_fit, flat, **PLANS)
    assert doubtful.p_unpredictable > 0.9
    assert any("does not follow the loss along this law" in s for s in doubtful.caveats)
    with pytest.raises(bs.UnsuitableLawError, match="expected one of a single input"):
        bs.shape_weights(loss_fit)
    few = replace(task_fit, runs=task_fit.runs.where(np.arange(len(loss)) < 5))
    with pytest.raises(bs.RunsError, match="found 5 runs, expected at least 8"):
        bs.shape_weights(few)


def test_a_smooth_departure_is_another_shape(task_fit):
    loss = task_fit.inputs["loss"]
    turned = np.exp(-0.5 * np.square((loss - 3.2) / 0.4))
    bent = with_accuracy(task_fit, task_fit.runs.column("accuracy") * (1.0 - 0.4 * turned))
    assert bs.shape_weights(bent)["another shape"] > 0.9


def test_incompatible_fits_are_refused(loss_fit, task_fit):
    with pytest.raises(bs.UnsuitableLawError, match="expected one of the loss"):
        bs.two_step(task_fit, task_fit, **PLANS)
    with pytest.raises(bs.UnsuitableLawError, match="expected one of the loss, such as"):
        bs.two_step(loss_fit, loss_fit, **PLANS)
    bits = replace(task_fit, runs=replace(task_fit.runs, units={"loss": "bits/byte"}))
    with pytest.raises(bs.RunsError, match="found losses in bits/byte, expected nats/token"):
        bs.two_step(loss_fit, bits, **PLANS)
    with pytest.raises(bs.AmountError, match="found n_params, expected n_params, n_tokens"):
        bs.two_step(loss_fit, task_fit, n_params="7B")


def test_the_command_predicts_a_task(loss_fit, task_fit, tmp_path, capsys):
    loss_fit.save(tmp_path / "loss.nc")
    task_fit.save(tmp_path / "task.nc")
    command = ["predict", str(tmp_path / "loss.nc"), "--n-params", "7B", "--n-tokens", "2T"]
    assert main([*command, "--task", str(tmp_path / "task.nc")]) == 0
    assert "accuracy of one run" in capsys.readouterr().out
    assert main([*command, "--task", "gadre2024-refinedweb-error", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert 0.3 < said["predictions"][0]["error"] < 0.6
    assert main([*command, "--task", "gadre2024"]) != 0
    assert "published constants" in capsys.readouterr().err
