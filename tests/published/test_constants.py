"""Predictions from published constants on the command line, against published values."""

import json

import pytest

import bayescale as bs
from bayescale.laws.constants import Constants
from bayescale.laws.published import PUBLISHED


def test_a_loss_of_given_constants(run):
    """Muennighoff et al. 2023: 8.7B parameters on seven epochs of 178B tokens."""
    unique = repr(178e9 / 7)
    asked = ("predict", "muennighoff2023", "--n-params", "8.7B", "--n-tokens", "178B")
    asked += ("--at", f"n_unique_tokens={unique}")
    code, out, _ = run(*asked, "--json")
    assert code == 0
    (row,) = json.loads(out)["predictions"]
    assert row["loss"] == pytest.approx(2.226080995952325, rel=1e-14)
    assert set(row) == {"plan", "n_params", "n_tokens", "n_unique_tokens", "loss"}
    out = run(*asked)[1]
    assert "unrounded values of the C4 fit" in out
    assert "interval" not in out and "2.226" in out
    found = bs.predict(
        bs.published("muennighoff2023"),
        n_params=8.7e9,
        n_tokens=178e9,
        inputs={"n_unique_tokens": 178e9 / 7},
    )
    assert float(found["loss"].squeeze()) == row["loss"]


@pytest.mark.parametrize(
    ("name", "budgets", "ratios", "note"),
    [
        ("kaplan2020-nd", ["3.15e23"], ["1.80"], "N without embeddings"),
        ("hoffmann2022", ["1e19", "1e21", "5.76e23"], ["32.1", "50.1", "92.6"], "two-decimal"),
    ],
)
def test_tokens_per_parameter(run, name, budgets, ratios, note):
    asked = [part for budget in budgets for part in ("--budget", budget)]
    code, out, _ = run("allocate", name, *asked)
    assert code == 0
    assert note in out, "the note on the constants"
    assert "interval" not in out and "Point estimates" in out
    for ratio in ratios:
        assert ratio in out.split()
    made = run("decide", name, "--budget", budgets[0])[1]
    assert note in made and "Sizes from" in made
    assert not any(word in made for word in ("probability", "P(best)", "expected regret below"))


def test_constants_stand_wherever_a_fit_may(run, tmp_path):
    for name, entry in PUBLISHED.items():
        if not isinstance(entry, Constants):
            continue
        amounts = {"activation_ratio": "0.25", "granularity": "4"}
        inputs = [f"{column}={amounts.get(column, '1e9')}" for column in entry.columns.values()]
        code, out, err = run("predict", name, *(x for i in inputs for x in ("--at", i)))
        assert (code, err) == (0, ""), name
        assert f"{name}: " in out and entry.note in out
        code, out, err = run("export", name)
        assert code == 0 and len(out.splitlines()) == 1 + len(entry.parameters)
    without_draws = "hoffmann2022: found published constants, which have no posterior draws"
    for asked, said in (
        (
            ("next", "hoffmann2022", "--target", "1e22", "--budget", "1e21"),
            "New runs do not change published constants; give a fit of runs.",
        ),
        (("export", "hoffmann2022", "--out", str(tmp_path / "c.csv")), without_draws),
    ):
        code, out, err = run(*asked)
        assert (code, out) == (2, "")
        assert "found hoffmann2022" in err or err.startswith("bayescale: hoffmann2022")
        assert said in err
    code, out, err = run("predict", "kaplan2020-frontier", "--at", "compute=1e21")
    assert (code, out) == (2, "") and "is a frontier that a paper gives, not a law" in err
    assert list(tmp_path.iterdir()) == []


def test_constants_take_no_levels_and_no_seed():
    for options in ({"groups": {"family": "c4"}}, {"seed": 3}):
        with pytest.raises(ValueError, match="which have neither levels nor draws"):
            bs.predict(bs.published("hoffmann2022"), n_params=1e9, n_tokens=1e10, **options)
