"""Preregistered forecasts of planned runs: contents, digest and refusals."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from contract.fits import fit_of_card, laplace_fit

import bayescale as bs
from bayescale.data.levels import column_of
from bayescale.errors import AmountError, ForecastFileError, UnknownNameError, UnsuitableLawError
from bayescale.records.preregister import DRAWS

BIG = {"n_params": "70B", "n_tokens": "1.4T"}
PLANNED = {"big": BIG, "small": {"n_params": 7e9, "n_tokens": "2T"}}


@pytest.fixture(scope="module")
def fit() -> bs.Fit:
    return fit_of_card("chinchilla")


@pytest.fixture(scope="module")
def pooled() -> bs.Fit:
    return laplace_fit(bs.load_model("chinchilla-pooled"), bs.load_runs("overtraining").table)


@pytest.fixture
def saved(fit, tmp_path):
    path = tmp_path / "big.json"
    bs.preregister(fit, PLANNED, path)
    return path


def test_what_is_sealed_is_the_posterior_predictive(fit):
    made = bs.preregister(fit, PLANNED)
    drawn = bs.predict(fit, n_params=["70B", "7B"], n_tokens=["1.4T", "2T"])["loss_run"]
    for i, name in enumerate(PLANNED):
        draws = made.draws(name)
        assert len(draws) == DRAWS and (np.diff(draws) >= 0).all()
        for prob in (0.05, 0.5, 0.95):
            # A stored quantile is at most half a step of rank from the requested one.
            low, high = np.quantile(drawn[..., i], [prob - 1 / DRAWS, prob + 1 / DRAWS])
            assert low <= np.quantile(draws, prob) <= high
    table = made.table()
    assert list(table.index) == ["big", "small"]
    assert table.loc["big", "n_params"] == 70e9 and table.loc["small", "n_tokens"] == 2e12
    assert (table["lower"] < table["median"]).all() and (table["median"] < table["upper"]).all()
    assert "big" in str(made) and made.sha256 in str(made)


def test_digests_and_versions_are_those_of_the_fit(fit):
    content = bs.preregister(fit, PLANNED).content
    (card,) = content["posterior"]["cards"]
    assert card["sha256"] == hashlib.sha256(fit.model.to_toml().encode()).hexdigest()
    assert card["weight"] == 1.0
    assert card["fit"]["fingerprint"] == fit.runs.fingerprint
    runs = content["posterior"]["runs"]
    assert (runs["count"], runs["sha256"]) == (len(fit.runs), fit.runs.digest())
    assert content["versions"]["bayescale"] == bs.__version__
    assert content["unit"] == "nats/token"


def test_a_file_comes_back_as_it_was_sealed(fit, tmp_path):
    made = bs.preregister(fit, PLANNED, tmp_path / "a.json")
    found = bs.load_preregistration(tmp_path / "a.json")
    assert found.content == made.content and found.sha256 == made.sha256
    assert found.table().equals(made.table())
    # The digest is of the content: layout and order of keys do not matter.
    sealed = json.loads((tmp_path / "a.json").read_text())
    assert sealed["sha256"] == made.sha256
    (tmp_path / "b.json").write_text(json.dumps(sealed, sort_keys=True))
    assert bs.load_preregistration(tmp_path / "b.json").sha256 == made.sha256
    compact = json.dumps(sealed["content"], sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(compact.encode()).hexdigest() == made.sha256


def leaves(value, path=()):
    """Yield the path of every leaf of a JSON document."""
    if not value or not isinstance(value, dict | list):
        yield path
        return
    for key, part in value.items() if isinstance(value, dict) else enumerate(value):
        yield from leaves(part, (*path, key))


def test_a_changed_value_is_refused_wherever_it_is(saved):
    sealed = json.loads(saved.read_text())
    paths = [p for p in leaves(sealed["content"]) if p[-1] not in range(3, DRAWS)]
    assert len(paths) > 30
    for path in paths:
        changed = json.loads(saved.read_text())
        part = changed["content"]
        for key in path[:-1]:
            part = part[key]
        part[path[-1]] = "other" if part[path[-1]] != "other" else "another"
        saved.with_name("changed.json").write_text(json.dumps(changed))
        with pytest.raises(ForecastFileError, match="changed after it was written"):
            bs.load_preregistration(saved.with_name("changed.json"))


DAMAGE = {
    "cut off": (lambda text: text[: len(text) // 2], "damaged"),
    "empty": (lambda text: "", "damaged"),
    "a list": (lambda text: "[1, 2]", "damaged"),
    "nested": (lambda text: "[" * 100_000, "damaged"),
    "other keys": (lambda text: text.replace('"content"', '"contents"'), "damaged"),
    "other format": (lambda text: text.replace("forecasts 1", "forecasts 2"), "another version"),
    "twice": (lambda text: text.replace('"unit"', '"unit": "bits/byte", "unit"'), "twice"),
    "no content": (
        lambda text: '{"format": "bayescale forecasts 1", "content": 3, "sha256": "a"}',
        "SHA-256",
    ),
    "not a number": (lambda text: text.replace('"weight": 1.0', '"weight": NaN'), "damaged"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_file_is_refused(saved, name):
    change, words = DAMAGE[name]
    text = saved.read_text()
    assert change(text) != text
    saved.write_text(change(text))
    with pytest.raises(ForecastFileError, match=words):
        bs.load_preregistration(saved)


OTHER_CONTENT = {
    "no date": (lambda content: content.pop("date"), "found date = None"),
    "a number for a unit": (lambda content: content.update(unit=3), "found unit = 3"),
    "no headline": (lambda content: content["posterior"].pop("headline"), "found posterior = "),
    "no runs": (lambda content: content.update(runs={}), "found no runs"),
    "a run of texts": (
        lambda content: next(iter(content["runs"].values())).update(draws=["2.1", "2.2"]),
        "found the run ",
    ),
    "a run of huge integers": (
        lambda content: next(iter(content["runs"].values())).update(draws=[10**400]),
        "found the run ",
    ),
    "a run nowhere": (
        lambda content: next(iter(content["runs"].values())).update(inputs={}),
        "found the run ",
    ),
}


@pytest.mark.parametrize("name", OTHER_CONTENT)
def test_other_content_under_a_right_digest_is_refused(saved, name):
    change, words = OTHER_CONTENT[name]
    sealed = json.loads(saved.read_text())
    change(sealed["content"])
    sealed["sha256"] = bs.Preregistration(sealed["content"]).sha256
    saved.write_text(json.dumps(sealed))
    with pytest.raises(ForecastFileError, match=words):
        bs.load_preregistration(saved)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ForecastFileError, match="there is no such file"):
        bs.load_preregistration(tmp_path / "none.json")


def test_forecasts_are_replaced_only_if_asked_to(fit, saved, tmp_path):
    before = saved.read_bytes()
    with pytest.raises(FileExistsError, match="replace=True"):
        bs.preregister(fit, {"other": BIG}, saved)
    assert saved.read_bytes() == before
    bs.preregister(fit, {"other": BIG}, saved, replace=True)
    assert list(bs.load_preregistration(saved).runs) == ["other"]
    mine = tmp_path / "mine.json"
    mine.write_text('{"mine": 1}')
    with pytest.raises(FileExistsError, match="found a file that is not forecasts"):
        bs.preregister(fit, PLANNED, mine, replace=True)
    with pytest.raises(ValueError, match="suffix '.csv'"):
        bs.preregister(fit, PLANNED, tmp_path / "mine.csv")
    assert mine.read_text() == '{"mine": 1}'


def test_no_partial_file_is_left(fit, saved, monkeypatch):
    """The old file stays until the new one is complete."""
    before = saved.read_bytes()

    def interrupted(path, text, **_):
        with path.open("w") as file:
            file.write(text[:100])
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.write_text", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bs.preregister(fit, {"other": BIG}, saved, replace=True)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


@pytest.mark.parametrize(
    ("planned", "words"),
    [
        ({}, "found {}"),
        ([BIG], r"runs=: found .*, expected a mapping such as {'big': {"),
        ({"big": "70B"}, "planned run 'big': found '70B', expected its inputs"),
        ({"big": {"n_params": "70B"}}, "planned run 'big': found n_params, expected n_tokens too"),
        ({"big": {}}, "found nothing, expected n_params, n_tokens too"),
        ({"big": {**BIG, "n_token": 1}}, "found 'n_token', expected n_params, n_tokens.*Did you"),
        ({"big": {**BIG, "n_params": "many"}}, "planned run 'big', n_params: found 'many'"),
        ({"big": {**BIG, "n_params": -1}}, "planned run 'big', n_params: found -1"),
        ({"": BIG}, "expected a name"),
        ({" big": BIG}, "without spaces around it"),
    ],
)
def test_what_cannot_be_planned_is_refused(fit, tmp_path, planned, words):
    with pytest.raises(AmountError, match=words):
        bs.preregister(fit, planned, tmp_path / "a.json")
    assert not list(tmp_path.iterdir())


def test_published_constants_are_refused():
    with pytest.raises(UnsuitableLawError, match="no predictive distribution"):
        bs.preregister(bs.published("besiroglu2024"), PLANNED)


def test_a_response_that_is_no_positive_number_is_refused(fit):
    draws = fit.posterior
    undefined = replace(fit, _posterior=draws.assign(E=draws["E"] - 100.0))
    with pytest.raises(UnsuitableLawError, match="planned run 'big'.*not a positive finite"):
        bs.preregister(undefined, {"big": BIG})


def test_levels_are_those_stated_or_selected(pooled):
    family, other = np.unique(column_of(pooled.runs, "family"))[:2]

    def levels(fit, **stated):
        made = bs.preregister(fit, {"big": {**BIG, **stated}})
        return made.runs["big"]["levels"], made.table()["median"].iloc[0]

    new, median_of_new = levels(pooled)
    assert new == {}
    stated, median = levels(pooled, family=family)
    assert stated == {"family": family}
    assert median != median_of_new
    assert levels(pooled.sel(family=family)) == (stated, pytest.approx(median))
    assert levels(pooled.sel(family=family), family=other)[0] == {"family": other}
    assert levels(pooled, family=bs.NEW)[0] == {"family": None}
    both = bs.preregister(pooled, {"a": {**BIG, "family": family}, "b": BIG})
    assert [run["levels"]["family"] for run in both.runs.values()] == [family, None]
    assert both.table()["median"].iloc[0] == pytest.approx(median, rel=0.01)
    with pytest.raises(UnknownNameError, match="no-such"):
        levels(pooled, family="no-such")


def test_an_average_of_laws_is_sealed_with_every_card(fit):
    other = replace(fit, model=replace(fit.model, id="other"))
    average = bs.model_average({"a": fit, "b": other}, {"a": 3.0, "b": 1.0})
    cards = bs.preregister(average, PLANNED).content["posterior"]["cards"]
    assert [card["id"] for card in cards] == ["chinchilla", "other"]
    assert [card["weight"] for card in cards] == pytest.approx([0.75, 0.25], abs=0.01)
