import inspect
import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.data.catalog import PATH_VARIABLE, find_dataset
from bayescale.data.load import ALIASES, as_runs, load_runs
from bayescale.errors import BayescaleWarning, CardError, RunsError, UnknownNameError
from bayescale.model.inputs import runs_for
from bayescale.units import PF_DAY

GOOD = pd.DataFrame(
    {
        "N": [7e7, 1.6e8, 4.1e8, 1e9],
        "D": [1.4e9, 3.2e9, 8.2e9, 2e10],
        "loss": [3.9, 3.5, 3.1, 2.8],
    }
)


def write(tmp_path, text: str, name: str = "runs.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def refused(source, match: str, **options) -> None:
    with pytest.raises(RunsError, match=match):
        load_runs(source, **options)


def test_chinchilla_leaves_the_five_outliers_out_and_says_so():
    runs = load_runs("chinchilla")
    assert len(runs) == 240
    assert any("5 flagged outliers left out" in note for note in runs.notes)
    assert "5 flagged outliers left out" in repr(runs)
    assert "n_tokens" in runs.derived
    kept = load_runs("chinchilla", keep_outliers=True)
    assert len(kept) == 245
    assert "5 flagged outliers kept" in kept.notes
    left_out = sorted(set(kept.loss) - set(runs.loss))
    assert left_out == pytest.approx([3.447, 3.766, 3.794, 4.665, 5.006], abs=1e-3)


def test_chinchilla_table_has_the_facts_of_its_card():
    runs = load_runs("chinchilla", keep_outliers=True)
    assert len(np.unique(runs.loss)) == 99
    assert (runs.loss.min(), runs.loss.max()) == pytest.approx((2.077, 5.006), abs=1e-3)
    assert (runs.compute.min(), runs.compute.max()) == pytest.approx((1.40e18, 1.30e22), rel=4e-3)
    assert runs.table.loc[runs.table.outlier == 1, "loss"].min() == pytest.approx(3.447, abs=1e-3)


def test_overtraining_has_three_corpora():
    runs = load_runs("overtraining")
    assert len(runs) == 104
    assert runs.families == ("c4", "redpajama", "refinedweb")
    assert [len(runs.where(f"family == '{f}'")) for f in runs.families] == [34, 35, 35]
    other = load_runs("overtraining", columns={"loss": "loss_openlm"})
    assert other.loss[0] == 7.25542
    assert other.fingerprint != runs.fingerprint


@pytest.mark.parametrize("name", ["N", "params", "Params", "model size", "num_params", "n-params"])
def test_common_names_of_size(name):
    runs = load_runs(GOOD.rename(columns={"N": name}))
    assert runs.n_params.tolist() == GOOD["N"].tolist()


def test_every_alias_is_recognised():
    for target, aliases in ALIASES.items():
        for alias in aliases:
            if target in ("run", "family"):
                table = GOOD.assign(**{alias: list("abcd")})
            elif target not in ("n_params", "n_tokens", "compute", "loss"):
                table = GOOD.assign(**{alias: [1, 2, 3, 4]})
            else:
                table = GOOD.assign(flops=6 * GOOD.N * GOOD.D).rename(
                    columns={
                        {"n_params": "N", "n_tokens": "D", "compute": "flops"}.get(
                            target, "loss"
                        ): alias
                    }
                )
            assert target in load_runs(table).table, alias


def test_explicit_mapping_wins_and_is_checked():
    table = GOOD.assign(embedded=GOOD.N * 2, val_loss=GOOD.loss + 1)
    runs = load_runs(table, columns={"n_params": "embedded", "loss": "val_loss"})
    assert runs.n_params[0] == 1.4e8
    assert runs.loss[0] == 4.9
    refused(table, "no column 'embeded'.*Did you mean 'embedded'", columns={"n_params": "embeded"})
    refused(table, "expected one of .*Did you mean 'n_params'", columns={"n_param": "N"})


def test_ambiguous_names_need_a_mapping():
    table = GOOD.rename(columns={"loss": "val_loss"}).assign(test_loss=1.0)
    refused(table, "'val_loss', 'test_loss' could each be loss")
    assert load_runs(table, columns={"loss": "val_loss"}).loss[0] == 3.9
    # Several labels, or several columns that no fit needs, are not ambiguous.
    labelled = GOOD.assign(name=list("abcd"), id=list("efgh"), steps=1, optimizer_steps=2)
    assert load_runs(labelled).table["run"].tolist() == list("abcd")
    # A standard name is never ambiguous.
    assert load_runs(GOOD.assign(val_loss=9.0)).loss[0] == 3.9


def test_amounts_as_people_write_them(tmp_path):
    path = write(tmp_path, 'N,D,C,L\n70M,1.4B,5.88e17,3.9\n1B,20B,"1.389 PF-days",2.8\n')
    runs = load_runs(path)
    assert runs.n_params.tolist() == [7e7, 1e9]
    assert runs.compute[1] == pytest.approx(1.389 * PF_DAY)


@pytest.mark.parametrize("missing", ["n_params", "n_tokens", "compute"])
def test_the_third_amount_is_derived_and_recorded(missing):
    full = load_runs(GOOD)
    runs = load_runs(full.table.drop(columns=missing))
    np.testing.assert_allclose(runs.table[missing], full.table[missing], rtol=1e-14)
    assert missing in runs.derived
    assert any(note.startswith(f"{missing} derived as") for note in runs.notes)


def test_disagreement_with_6nd_warns_with_the_rows(tmp_path):
    path = write(tmp_path, "N,D,C,L\n1e9,2e10,1.2e20,3\n2e9,2e10,3e20,2.9\n4e9,2e10,4.8e20,2.8\n")
    with pytest.warns(
        BayescaleWarning, match=r"more than 5 % in 1 of 3 runs: line 3 \(C / 6ND = 1.25"
    ):
        load_runs(path)
    assert load_runs(path, tolerance=0.3).compute[1] == 3e20


def test_formats_agree(tmp_path):
    expected = load_runs(GOOD)
    GOOD.to_csv(tmp_path / "a.csv", index=False)
    GOOD.to_csv(tmp_path / "a.tsv", index=False, sep="\t")
    GOOD.to_parquet(tmp_path / "a.parquet")
    GOOD.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    for name in ("a.csv", "a.tsv", "a.parquet", "a.jsonl"):
        runs = load_runs(tmp_path / name)
        assert runs.fingerprint == expected.fingerprint, name
    (tmp_path / "folder").mkdir()
    shutil.copy(tmp_path / "a.csv", tmp_path / "folder" / "runs.csv")
    assert load_runs(tmp_path / "folder").fingerprint == expected.fingerprint


def test_windows_line_ends_byte_order_mark_and_trailing_blank_lines(tmp_path):
    text = "N,D,loss\r\n7e7,1.4e9,3.9\r\n1e9,2e10,2.8\r\n\r\n\r\n"
    path = tmp_path / "w.csv"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert len(load_runs(path)) == 2


def test_input_is_not_changed():
    table = GOOD.assign(outlier=[0, 1, 0, 0])
    before = table.copy(deep=True)
    runs = load_runs(table)
    pd.testing.assert_frame_equal(table, before)
    assert len(runs) == 3


def test_fingerprint_is_of_what_was_observed():
    runs = load_runs(GOOD)
    assert load_runs(GOOD.iloc[::-1]).fingerprint == runs.fingerprint
    assert load_runs(GOOD.assign(note="x", run=list("abcd"))).fingerprint == runs.fingerprint
    assert load_runs(GOOD.assign(loss=GOOD.loss + 1e-9)).fingerprint != runs.fingerprint
    assert load_runs(GOOD.assign(family="a")).fingerprint != runs.fingerprint
    assert load_runs(GOOD.iloc[:3]).fingerprint != runs.fingerprint


def test_fingerprint_and_digest_hold_the_unit_of_the_loss():
    runs, usual, other = (
        load_runs(GOOD, units=units)
        for units in ({}, {"loss": "nats/token"}, {"loss": "bits/byte"})
    )
    assert other.loss.tolist() == runs.loss.tolist(), "it is not converted without the bytes"
    assert usual.fingerprint == runs.fingerprint and usual.digest() == runs.digest()
    assert other.fingerprint != runs.fingerprint and other.digest() != runs.digest()


def test_where_keeps_what_is_asked_and_notes_it(chinchilla_runs):
    small = chinchilla_runs.where("compute < 1e20", why="below 1e20")
    assert 0 < len(small) < 240
    assert small.compute.max() < 1e20
    assert small.notes[-1] == f"{len(small)} of 240 runs kept: below 1e20"
    assert len(chinchilla_runs.where(chinchilla_runs.loss > 3)) == (chinchilla_runs.loss > 3).sum()
    for wrong in ("compute <", "nonsense > 1", "compute", [True]):
        with pytest.raises(RunsError):
            chinchilla_runs.where(wrong)
    with pytest.raises(RunsError, match="no run meets"):
        chinchilla_runs.where("compute < 1")


def test_users_folders_come_first(tmp_path, monkeypatch):
    folder = tmp_path / "datasets" / "mine"
    folder.mkdir(parents=True)
    table = GOOD.assign(run=list("abcd"), C=6 * GOOD.N * GOOD.D, outlier=0)
    table.to_csv(folder / "runs.csv", index=False)
    shipped = find_dataset("chinchilla") / "card.toml"
    text = shipped.read_text(encoding="utf-8").replace('id = "chinchilla"', 'id = "mine"')
    checksum = next(line for line in text.splitlines() if line.startswith("checksum"))
    (folder / "card.toml").write_text(text.replace(checksum, ""), encoding="utf-8")
    monkeypatch.setenv(PATH_VARIABLE, str(tmp_path))
    assert load_runs("mine").name == "mine"
    assert {"mine", "chinchilla"} <= set(bs.list_datasets().index)
    assert "none stated" in bs.list_datasets().loc["chinchilla", "licence"]


def test_a_damaged_table_fails_its_checksum(tmp_path):
    copy = tmp_path / "chinchilla"
    shutil.copytree(find_dataset("chinchilla"), copy)
    assert len(load_runs(copy)) == 240
    text = (copy / "runs.csv").read_text(encoding="utf-8")
    (copy / "runs.csv").write_text(text.replace("3.40593", "3.40594"), encoding="utf-8")
    refused(copy, "found checksum sha256:.* expected sha256:7c1418f")


def test_dataset_cards_are_checked(tmp_path):
    copy = tmp_path / "chinchilla"
    shutil.copytree(find_dataset("chinchilla"), copy)
    card = copy / "card.toml"
    text = card.read_text(encoding="utf-8")
    for changed, match in (
        (text.replace("licence =", "license ="), "unknown key 'license'.*Did you mean 'licence'"),
        (text.replace("licence = ", "# "), "licence missing"),
        ("id = ", "not valid TOML"),
    ):
        card.write_text(changed, encoding="utf-8")
        with pytest.raises(CardError, match=match):
            load_runs(copy)


def test_unknown_dataset_suggests_the_nearest():
    with pytest.raises(
        UnknownNameError, match=r"no dataset called 'chinchila'.*Did you mean 'chinchilla'"
    ):
        load_runs("chinchila")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "the file is empty"),
        ("N,D,loss\n", "found no runs"),
        ("N,D\n1e9,2e10\n", "column for loss is missing; the columns are N, D"),
        ("N,loss\n1e9,3\n", r"two of n_params, n_tokens and compute \(found n_params\)"),
        ("a,b,loss\n1e9,2,3\n", r"\(found none\)"),
        ("N,N,D,loss\n1,1,1,3\n", "found the column 'N' twice"),
        ("N,D,loss\n1e9,2e10,3\nbig,2e10,3\n", r"line 3, column 'N' \(read as n_params\): found 'big'"),
        ("N,D,loss\n1e9,2e10,3\n2e9,,3\n", r"line 3, column 'D' .*found ''"),
        ("N,D,loss\n1e9,nan,3\n", r"line 2, column 'D'.*found 'nan'"),
        ("N,D,loss\n1e9,inf,3\n", r"line 2, column 'D'.*found 'inf'"),
        ("N,D,loss\n0,2e10,3\n", r"line 2, column 'N'.*found '0'"),
        ("N,D,loss\n-1e9,2e10,3\n", r"line 2, column 'N'.*found '-1e9'"),
        ("N,D,loss\n1e9,2e10,nan\n", r"line 2, column 'loss': found 'nan', expected a positive"),
        ("N,D,loss\n1e9,2e10,\n", r"line 2, column 'loss': found nothing"),
        ("N,D,loss\n1e9,2e10,-3\n", r"line 2, column 'loss': found '-3'"),
        ("N,D,loss\n1e9,2e10,0\n", r"line 2, column 'loss': found '0'"),
        ("N,D,loss\n1e9,2e10,diverged\n", r"line 2, column 'loss': found 'diverged'"),
        ("N,D,loss\n1e9,2e10,3\n1e9,2e10\n", "line 3: found 2 fields, expected 3"),
        ("N,D,loss\n1e9,2e10,3,4\n1e9,2e10,3\n", "line 2: found 4 fields, expected 3"),
        ('N,D,loss\n1e9,"2e10,3\n', "unexpected end of data"),
        ("N,D,loss\n1e9,2e10,3\n\n2e9,x,3\n", "line 4, column 'D'"),
        ("N,D,loss\n1e9,2e10,3\n2e9,2e10,2.9\n1e9,2e10,3\n", "same run more than once .lines 2 and 4"),
        ("N,D,loss,outlier\n1e9,2e10,3,maybe\n", "line 2, column 'outlier': found 'maybe', expected 0 or 1"),
        ("N,D,loss,outlier\n1e9,2e10,3,1\n", "every row flagged"),
    ],
    ids=lambda value: value[:24] if value.startswith(("N", "a")) else None,
)  # fmt: skip
def test_bad_tables_are_refused_with_their_place(tmp_path, text, match):
    path = write(tmp_path, text)
    refused(path, match)
    assert [p.name for p in tmp_path.iterdir()] == ["runs.csv"]


