"""Implausible units are reported with a plausible one; real tables raise no alarm."""

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bayescale as bs
from bayescale.data.column_units import BASES, column_unit
from bayescale.data.plausibility import implausible
from bayescale.errors import BayescaleWarning, RunsError

FACTORS = {
    "n_params": {"K": 1e3, "M": 1e6, "B": 1e9},
    "n_tokens": {"M": 1e6, "B": 1e9, "T": 1e12},
    "compute": {"TFLOP": 1e12, "PFLOP": 1e15, "EFLOP": 1e18, "ZFLOP": 1e21, "PF-days": 8.64e19},
}
GIVEN = [
    ("n_params", "n_tokens"),
    ("n_params", "compute"),
    ("n_tokens", "compute"),
    ("n_params", "n_tokens", "compute"),
]


def in_units(table: pd.DataFrame, units: dict[str, str]) -> pd.DataFrame:
    """Return the table in other units, without stating them."""
    return table.assign(
        **{
            name: np.log10(table[name]) if unit == "log10" else table[name] / FACTORS[name][unit]
            for name, unit in units.items()
        }
    )


def doubts(table: pd.DataFrame) -> list:
    """Return the notes on implausible values, or the text of the refusal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)
        try:
            return list(bs.load_runs(table).notes_of("implausible"))
        except RunsError as error:
            return [str(error)]


def cases_of_one_unit():
    for given_ in GIVEN:
        for name in given_:
            for unit in [*FACTORS[name], "log10"]:
                # Sizes in thousands are not detected: 20,000 tokens per parameter are possible.
                if (name, unit) != ("n_params", "K") or given_ != ("n_params", "n_tokens"):
                    yield given_, {name: unit}


@pytest.mark.parametrize(
    "source", ["chinchilla", pytest.param("overtraining", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(("given_", "units"), list(cases_of_one_unit()), ids=str)
def test_one_column_in_another_unit_is_found_and_named(source, given_, units):
    table = bs.load_runs(source).table[[*given_, "loss"]]
    wrong = in_units(table, units)
    found = doubts(wrong)
    (name, unit), *_ = units.items()
    assert found and f"--unit {name}={unit})" in found[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        right = bs.load_runs(wrong, units=units)
    np.testing.assert_allclose(right.column(name), table[name], rtol=1e-12)
    said = right.notes_of("unit")
    assert [note.units for note in said] == [units]


def test_logarithms_that_may_be_another_unit_are_named_with_it():
    # Compute from 18 to 20 is 10 to that power, or so many EFLOP.
    compute = np.repeat(np.geomspace(1e18, 1e20, 5), 6)
    size = 0.1 * np.sqrt(compute) * np.tile(np.geomspace(0.25, 4.0, 6), 5)
    table = pd.DataFrame({"n_params": size, "compute": np.log10(compute), "loss": 3.0})
    with pytest.raises(RunsError) as refused:
        bs.load_runs(table)
    said = str(refused.value)
    assert "In EFLOP compute is 1.8e19 FLOP to 2e19 FLOP" in said
    assert "Or in log10 compute is 1e18 FLOP to 1e20 FLOP" in said
    assert "--unit compute=EFLOP" in said and "--unit compute=log10" in said
    # EFLOP over two decades are no logarithms.
    with pytest.raises(RunsError) as refused:
        bs.load_runs(table.assign(compute=compute / 1e18))
    assert "--unit compute=EFLOP" in str(refused.value) and "log10" not in str(refused.value)


@pytest.mark.parametrize("given_", GIVEN, ids=str)
def test_two_columns_in_other_units_are_found(given_):
    table = bs.load_runs("chinchilla").table[[*given_, "loss"]]
    for one, other in itertools.combinations(given_, 2):
        for units in itertools.product(FACTORS[one], FACTORS[other]):
            assert doubts(in_units(table, dict(zip((one, other), units, strict=True)))), units
        for name in (one, other):
            assert doubts(in_units(table, {name: "log10"})), name


def test_sizes_in_millions_and_tokens_in_billions(chinchilla_runs):
    table = chinchilla_runs.table[["n_params", "n_tokens", "loss"]]
    units = {"n_params": "M", "n_tokens": "B"}
    with pytest.raises(RunsError, match="--unit n_params=M --unit n_tokens=B") as refused:
        bs.load_runs(in_units(table, units))
    assert "no model has fewer than 1,000" in str(refused.value)
    with pytest.raises(RunsError, match=r"Rows 0, 1, 2, 3, 4 and \d+ more: n_params of"):
        bs.load_runs(in_units(table, {"n_params": "M"}))
    assert bs.load_runs(in_units(table, units), units=units).fingerprint is not None


@pytest.mark.parametrize("name", bs.list_datasets().index)
def test_shipped_tables_raise_no_alarm(name):
    assert not bs.load_runs(name, keep_outliers=True).notes_of("implausible", "counting")


OPTIONS = {
    "routed_lm_curves": {"columns": {"n_params": "params"}, "needs": ("n_params", "n_tokens")},
    "steplaw": {"columns": {"n_params": "params"}},
    "revisiting_lang": {"columns": {"n_tokens": "examples"}},
}


@pytest.mark.parametrize(
    "name",
    [
        "cs336_synthetic_isoflop",
        "datablations_runs",
        "gemstones",
        "marin_isoflop",
        "porian_isoflop",
        "revisiting_lang",
        "routed_lm_curves",
        "steplaw",
        "xlstm_llama_isoflop",
    ],
)
def test_public_tables_raise_no_alarm(shared_table, name):
    frame = pd.read_csv(shared_table(name)).assign(seed=lambda t: np.arange(len(t)))
    runs = bs.load_runs(frame, tolerance=10.0, **OPTIONS.get(name, {}))
    assert not runs.notes_of("implausible")


GOOD = pd.DataFrame(
    {
        "N": [7e7, 1.6e8, 4.1e8, 1e9, 2e9, 4e9],
        "D": [1.4e9, 3.2e9, 8.2e9, 2e10, 8e10, 1e11],
        "loss": [3.9, 3.5, 3.1, 2.8, 2.6, 2.5],
    }
)


@pytest.mark.parametrize("column", ["N", "D"])
@pytest.mark.parametrize("factor", [1e-9, 1e-6, 1e-3, 1e3, 1e6, 1e9])
@pytest.mark.parametrize("row", [0, 2, 5])
def test_one_row_that_is_off_is_named(column, factor, row):
    table = GOOD.copy()
    table.loc[row, column] *= factor
    (found,) = doubts(table)
    assert f"Row {row}: " in str(found)
    assert "Correct the rows" in str(found)


def test_what_is_right_is_confirmed():
    toys = GOOD.assign(N=GOOD["N"] / 1e5)
    with pytest.raises(RunsError, match="--unit n_params=parameters"):
        bs.load_runs(toys)
    with pytest.raises(RunsError, match="fewer than any model"):
        bs.load_runs(GOOD.assign(D=GOOD["D"] / 1e5))
    units = {"n_params": "parameters", "n_tokens": "tokens"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        runs = bs.load_runs(GOOD.assign(N=GOOD["N"] / 1e5, D=GOOD["D"] / 1e9), units=units)
    assert list(runs.notes_of("unit")) == [
        "n_params taken as parameters",
        "n_tokens taken as tokens",
    ]


@pytest.mark.parametrize(
    ("losses", "unit"),
    [(np.exp(GOOD["loss"]), "perplexity"), (GOOD["loss"] * 0.3, "bits/byte")],
)
def test_losses_that_are_no_nats(losses, unit):
    with pytest.warns(BayescaleWarning, match=f"--unit loss={unit}"):
        bs.load_runs(GOOD.assign(loss=losses))
    runs = bs.load_runs(GOOD.assign(loss=losses), units={"loss": unit})
    kept = unit == "bits/byte"
    np.testing.assert_allclose(runs.loss, losses if kept else GOOD["loss"])
    assert runs.loss_unit == (unit if kept else "nats/token")
    assert runs.loss_unit in runs.describe()


def test_losses_in_per_cent_and_high_ones():
    with pytest.warns(BayescaleWarning, match="an error in per cent is --unit loss=%"):
        bs.load_runs(GOOD.assign(loss=[70.0, 60.0, 50.0, 40.0, 30.0, 20.0]))
    with pytest.warns(BayescaleWarning, match=r"Row 0: loss of 13.0, worse than a uniform guess"):
        bs.load_runs(GOOD.assign(loss=[13.0, 3.5, 3.1, 2.8, 2.6, 2.5]))
    errors = GOOD.rename(columns={"loss": "error"}).assign(error=[70, 60, 50, 40, 30, 20])
    runs = bs.load_runs(errors, response="error", units={"error": "%"})
    np.testing.assert_allclose(runs.column("error"), [0.7, 0.6, 0.5, 0.4, 0.3, 0.2])


def test_the_name_of_a_column_states_its_unit():
    runs = bs.load_runs(GOOD.rename(columns={"loss": "val_bpb"}), columns={"loss": "val_bpb"})
    assert runs.loss_unit == "bits/byte"
    assert "loss taken as bits/byte" in runs.notes
    table = GOOD.assign(ppl=np.exp(GOOD["loss"])).drop(columns="loss")
    runs = bs.load_runs(table, columns={"loss": "ppl"})
    np.testing.assert_allclose(runs.loss, GOOD["loss"])
    assert "loss converted from perplexity to nats/token" in runs.notes


@pytest.mark.parametrize(
    ("column", "unit", "value", "converted"),
    [
        ("n_params", "millions", 70.0, 7e7),
        ("n_params", "million parameters", 70.0, 7e7),
        ("n_params", "M", 70.0, 7e7),
        ("n_tokens", "billions of tokens", 1.4, 1.4e9),
        ("n_tokens", "1e9", 1.4, 1.4e9),
        ("n_tokens", "log10 tokens", 9.0, 1e9),
        ("n_steps", "K", 10.0, 1e4),
        ("compute", "EFLOP", 2.0, 2e18),
        ("compute", "PF-days", 1.0, 8.64e19),
        ("compute", "log10", 18.0, 1e18),
        ("loss", "bits/token", 1.0, np.log(2.0)),
        ("loss", "perplexity", np.e, 1.0),
        ("error", "%", 25.0, 0.25),
    ],
)
def test_units_as_people_write_them(column, unit, value, converted):
    assert column_unit(column, unit).convert(np.array([value]))[0] == pytest.approx(converted)


@pytest.mark.parametrize("column", BASES)
def test_the_base_unit_converts_nothing(column):
    assert column_unit(column, BASES[column]).convert is None


@pytest.mark.parametrize(
    ("units", "said"),
    [
        ({"n_params": "X"}, "found 'X', expected parameters, K, M"),
        ({"n_params": "3"}, "found '3', expected"),
        ({"n_params": 3}, "found 3, expected"),
        ({"compute": "M"}, "expected FLOP, a multiple"),
        ({"loss": "M"}, "expected nats/token, bits/token"),
        ({"los": "M"}, "Did you mean 'loss'"),
        (["M"], "expected a mapping"),
        ({"loss": "perplexity", "n_params": "log10"}, "n_params.: found 7e\\+07 log10"),
    ],
)
def test_unknown_units_are_refused(units, said):
    with pytest.raises(RunsError, match=said):
        bs.load_runs(GOOD, units=units)


def test_a_suffix_in_a_column_with_a_unit_is_refused():
    table = GOOD.assign(N=["70M", "160", "410", "1000", "2000", "4000"])
    with pytest.raises(RunsError, match=r"row 0, column 'N'.*found '70M', expected a number of M"):
        bs.load_runs(table, units={"n_params": "M"})


@given(st.floats(1e6, 1e12), st.floats(0.05, 1e4), st.integers(1, 20))
def test_plausible_designs_raise_no_finding(size, ratio, n):
    sizes = size * np.geomspace(1.0, 30.0, n)
    table = pd.DataFrame({"n_params": sizes, "n_tokens": ratio * sizes})
    table["compute"] = 6.0 * table["n_params"] * table["n_tokens"]
    assert implausible(table, given=("n_params", "n_tokens")) == ()


def test_findings_say_what_they_are_about_in_fields(chinchilla_runs):
    table = chinchilla_runs.table[["n_params", "n_tokens", "compute"]]
    (found,) = implausible(in_units(table, {"compute": "EFLOP"}), given=tuple(table))
    assert (found.column, found.impossible, found.units) == ("compute", False, {"compute": "EFLOP"})
    assert found.rows == tuple(range(240))


OF_EXPERTS = pd.DataFrame(
    {"n_params": [1e8, 2e8], "n_tokens": [1e9, 2e9], "n_experts": [0.5, 8.0], "loss": [3.0, 2.9]}
)


def test_fractions_of_an_expert_are_refused():
    said = r"row 0, column 'n_experts': found 0\.5, expected at least 1 \(1 of 2 rows are below\)"
    with pytest.raises(RunsError, match=said):
        bs.load_runs(OF_EXPERTS, needs=("n_experts",))
    with pytest.warns(BayescaleWarning, match="By 'n_experts' these models are sparse"):
        assert len(bs.load_runs(OF_EXPERTS)) == 2  # not needed by any law


def test_batches_of_more_tokens_than_the_run_are_refused():
    table = OF_EXPERTS.drop(columns="n_experts").assign(batch_tokens=[1e6, 3e9])
    said = r"row 1, column 'batch_tokens': found 3\.00B tokens in a batch of a run of 2\.00B tokens"
    with pytest.raises(RunsError, match=said):
        bs.load_runs(table, needs=("batch_tokens",))
    with pytest.raises(RunsError, match="expected one step or more"):
        bs.load_runs(table.assign(n_tokens=["1B", "2B"]), needs=("batch_tokens",))


@pytest.mark.parametrize("name", ["n_experts", "n_steps", "n_unique_tokens", "batch_tokens"])
def test_steps_in_thousands_are_read_with_their_unit_and_fractions_refused(name):
    table = OF_EXPERTS.drop(columns="n_experts").assign(**{name: [0.25, 30.0]})
    with pytest.raises(RunsError, match=f"'{name}': found 0.25, expected at least 1"):
        bs.load_runs(table, needs=(name,))
    read = bs.load_runs(table, needs=(name,), units={name: "K"})
    assert read.column(name).tolist() == [250.0, 30e3]
