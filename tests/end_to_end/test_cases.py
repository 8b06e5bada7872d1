"""Small tables from public threads, with the correct reading of each."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.cli.main import main
from bayescale.errors import BayescaleWarning, RunsError
from bayescale.model.unused_columns import unused_columns


def check(path, *flags: str) -> int:
    """Return the exit code of a check, ignoring warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", BayescaleWarning)
        return main(["check", str(path), *flags])


def test_three_countings_in_one_file(case, capsys):
    """04: exponents of N in C by counting, 0.524, 0.366 and 0.681, from four optima each."""
    path = case("04-nano-countings.csv")
    names = {"n_params": "eff_params", "loss": "val_bpb"}
    with pytest.warns(BayescaleWarning, match="compute differs from 6ND"):
        runs = bs.load_runs(path, columns=names)
    assert runs.loss_unit == "bits/byte"
    (note,) = unused_columns(bs.load_model("chinchilla"), runs)
    assert note.kind == "counting"
    assert note.columns == ("counting",)
    for counting, exponent in (("kaplan", 0.524), ("all", 0.366), ("body", 0.681)):
        kept = runs.where(f"counting == {counting!r}")
        slope = np.polyfit(np.log(kept.compute), np.log(kept.n_params), 1)[0]
        assert slope == pytest.approx(exponent, abs=5e-4)
        assert not unused_columns(bs.load_model("chinchilla"), kept)
    flags = [f"--column={name}={column}" for name, column in names.items()]
    assert check(path, "--json", *flags) == 0
    said = {note["kind"]: note["text"] for note in json.loads(capsys.readouterr().out)["notes"]}
    assert said["unit"] == "loss taken as bits/byte"
    assert "3 ways of counting" in said["counting"]


def test_columns_of_a_protein_model(case, capsys):
    """05: sizes, tokens and compute are recognised, the loss is asked for, four runs are few."""
    path = case("05-protein-wandb.csv")
    with pytest.raises(RunsError, match=r"the column for loss is missing.* Is it 'cd_val_loss'\?"):
        bs.load_runs(path)
    with pytest.warns(BayescaleWarning, match="C / 6ND = 3.61"):
        runs = bs.load_runs(path, columns={"loss": "cd_val_loss"})
    assert (note := runs.notes_of("column")[0]).columns == (
        "loss",
        "run",
        "n_params",
        "n_tokens",
        "compute",
        "learning_rate",
    )
    assert "n_params from 'parameter_count'" in note
    assert runs.n_params.tolist() == [4601984, 11622272, 28081408, 49520896]
    assert check(path, "--column=loss=cd_val_loss") == 2
    assert "Found 4 runs, expected at least 8" in capsys.readouterr().err


def test_the_best_learning_rate_as_a_response(case):
    """06: ln lr on ln N and ln D, -0.76 +- 0.18 and 0.24 +- 0.12."""
    runs = bs.load_runs(case("06-best-lr.csv"), response="lr")
    assert len(runs) == 17
    assert runs.response == "lr"
    design = np.column_stack([np.ones(17), np.log(runs.n_params), np.log(runs.n_tokens)])
    slopes = np.linalg.lstsq(design, np.log(runs.column("lr")))[0]
    assert abs(slopes[1] + 0.76) < 0.18
    assert abs(slopes[2] - 0.24) < 0.12


def test_steps_are_no_compute(case):
    """07: steps read as compute are reported; the log's own columns are read."""
    path = case("07-log.csv")
    with pytest.warns(BayescaleWarning, match="less than any training"):
        bs.load_runs(path, columns={"compute": "step"}, needs=("compute",))
    runs = bs.load_runs(path, columns={"n_steps": "step"}, needs=("n_steps",))
    assert runs.column("n_steps").max() == 1900