def test_repeats_are_told_apart_by_seed(tmp_path):
    text = "N,D,loss,seed\n1e9,2e10,3,1\n1e9,2e10,3,2\n"
    assert len(load_runs(write(tmp_path, text))) == 2


def test_losses_above_a_uniform_guess_are_refused(tmp_path):
    path = write(tmp_path, "N,D,loss\n1e9,2e10,3\n1e7,2e8,11.2\n")
    assert len(load_runs(path)) == 2
    refused(
        path,
        r"line 3, column 'loss': found 11.2.*at most ln\(50000\) = 10.820",
        vocabulary_size=50_000,
    )
    refused(path, "vocabulary_size: found 1", vocabulary_size=1)


def test_the_card_states_the_vocabulary():
    table = load_runs("overtraining").table.assign(loss=lambda t: t.loss + 5)
    assert load_runs("overtraining").card.vocabulary_size == 50432
    refused(table, "ln", vocabulary_size=50432)


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("a.parquet", b"PAR1 no", "could not be read as .parquet"),
        ("a.jsonl", b'{"N": 1', "could not be read as .jsonl"),
        ("a.csv", b"N,D,loss\n\xff\xfe\x00,1,2\n", "could not be read as .csv"),
        ("a.docx", b"x", "found a .docx file, expected one of .csv"),
    ],
)
def test_damaged_files(tmp_path, name, content, match):
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name, match)


