"""The multiverse: combinations, shifts, isolated failures, custom choices."""

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.costs import pearce2024
from bayescale.errors import RunsError
from bayescale.sensitivity.choices import CHOICES, Universe
from bayescale.sensitivity.refit import Question

close = pytest.approx


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Two laws by two treatments of outliers, on all Chinchilla runs."""
    law = (CHOICES["law"][0], CHOICES["law"][1])
    return bs.multiverse(
        "chinchilla",
        "chinchilla",
        budget="5.76e23",
        choices={"outliers": CHOICES["outliers"], "law": law},
        draws=300,
        seed=1,
        store=tmp_path_factory.mktemp("multiverse") / "fits.jsonl",
        progress=False,
    )


def handmade() -> bs.Multiverse:
    """Shifts that add up: 0 or 2 by colour, 0, 1 or -3 by size."""
    rows = []
    for colour, of_colour in (("red", 0.0), ("blue", 2.0)):
        for size, of_size in (("small", 0.0), ("middling", 1.0), ("large", -3.0)):
            log_n = 20.0 + 0.1 * (of_colour + of_size)
            row = {"colour": colour, "size": size, "shift": of_colour + of_size, "log_n": log_n}
            rows.append({**row, "n_opt": np.exp(log_n), "log_n_sd": 0.1, "ok": True, "status": ""})
    table = pd.DataFrame(rows).set_index(["colour", "size"])
    return bs.Multiverse(table, "mine", 1e24, 0.9)


def test_the_effect_of_a_choice_is_paired():
    found = handmade()
    table = found.by_choice()
    assert table["moves"].to_list() == [0.0, 2.0, 0.0, 1.0, -3.0]
    assert table.loc[("colour", "blue"), ["shift", "least", "most"]].to_list() == [2.0, -1.0, 3.0]
    # A failed combination is left out of its choice and of its pair.
    found.table.loc[("blue", "large"), "ok"] = False
    table = found.by_choice()
    assert table.loc[("colour", "blue"), ["fits", "failed"]].to_list() == [2, 1]
    assert table.loc[("size", "large"), ["fits", "failed", "shift"]].to_list() == [1, 1, -3.0]
    assert "1 combinations failed" in found.sentences[-1]
    assert "size" in found.sentences[1]


def test_a_reference_that_failed_is_said():
    found = handmade()
    found.table.loc[("red", "small"), ["ok", "status"]] = [False, "THIS FIT FAILED."]
    assert "The reference cannot be relied on: THIS FIT FAILED." in found.sentences
    assert found.by_choice().loc[("size", "small"), "fits"] == 1
    found.table["ok"] = False
    assert found.sentences == ("No combination could be fitted; see the status of each.",)
    assert found.by_choice()["moves"].isna().all() and "none" in str(found)


def test_default_choices_change_what_they_name(chinchilla_runs):
    runs = bs.load_runs("chinchilla", keep_outliers=True)
    start = Universe(model=bs.load_model("chinchilla"), runs=runs, question=Question(budget=1e22))
    made = {
        (question, choice.name): choice.make(start)
        for question, listed in CHOICES.items()
        for choice in listed
    }
    for question, listed in CHOICES.items():
        first = made[question, listed[0].name]
        # The reference is the card on the runs that are not flagged, and nothing else.
        assert first.model == start.model and first.question == start.question
    normal = made["likelihood", "normal"].model
    assert normal.noise.kind == "normal" and normal.priors == start.model.priors
    assert made["likelihood", "growing"].model.noise.growth.along == "compute"
    compute = runs.compute
    upper = made["window", "upper three quarters"].runs
    assert upper.compute.min() >= np.quantile(compute, 0.25)
    assert len(upper) == close(0.75 * len(runs), abs=2)
    lower = made["window", "lower three quarters"].runs
    assert lower.compute.max() <= np.quantile(compute, 0.75)
    assert made["outliers", "left out"].runs.fingerprint == chinchilla_runs.fingerprint
    assert len(made["outliers", "kept"].runs) == 245
    body = made["counting", "non-embedding"]
    np.testing.assert_allclose(pearce2024.total(body.runs.n_params), runs.n_params)
    # The budget is still of 6ND in all parameters, whichever are fitted.
    n = np.array([1e7, 1e9])
    np.testing.assert_allclose(body.question.cost(n, 1e10), 6 * pearce2024.total(n) * 1e10)
    for card in ("coupled", "kaplan-nd-floor"):
        model = made["law", card].model
        assert model.law.name == card and model.noise == start.model.noise
        assert model.priors == bs.load_model(card).priors
    # All of them can be pickled.
    for universe in made.values():
        again = pickle.loads(pickle.dumps(universe))
        assert again.question.settings == universe.question.settings
        assert again.runs.fingerprint == universe.runs.fingerprint
    ids = [universe.model.id for universe in made.values()]
    assert ids[0] == "chinchilla" and len(set(ids)) == 5


def test_choices_follow_one_another(chinchilla_runs):
    start = Universe(
        model=bs.load_model("chinchilla"), runs=chinchilla_runs, question=Question(budget=1e22)
    )
    both = start.after([CHOICES["likelihood"][1], CHOICES["law"][1]])
    assert (both.model.law.name, both.model.noise.kind) == ("coupled", "normal")
    assert start.after([]) == start


@pytest.mark.slow
def test_the_reference_and_shifts_of_real_fits(small, fit):
    assert small.table.index.names == ["outliers", "law"]
    assert small.table["ok"].all() and len(small.table) == 4
    reference = small.reference
    assert reference["shift"] == 0.0 and reference["n_runs"] == 240
    plan = np.log(bs.allocate(fit, budget="5.76e23").draws["n_opt"])
    assert reference["log_n"] == close(float(plan.median()), abs=0.03)
    assert reference["log_n_sd"] == close(float(plan.std()), rel=0.15)
    shift = (small.table["log_n"] - reference["log_n"]) / reference["log_n_sd"]
    pd.testing.assert_series_equal(small.table["shift"], shift, check_names=False)
    # With heavy tails five outliers of 245 hardly matter.
    assert small.by_choice().loc[("outliers", "kept"), "moves"] < 1.5
    assert "4 fits to chinchilla: outliers x law." in str(small)


def test_a_custom_choice_that_fails_affects_no_other():
    nothing = bs.Choice("nothing", lambda u: replace(u, runs=u.runs.where("n_params > 1e30")))
    few = bs.Choice("few", lambda u: replace(u, runs=u.runs.where(np.arange(len(u.runs)) < 5)))
    found = bs.multiverse(
        "chinchilla",
        "chinchilla",
        budget=1e22,
        choices={"runs": (CHOICES["outliers"][0], nothing, few)},
        draws=300,
        seed=1,
        progress=False,
    )
    assert found.table["ok"].iloc[1:].eq(False).all()
    assert "no run meets the condition" in found.table["status"].iloc[1]
    assert found.by_choice().loc[("runs", "nothing"), "failed"] == 1
    assert np.isnan(found.by_choice().loc[("runs", "nothing"), "moves"])
    assert found.sentences[-1].startswith("2 combinations failed")


def test_invalid_questions_are_refused(chinchilla_runs):
    none = bs.Choice("none", lambda u: replace(u, runs=u.runs.where("n_params > 1e30")))
    asked = {"budget": 1e22, "progress": False}
    with pytest.raises(RunsError, match="the reference, .* could not be fitted: .*no run meets"):
        bs.multiverse(chinchilla_runs, "chinchilla", choices={"runs": (none,)}, **asked)
    with pytest.raises(ValueError, match="found none, expected a question"):
        bs.multiverse(chinchilla_runs, "chinchilla", choices={}, **asked)
    for listed, words in (((), "found none"), ((none, none), "found none, none")):
        with pytest.raises(ValueError, match=words):
            bs.multiverse(chinchilla_runs, "chinchilla", choices={"runs": listed}, **asked)