def test_a_column_of_arms_is_noted_as_unused(case):
    """13: both arms would be fitted as one curve."""
    runs = bs.load_runs(case("13-speedup.csv"), needs=("compute",))
    (note,) = unused_columns(bs.load_model("power-law-floor"), runs)
    assert note == (
        "not used, though runs differ in it: 'arm' ('base', 'kv'). A law may differ between levels: "
        "Model.pool (--pool COLUMN)."
    )
    families = bs.load_runs(case("13-speedup.csv"), needs=("compute",), columns={"family": "arm"})
    (note,) = unused_columns(bs.load_model("power-law-floor"), families)
    assert note.startswith("power-law-floor does not use 'family': its 2 families")


def test_the_state_of_a_trainer_is_one_learning_curve(case):
    """14: it is recognised, and its steps and losses are read."""
    path = case("14-trainer_state.json")
    with pytest.raises(
        RunsError, match=r"the log of one run \(log_history\), its learning curve: 3"
    ):
        bs.load_runs(path)
    runs = bs.load_runs(path, columns={"n_steps": "step"}, needs=("n_steps",))
    assert runs.column("n_steps").tolist() == [401, 802, 1203]
    assert runs.loss.tolist() == [1.1074, 0.5969, 0.3116]
    assert runs.notes[0].kind == "format"


def test_epochs_give_unique_tokens(case, capsys):
    """20: unique tokens are those of one epoch; one size cannot be fitted."""
    path = case("20-epochs-wandb.csv")
    needs = ("n_params", "n_tokens", "n_unique_tokens")
    runs = bs.load_runs(path, needs=needs)
    assert set(runs.column("n_unique_tokens")) == {4676648960.0}
    assert set(runs.n_tokens / runs.column("n_unique_tokens")) == {1.0, 2.0}
    assert "n_unique_tokens derived as n_tokens / epochs" in runs.notes
    assert runs.loss[0] == 3.152651786804199
    (note,) = (n for n in unused_columns(bs.load_model("chinchilla"), runs) if "epochs" in n)
    assert "4 of 11 runs repeat data" in note
    assert check(path, "--model=data-constrained") == 2
    assert "Every run has n_params = 1.47B" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["08-so-power.csv", "12-synthetic.csv", "12b-edge.csv"])