def test_a_folder_without_runs_does_not_hide_the_dataset_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "chinchilla"
    own.mkdir()
    assert len(bs.load_runs("chinchilla")) == 240
    refused("./chinchilla", "found no runs in it")
    (own / "runs.csv").write_text("n_params,n_tokens,loss\n7e7,1.4e9,3.9\n", encoding="utf-8")
    assert len(bs.load_runs("chinchilla")) == 1


def test_missing_files_and_folders(tmp_path):
    refused(tmp_path / "nothing.csv", "there is no such file")
    refused(str(tmp_path / "nothing.csv"), "there is no such file")
    refused(tmp_path, r"expected a file runs\.csv, runs\.tsv, runs\.parquet, .* or runs\.json")


def test_bad_values_in_a_frame_are_named_by_row():
    refused(GOOD.assign(loss=[3.9, None, 3.1, 2.8]), "DataFrame, row 1, column 'loss'")
    refused(GOOD.assign(N=[True, 1e8, 1e9, 1e10]), "row 0, column 'N'")
    for odd in ([], {}, 1j, pd.NA, np.datetime64("2020"), b"x", 10**400):
        for column in ("N", "loss"):
            values = pd.Series([odd, 1e8, 1e9, 1e10], dtype=object)
            refused(GOOD.assign(**{column: values}), f"row 0, column '{column}'")
    refused(GOOD.iloc[:0], "found no runs")
    many = "row 0.*row 1.*row 2.*And 1 more"
    refused(GOOD.assign(D=-1.0), many)


