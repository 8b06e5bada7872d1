"""Noise in cards and in the columns of runs: reading, saving and refusals."""

import re
import tomllib
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from model.noises import (
    GROWTH,
    LINKED,
    NOISES,
    REDUCIBLE,
    STUDENT,
    WORSE,
    curves,
    every_noise,
    normal,
    student,
    with_noise,
)

import bayescale as bs
from bayescale.errors import CardError, RunsError
from bayescale.model.card import Model
from bayescale.model.measurement import links_of
from bayescale.model.noise import Noise


@every_noise
def test_cards_round_trip(name, tmp_path):
    model = with_noise(NOISES[name])
    path = tmp_path / "mine.toml"
    path.write_text(model.to_toml(), encoding="utf-8")
    assert bs.load_model(path) == model
    assert set(model.noise.all_priors) == set(model.noise.meanings)
    assert str(model.noise).startswith(model.noise.kind)


def test_every_fragment_of_the_page_of_noise_makes_a_card():
    page = (Path(__file__).parents[2] / "docs" / "noise.md").read_text(encoding="utf-8")
    fragments = [tomllib.loads(text) for text in re.findall(r"```toml\n(.*?)```", page, re.S)]
    assert len(fragments) == 8
    said = set()
    for fragment in fragments:
        card = bs.load_model("chinchilla").to_dict()
        noise = card["noise"] | fragment.get("noise", {})
        if noise["kind"] == "normal":
            del noise["nu"]
        model = Model.from_dict({**card, **fragment, "noise": noise})
        said |= set(model.noise.to_dict())
        assert model.pooling or "pooling" not in fragment
    assert said == {f.name for f in fields(Noise)} - {"priors"} | {"sigma", "nu"}


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ({"kind": "normall"}, "found kind 'normall'.*Did you mean 'normal'"),
        ({"nu": STUDENT["nu"].to_dict()}, "unknown key 'nu'"),
        ({"rouding": 0.01}, "unknown key 'rouding'.*Did you mean 'rounding'"),
        ({"rounding": -1}, "rounding = -1, expected a step, a share such as '0.4 %'"),
        ({"rounding": "120 %"}, "rounding = '120 %', expected a step"),
        ({"rounding": True}, "rounding = True, expected a step"),
        ({"standard_error": 3}, "standard_error = 3, expected the name of a column"),
        ({"growth": "compute"}, "growth: found 'compute', expected a table of along, exponent"),
        ({"growth": {"along": "compute"}}, "growth: exponent missing"),
        ({"growth": {"along": "flops", "exponent": GROWTH.exponent.to_dict()}}, "along = 'flops'"),
        ({"growth": {"with": "compute"}}, "unknown key 'with'"),
        (
            {"checkpoints": {"run": "run", "along": "n_tokens", "length": GROWTH.exponent.to_dict()}},
            "checkpoints.length: .*positive",
        ),
        ({"inefficiency": {"distribution": "halfnormal", "scale": 1.0}}, "why missing"),
        ({"rounding": ""}, "found rounding = '', expected a step"),
        ({"rounding": " "}, "found rounding = ' ', expected a step"),
    ],
)  # fmt: skip
def test_bad_cards_are_refused_with_their_place(more, match):
    card = with_noise(normal()).to_dict()
    with pytest.raises(CardError, match=match):
        Model.from_dict({**card, "noise": {**card["noise"], **more}})


def test_incompatible_noise_components_are_refused():
    with pytest.raises(CardError, match="inefficiency: found student-t noise, expected normal"):
        student(inefficiency=WORSE)
    with pytest.raises(CardError, match="checkpoints and rounding, expected one of the two"):
        normal(checkpoints=LINKED, rounding=0.01)
    with pytest.raises(CardError, match="law kaplan-nd has no floor"):
        replace(bs.load_model("kaplan-nd"), noise=normal(growth=REDUCIBLE))
    with pytest.raises(CardError, match="along = 'compute'.*n_encoder_params"):
        replace(bs.load_model("encoder-decoder"), noise=normal(growth=GROWTH))
    by_compute = replace(bs.load_model("power-law-floor"), noise=normal(growth=GROWTH))
    assert GROWTH.inputs(by_compute.law, by_compute.columns) == ("x",)


@pytest.mark.parametrize(
    ("name", "change", "match"),
    [
        ("errors", {"se": None}, "no column 'se', which the noise"),
        ("errors", {"se": -0.1}, "row 0, column 'se': found -0.1, expected a standard error"),
        ("errors", {"se": "small"}, "row 0, column 'se': found 'small', expected"),
        ("errors", {"se": np.nan}, "row 0, column 'se': found nothing, expected .*47 more"),
        ("combined", {"step": 9.0}, "row 0, column 'step': found 9.0, expected a step"),
        ("censored", {"diverged": "perhaps"}, "row 0, column 'diverged': found 'perhaps'.*1 for"),
        ("linked", {"run": "one"}, r"column 'n_tokens': found .* for two checkpoints .* 'one'"),
        ("linked-censored", {"diverged": 1}, "found a divergence, but row 1 is a later"),
    ],
)
def test_bad_columns_are_refused_with_their_place(name, change, match):
    table = curves()
    table.loc[6:11, "n_tokens"] = table.loc[0:5, "n_tokens"].to_numpy()
    gone = [column for column, value in change.items() if value is None]
    table = table.drop(columns=gone).assign(**{c: v for c, v in change.items() if c not in gone})
    with pytest.raises(RunsError, match=match):
        bs.fit(table, with_noise(NOISES[name]), progress=False)


def test_a_step_larger_than_a_loss_is_refused():
    with pytest.raises(RunsError, match="column 'loss': found .* no more than the 5"):
        bs.fit(curves(), with_noise(normal(rounding=5.0)), progress=False)


def test_checkpoints_follow_the_last_that_is_known():
    runs = bs.load_runs(curves(2, 4))
    links = links_of(runs, "run", "n_tokens")
    np.testing.assert_array_equal(links["previous"], [0, 0, 1, 2, 4, 4, 5, 6])
    known = np.array([True, True, False, False, False, False, False, False])
    links = links_of(runs, "run", "n_tokens", known=known)
    np.testing.assert_array_equal(links["previous"], [0, 0, 1, 1, 4, 5, 6, 7])
    step = np.log(100) / 3
    np.testing.assert_allclose(links["gap"][1:4], [step, step, 2 * step])


def test_digests_include_the_columns_of_the_noise():
    runs = bs.load_runs(curves())
    changed = bs.load_runs(curves().assign(se=0.02))
    assert runs.fingerprint == changed.fingerprint
    assert runs.digest(("se",)) != changed.digest(("se",))
    assert runs.digest(("step",)) == changed.digest(("step",))
    assert runs.digest() == changed.digest(), "what was observed is in every digest"


def test_losses_of_the_figure_are_levels_of_a_logarithmic_scale():
    """The card `chinchilla-digitised` assumes it."""
    runs = bs.load_runs("chinchilla")
    steps = np.diff(np.log(np.unique(runs.loss)))
    # Some levels have no run; neighbours are 0.3 or 0.45 % apart, independent of the loss.
    near = steps[steps < 0.005]
    assert len(near) > 0.8 * len(steps)
    assert np.mean(np.minimum(np.abs(near - 0.003), np.abs(near - 0.0045)) < 2e-5) == 1.0
    assert near.mean() == pytest.approx(0.004, rel=0.02)