def test_the_other_cases_are_read_without_warnings(case, name):
    names = {"columns": {"compute": "r", "loss": "y"}, "needs": ("compute",)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if name.startswith("08"):
            table = pd.read_csv(case(name)).rename(columns={"r": "x", "y": "loss"})
            runs = bs.load_runs(table, needs=("x",))
        else:
            runs = bs.load_runs(case(name))
    assert len(runs) and names


FILES = pd.DataFrame(
    {
        "n_params": [1e8, 2e8, 4e8, 8e8],
        "n_tokens": [2e9, 8e9, 1e10, 6e10],
        "loss": [3.5, 3.2, 3.0, 2.8],
    }
)


def test_what_a_card_does_not_look_at_is_said():
    families = FILES.assign(family=["a", "b", "a", "b"], corpus_kind=["x", "x", "y", "y"])
    runs = bs.load_runs(families)
    of_family, others = unused_columns(bs.load_model("chinchilla"), runs)
    assert "its 2 families ('a', 'b') are fitted as one. Cards in which they differ: " in of_family
    assert "chinchilla-pooled" in of_family
    assert others == (
        "not used, though runs differ in it: 'corpus_kind' ('x', 'y'). A law may differ between levels: "
        "Model.pool (--pool COLUMN)."
    )
    pooled = unused_columns(bs.load_model("chinchilla-pooled"), runs)
    assert [note.columns for note in pooled] == [("corpus_kind",)]
    assert unused_columns(bs.load_model("chinchilla"), bs.load_runs(FILES)) == ()
    unique = FILES.assign(run=list("abcd"), name=list("efgh"), family="a")
    assert unused_columns(bs.load_model("chinchilla"), bs.load_runs(unique)) == ()


def test_sizes_derived_for_sparse_models_are_said_to_be_active_ones():
    table = FILES.assign(compute=6 * FILES["n_params"] * FILES["n_tokens"]).drop(columns="n_params")
    (note,) = bs.load_runs(table).notes_of("derived")
    assert note == (
        "n_params derived as compute / (6 n_tokens): the parameters active for a token where models "
        "are sparse"
    )


def test_unique_tokens_that_epochs_contradict_are_said():
    needs = ("n_params", "n_tokens", "n_unique_tokens")
    table = FILES.assign(unique_tokens=FILES["n_tokens"] / [0.5, 1.0, 2.0, 4.0])
    agreeing = bs.load_runs(table.assign(epochs=[0.5, 1.0, 2.0, 4.0]), needs=needs)
    assert agreeing.notes_of("counting") == ()
    with pytest.warns(
        bs.BayescaleWarning, match="in 1 of 4 runs: row 3 .4.00, with epochs 8.00.. "
    ):
        runs = bs.load_runs(table.assign(epochs=[0.5, 1.0, 2.0, 8.0]), needs=needs)
    (note,) = runs.notes_of("counting")
    assert note.startswith("n_unique_tokens is used, and 'epochs' is not")
    assert note.columns == ("n_unique_tokens", "epochs") and note.rows == (3,)
    (note,) = unused_columns(bs.load_model("chinchilla"), bs.load_runs(table))
    assert note.startswith("'n_unique_tokens' is not used: 2 of 4 runs repeat data")


@pytest.mark.parametrize("derived", ["n_tokens", "compute"])
def test_6nd_of_all_parameters_of_sparse_models_is_said(derived):
    given = FILES.assign(compute=6 * FILES["n_params"] * FILES["n_tokens"]).drop(columns=derived)
    assert bs.load_runs(given).notes_of("counting") == ()
    assert bs.load_runs(given.assign(n_experts=1)).notes_of("counting") == ()
    with pytest.warns(bs.BayescaleWarning, match="By 'num_experts' these models are sparse"):
        (note,) = bs.load_runs(given.assign(num_experts=[1, 8, 8, 8])).notes_of("counting")
    assert note.startswith(f"{derived} is derived by C = 6ND, in which N is the parameters active")
    both = given.assign(active_params=FILES["n_params"] / 4)
    with pytest.warns(bs.BayescaleWarning, match="--column n_params=active_params"):
        bs.load_runs(both)
    chosen = bs.load_runs(both, columns={"n_params": "active_params"})
    assert chosen.notes_of("counting") == (
        "n_params ('active_params') is the number active for a token",
    )


def test_check_and_fit_say_what_is_implausible(tmp_path, capsys):
    path = tmp_path / "mine.csv"
    ratio = np.tile([5.0, 20.0, 80.0, 300.0], 3)
    sizes = np.repeat([1e8, 4e8, 1.6e9], 4)
    losses = 0.3 * (1.7 + 400 / sizes**0.34 + 400 / (ratio * sizes) ** 0.28)
    pd.DataFrame({"N": sizes, "D": ratio * sizes, "loss": losses}).to_csv(path, index=False)
    assert check(path) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.count("caution: All 12 runs: loss of ") == 1
    assert "--unit loss=bits/byte" in said.out
    assert check(path, "--quiet") == 0
    assert capsys.readouterr() == said
    assert check(path, "--unit", "loss=bits/byte") == 0
    out = capsys.readouterr().out
    assert "bits/byte" in out and "caution: All" not in out
    assert check(path, "--unit", "n_params=M") == 2
    assert "tokens per parameter, fewer than any model" in capsys.readouterr().err
    assert check(path, "--unit", "n_params") == 2
    assert "expected NAME=UNIT" in capsys.readouterr().err


def test_notes_keep_their_fields_in_a_saved_fit(fit, tmp_path):
    fit.save(tmp_path / "fit.nc")
    back = bs.load_fit(tmp_path / "fit.nc").runs
    assert [note.to_dict() for note in back.notes_of("left out", "derived")] == [
        note.to_dict() for note in fit.runs.notes_of("left out", "derived")
    ]
    assert back.units == fit.runs.units == {**back.units, "loss": "nats/token"}