def test_json_lines_with_missing_keys(tmp_path):
    rows = [{"N": 1e9, "D": 2e10, "loss": 3.0}, {"N": 2e9, "loss": 2.9}]
    path = write(tmp_path, "\n".join(map(json.dumps, rows)), "a.jsonl")
    refused(path, "row 2, column 'D'")


def test_functions_that_fit_take_any_source_of_runs():
    apart = {"recount", "score", "value_of_runs"}  # existing runs, without a fit
    apart |= {"preregister"}  # planned runs
    for name in set(bs.__all__) - apart:
        function = getattr(bs, name)
        if not inspect.isfunction(function):
            continue
        given = inspect.signature(function).parameters.get("runs")
        if given is not None:
            assert "RunsSource" in str(given.annotation), name


def test_runs_are_read_as_models_need_them(tmp_path, chinchilla_runs):
    table = chinchilla_runs.table[["n_params", "n_tokens", "loss"]]
    path = tmp_path / "mine.csv"
    table.to_csv(path, index=False)
    assert as_runs(chinchilla_runs) is chinchilla_runs
    for source in (table, path, str(path)):
        assert len(runs_for(source, [bs.load_model("chinchilla")])) == len(table)
    sizes = replace(bs.load_model("power-law"), inputs={"x": "n_params"})
    few = table[["n_params", "loss"]].drop_duplicates("n_params")
    assert len(runs_for(few, [sizes])) == len(few)
    with pytest.raises(bs.RunsError, match="n_tokens"):
        runs_for(few, [bs.load_model("chinchilla")])


def test_a_column_that_a_law_names_keeps_its_name_and_amounts():
    table = pd.DataFrame(
        {"steps": [1e3, 1e4, 1e5], "params_millions": [1, 2, 3], "loss": [4, 3, 2]}
    )
    for column in ("steps", "params_millions"):
        runs = load_runs(table, needs=[column])
        assert runs.column(column).tolist() == table[column].tolist()
    # Under its standard name it is in base units.
    assert load_runs(table, needs=["n_params"]).n_params.tolist() == [1e6, 2e6, 3e6]


def test_a_missing_variable_says_how_to_name_another():
    model = bs.load_model("power-law-floor")
    with pytest.raises(RunsError, match="--column x=NAME"):
        runs_for(pd.DataFrame({"steps": [1e3, 1e4], "loss": [4.0, 3.0]}), [model])


def test_a_second_loss_is_read_in_its_own_unit():
    table = pd.DataFrame({"loss": [3.0, 2.5], "code": [1.5, 1.2]})
    asked = {"needs": ["loss"], "response": "target_loss", "columns": {"target_loss": "code"}}
    assert load_runs(table, **asked).column("target_loss").tolist() == [1.5, 1.2]
    found = load_runs(table, **asked, units={"target_loss": "bits/token"})
    np.testing.assert_allclose(found.column("target_loss"), np.log(2.0) * table["code"])
    assert found.column("loss").tolist() == [3.0, 2.5]


def test_accuracies_are_shares_and_may_be_in_per_cent():
    table = pd.DataFrame({"loss": [0.9, 0.8, 0.7], "accuracy": [0.3, 0.4, 0.55]})
    asked = {"needs": ["loss"], "response": "accuracy", "units": {"loss": "bits/byte"}}
    assert load_runs(table, **asked).column("accuracy").tolist() == [0.3, 0.4, 0.55]
    hundred = table.assign(accuracy=100 * table["accuracy"])
    units = {"loss": "bits/byte", "accuracy": "%"}
    found = load_runs(hundred, **{**asked, "units": units}).column("accuracy")
    assert found == pytest.approx([0.3, 0.4, 0.55])
    with pytest.raises(
        RunsError, match=r"found 30, expected a fraction below 1 .*--unit accuracy=%"
    ):
        load_runs(hundred, **asked)


def test_the_unit_in_the_heading_of_an_error_holds_where_it_is_the_loss():
    steps = 200.0 * 2.0 ** np.arange(6)
    table = pd.DataFrame({"steps": steps, "error (%)": 2.0 + 30.0 * steps**-0.45})
    found = load_runs(table, columns={"loss": "error (%)"}, needs=("loss",))
    np.testing.assert_allclose(found.loss, table["error (%)"] / 100.0)
    assert found.reading.sentences[0] == (
        "loss is the column 'error (%)' in % (by its heading), converted to fraction: value / 100."
    )


def test_a_column_that_is_named_is_read_whatever_else_the_table_has():
    table = pd.DataFrame(
        {
            **{"domain_1": [1.0, 2.0], "domain_2": [2.0, 3.0], "books": [5.0, 6.0]},
            **{"loss": [0.3, 0.2], "accuracy": [0.1, 0.2], "mine": [0.7, 0.8]},
        }
    )
    domains = ("domain_1", "domain_2")
    runs = load_runs(table, needs=domains, columns={"domain_1": "books"})
    assert list(runs.column("domain_1")) == [5.0, 6.0]
    assert list(runs.column("domain_2")) == [2.0, 3.0]
    runs = load_runs(table, needs=["loss"], response="accuracy", columns={"accuracy": "mine"})
    assert list(runs.column("accuracy")) == [0.7, 0.8]
    exchanged = dict(zip(domains, reversed(domains), strict=True))
    runs = load_runs(table, needs=domains, columns=exchanged)
    assert list(runs.column("domain_1")) == [2.0, 3.0]
    assert list(runs.column("domain_2")) == [1.0, 2.0]
    refused(
        table, "column for domain_2 is missing", needs=domains, columns={"domain_1": "domain_2"}
    )
