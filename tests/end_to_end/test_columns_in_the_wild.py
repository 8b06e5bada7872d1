"""Small tables with real headings, units and layouts.

Each is read correctly, or refused with a helpful message.
"""

import json
import warnings

import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.cli.main import main
from bayescale.errors import BayescaleWarning, RunsError

N = [7e7, 1.6e8, 4.1e8, 1.0e9]
D = [1.4e9, 3.2e9, 8.2e9, 2.0e10]
L = [3.9, 3.5, 3.1, 2.8]
ACCURACY = [0.31, 0.42, 0.55, 0.64]
C = [6 * n * d for n, d in zip(N, D, strict=True)]


def scaled(values, unit):
    return [float(f"{value / unit:.10g}") for value in values]


N_M, N_B, D_B = scaled(N, 1e6), scaled(N, 1e9), scaled(D, 1e9)
PPL, BITS = list(np.exp(L)), list(np.array(L) / np.log(2))
C_PFD, C_E = scaled(C, 8.64e19), scaled(C, 1e18)

READ = {
    "millions and billions in brackets": {"Model size (M)": N_M, "Tokens (B)": D_B, "val/loss": L},
    "millions spelled": {"params_millions": N_M, "tokens_billions": D_B, "loss": L},
    "suffixes": {"params_M": N_M, "tokens_B": D_B, "val_loss": L},
    "a number sign": {"#Params (B)": N_B, "Training tokens (B)": D_B, "Loss": L},
    "a comma before the unit": {"Parameters, M": N_M, "Tokens, B": D_B, "Loss": L},
    "in millions": {"Params in millions": N_M, "total tokens (in billions)": D_B, "loss": L},
    "camel case": {"modelParamsB": N_B, "trainingTokensB": D_B, "valLoss": L},
    "powers of ten": {"N (1e6)": N_M, "D (\u00d710⁹)": D_B, "L": L},
    "without embeddings": {"non_emb_params": N, "tokens": D, "loss": L},
    "both countings": {
        "total_params": N,
        "non_embedding_params": scaled(N, 1.3),
        "tokens": D,
        "l": L,
    },
    "petaflop-days": {"N": N, "C (PF-days)": C_PFD, "loss": L},
    "petaflop/s-days": {"N": N, "petaflop/s-days": C_PFD, "loss": L},
    "pfdays in the name": {"N": N, "compute_pfdays": C_PFD, "loss": L},
    "exaflops": {"N": N, "train_eflops": C_E, "loss": L},
    "FLOP in brackets": {"Parameters": N, "Training compute (FLOP)": C, "loss": L},
    "total gigaflops": {"parameter_count": N, "total_gflops": scaled(C, 1e9), "eval/loss": L},
    "a common logarithm": {"log10(N)": list(np.log10(N)), "log10_flops": list(np.log10(C)), "L": L},
    "a natural logarithm": {"ln_params": list(np.log(N)), "tokens": D, "loss": L},
    "train beside eval": {"N": N, "D": D, "train/loss": scaled(L, 1.1), "eval/loss": L},
    "train_loss alone": {"N": N, "D": D, "train_loss": L},
    "a trainer of sums": {
        "num_params": N,
        "train/num_input_tokens_seen": D,
        "eval/CrossEntropyLoss": L,
    },
    "perplexity": {"params": N, "tokens": D, "ppl": PPL},
    "perplexity beside loss": {"params": N, "tokens": D, "val_loss": L, "val_ppl": PPL},
    "eval/perplexity": {"params": N, "tokens": D, "eval/perplexity": PPL},
    "bits of a token": {"params": N, "tokens": D, "val_bits_per_token": BITS},
    "bits of a token in brackets": {"params": N, "tokens": D, "loss (bits/token)": BITS},
    "a budget beside what was done": {
        "flops_budget": scaled(C, 1.02),
        "num_params": N,
        "tokens_trained": D,
        "total_flops": C,
        "val_loss": L,
    },
    "labels beside amounts": {"params_label": ["70M", "160M", "410M", "1B"], "N": N, "D": D, "L": L},
    "one amount in two units": {"N": N, "params (B)": N_B, "tokens_B": D_B, "D": D, "loss": L},
    "a rounded label in text": {"Model size": ["70M", "160M", "400M", "1B"], "params": N, "D": D, "loss": L},
    "rounded beside without embeddings": {"Params (M)": N_M, "non_emb_params": scaled(N, 1.02), "D": D, "loss": L},
    "a slash before the unit": {"N/1e6": N_M, "D / B": D_B, "loss": L},
    "a power without brackets": {"N": N, "C x1e18": C_E, "loss": L},
    "abbreviated millions": {"nparams_mil": N_M, "ntokens_bn": D_B, "loss": L},
    "words in the values": {"params": ["70 million", "160 million", "0.41 billion", "1 billion"], "D": D, "loss": L},
    "speeds beside amounts": {"N": N, "D": D, "token_throughput": [1e5] * 4, "tokens/s": [1e5] * 4, "loss": L},
    "nats beside bits": {"N": N, "D": D, "loss_nats": L, "loss_bits": BITS},
    "a logarithm of the loss": {"N": N, "D": D, "log10_loss": list(np.log10(L))},
    "an index": {"": [0, 1, 2, 3], "N": N, "D": D, "loss": L},
    "amounts as text": {
        "Model": ["s", "m", "l", "xl"],
        "Params": ["70M", "160M", "410M", "1B"],
        "Tokens": ["1.4B", "3.2B", "8.2B", "20B"],
        "Val loss": L,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_a_table_that_is_read_rightly(tmp_path, name):
    path = tmp_path / "runs.csv"
    pd.DataFrame(READ[name]).to_csv(path, index=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        runs = bs.load_runs(path)
    np.testing.assert_allclose(runs.n_params, N, rtol=1e-8)
    np.testing.assert_allclose(runs.n_tokens, D, rtol=1e-8)
    np.testing.assert_allclose(runs.loss, L, rtol=1e-8)
    assert runs.loss_unit == "nats/token"
    for column in runs.reading.columns:
        assert not column.column or column.column in READ[name]


ROWS = [
    ["70M", "1.4B", "3.9"],
    ["160M", "3.2B", "3.5"],
    ["410M", "8.2B", "3.1"],
    ["1B", "20B", "2.8"],
]


def lined(separator=",", head=("N", "D", "loss"), rows=ROWS, end="\n"):
    return end.join(separator.join(row) for row in [head, *rows]) + end


def grouped(sign):
    return [[f"{int(n):,}".replace(",", sign), f"{int(d):,}".replace(",", sign), f"{x}"]
            for n, d, x in zip(N, D, L, strict=True)]  # fmt: skip


EUROPEAN = [[f"{n:.1f}".replace(".", ","), f"{d:.1f}".replace(".", ","), f"{x}".replace(".", ",")]
            for n, d, x in zip(N_M, D_B, L, strict=True)]  # fmt: skip
POWERS = [
    ["7\u00d710^7", "1.4\u00d710^9"],
    ["1.6x10^8", "3.2 x 10^9"],
    ["4.1*10**8", "8.2·10⁹"],
    ["10e8", "2\u00d710¹⁰"],
]

LAYOUTS = {
    "semicolons": lined(";"),
    "tabs": lined("\t"),
    "spaces": lined(" "),
    "aligned with spaces": "\n".join("".join(f"{x:<12}" for x in row) for row in [["Model size", "Tokens", "Val loss"], *ROWS]),
    "old line ends": lined(end="\r"),
    "Windows line ends": lined(end="\r\n"),
    "decimal commas": lined(";", ["Params (M)", "Tokens (B)", "Loss"], EUROPEAN),
    "decimal commas in quotes": lined(",", ["Params (M)", "Tokens (B)", "Loss"], [[f'"{x}"' for x in row] for row in EUROPEAN]),
    "points between thousands": lined(";", rows=[[n, d, x.replace(".", ",")] for n, d, x in grouped(".")]),
    "commas between thousands": lined("\t", rows=grouped(",")),
    "spaces between thousands": lined(rows=grouped(" ")),
    "narrow spaces between thousands": lined(rows=grouped("\u202f")),
    "apostrophes between thousands": lined(rows=grouped("'")),
    "powers of ten": lined(rows=[[*row, x] for row, (_, _, x) in zip(POWERS, ROWS, strict=True)]),
    "Excel's line for the separator": "sep=;\n" + lined(";"),
    "a title": "Scaling runs; final\n\n".replace(";", ":") + lined(),
    "a title in quotes": '"Scaling runs, final",,\n,,\n' + lined(),
    "comments": "# made by sweep.py, twice; see notes\n# seed 1\n" + lined(),
    "empty columns and rows": ",N,D,loss,,\n" + "".join(f"{i},{','.join(row)},,\n" for i, row in enumerate(ROWS)) + ",,,,,\n",
    "longer rows": lined(rows=[[*row, "", ""] for row in ROWS]),
    "Markdown": "| **N** | D† | Loss ↓ |\n|:--|---|--:|\n" + "".join(f"| {' | '.join(row)} |\n" for row in ROWS),
    "LaTeX headings": lined(head=["$N$", "$D$", "$L$"]),
    "headings of two lines": lined(head=['"Model size\n(params)"', '"Training\ntokens"', '"Val\nloss"']),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_layout_that_is_read_rightly(tmp_path, name, encoding):
    path = tmp_path / "runs.csv"
    path.write_bytes(LAYOUTS[name].encode(encoding))
    runs = bs.load_runs(path)
    np.testing.assert_allclose(runs.n_params, N, rtol=1e-8)
    np.testing.assert_allclose(runs.n_tokens, D, rtol=1e-8)
    np.testing.assert_allclose(runs.loss, L, rtol=1e-8)


REFUSED_LAYOUTS = {
    "decimal signs of both kinds": (lined(";", rows=[["70M", "1,4B", "3.9"]]), "write '1.4B'"),
    "losses that may be thousands": (lined(";", rows=[["70M", "1B", "3,912"]]), "Write a decimal point"),
    "a table on its side": ("run,a,b\nN,70M,160M\nD,1.4B,3.2B\nloss,3.9,3.5\n", "transpose the table"),
    "rows in two units": (lined(rows=[ROWS[0], ["160", "3.2", "3.5"]]), "write all of n_params in one unit"),
    "a ratio for tokens": (lined(head=["N", "tokens_per_param", "loss"], rows=[["70M", "20", "3.9"]]), "Tokens are 'tokens_per_param' times the parameters"),
    "steps for tokens": ("N,steps,batch_size,loss\n70M,1000,256,3.9\n", "steps times sequences a batch"),
    "a column twice": (lined(head=["N", "D", "loss", "loss"], rows=[[*ROWS[0], "4.1"]]), "found the column 'loss' twice"),
    "headings of two rows": (",,Eval\nN,D,loss\n" + lined(rows=ROWS)[9:].replace("\n", ",x\n"), "columns without a name|fields, expected"),
    "a note below": (lined() + "Source: sweep 7\n", "line 6: found 1 field, expected 3"),
    "a mean below": (lined(rows=[*ROWS, ["mean", "", "3.3"]]), "line 6, column 'N' .*found 'mean'"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED_LAYOUTS)
def test_a_layout_that_is_refused_with_the_sentence_that_helps(tmp_path, name):
    text, sentence = REFUSED_LAYOUTS[name]
    path = tmp_path / "runs.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RunsError, match=sentence):
        bs.load_runs(path)


@pytest.mark.parametrize("cells", [["0,1", "2,3"], ["3,4 layers", "5,6 layers"]])
def test_commas_of_labels_move_no_decimal_point(tmp_path, cells):
    path = tmp_path / "runs.csv"
    path.write_text(
        f'N,D,loss,on\n70M,1B,3.912,"{cells[0]}"\n160M,3B,3.456,"{cells[1]}"\n', encoding="utf-8"
    )
    runs = bs.load_runs(path)
    assert runs.loss.tolist() == [3.912, 3.456] and runs.table["on"].tolist() == cells


@pytest.mark.parametrize("suffix", [".xls", ".ods"])
def test_a_spreadsheet_is_refused_with_how_to_save_it(tmp_path, suffix):
    path = tmp_path / f"runs{suffix}"
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(RunsError, match=r"Save the sheet of runs as CSV \(UTF-8\)"):
        bs.load_runs(path)


OTHER_UNITS = [
    ("val_bpb", "bits/byte"),
    ("bits_per_byte", "bits/byte"),
    ("Loss (bits/byte)", "bits/byte"),
    ("eval/bpc", "bits/character"),
    ("bits/dim", "bits/dim"),
]


@pytest.mark.parametrize(("heading", "unit"), OTHER_UNITS)
def test_a_loss_of_something_else_than_tokens_is_kept_and_named(heading, unit):
    runs = bs.load_runs(pd.DataFrame({"N": N, "D": D, heading: scaled(L, 4)}))
    np.testing.assert_allclose(runs.loss, scaled(L, 4))
    assert runs.loss_unit == unit and unit in runs.describe()


def test_perplexity_of_words_is_no_loss_of_tokens():
    runs = bs.load_runs(pd.DataFrame({"N": N, "D": D, "word_perplexity": PPL}))
    np.testing.assert_allclose(runs.loss, L)
    assert runs.loss_unit == "nats/word"


ERRORS = {
    "error (%)": [100 * (1 - x) for x in ACCURACY],
    "top1_err": [1 - x for x in ACCURACY],
    "acc": ACCURACY,
    "val/accuracy": ACCURACY,
    "test accuracy (%)": [100 * x for x in ACCURACY],
    "accuracy_pct": [100 * x for x in ACCURACY],
    "Accuracy (0-100)": [100 * x for x in ACCURACY],
    "accuracy (fraction)": ACCURACY,
    "error (0-1)": [1 - x for x in ACCURACY],
}


@pytest.mark.parametrize("heading", ERRORS)
def test_errors_and_accuracies(heading):
    table = pd.DataFrame({"compute": C, heading: ERRORS[heading]})
    runs = bs.load_runs(table, needs=("compute",), response="error")
    np.testing.assert_allclose(runs.column("error"), [1 - x for x in ACCURACY])
    (read,) = [column for column in runs.reading.columns if column.name == "error"]
    assert read.column == heading
    assert read.conversion.startswith("1 - value") == ("acc" in heading.lower())


@pytest.mark.parametrize("heading", ERRORS)
def test_errors_and_accuracies_as_the_loss_of_a_law_of_one_variable(heading):
    table = pd.DataFrame({"steps": C, heading: ERRORS[heading]})
    runs = bs.load_runs(table, needs=("steps",), columns={"loss": heading})
    np.testing.assert_allclose(runs.loss, [1 - x for x in ACCURACY])
    assert runs.loss_unit == "fraction"
    assert not runs.notes_of("implausible")


REFUSED = {
    "megabytes": ({"Model Size (MB)": N_M, "D": D, "loss": L}, "'Model Size \\(MB\\)' is in bytes"),
    "gigaflops of a pass": ({"params": N, "GFLOPs": C_E, "loss": L}, "'GFLOPs' may be of a forward pass"),
    "a logarithm without a base": ({"log(N)": list(np.log(N)), "D": D, "L": L}, "--unit n_params=log10"),
    "two sizes": ({"trainable_params": N, "total_params": scaled(N, 0.8), "D": D, "L": L}, "could each be n_params"),
    "two sizes in two units": ({"params": N, "total params (M)": scaled(N_M, 0.8), "D": D, "L": L}, "could each be n_params"),
    "tokens in bytes": ({"N": N, "D (bytes)": D, "loss": L}, "'D \\(bytes\\)' is in bytes, which are neither"),
    "bits per token or per byte": ({"N": N, "D": D, "loss (bits)": BITS}, "--unit loss=bits/token"),
    "billions that are tokens": ({"N": N, "tokens_B": D, "loss": L}, "n_tokens in B .*--unit n_tokens=tokens"),
    "millions that are parameters": ({"params (M)": N, "D": D, "loss": L}, "n_params in M .*--unit n_params=parameters"),
    "PF-days that are FLOP": ({"N": N, "D": D, "C (PF-days)": C, "L": L}, "compute in PF-days .*--unit compute=FLOP"),
    "units twice": ({"params (M)": ["70M", "160M", "410M", "1B"], "D": D, "L": L}, "--unit n_params=parameters"),
    "active and total": ({"active_params": scaled(N, 3), "total_params": N, "D": D, "L": L}, "could each be n_params"),
    "two validation losses": ({"N": N, "D": D, "best_val_loss": L, "final_val_loss": scaled(L, 0.9)}, "could each be loss"),
    "a loss of a data set": ({"N": N, "D": D, "eval/c4_en/loss": L}, "Is it 'eval/c4_en/loss'"),
    "tokens of another name": ({"N": N, "my tokens here": D, "loss": L}, "Is it 'my tokens here'.*--column n_tokens=NAME"),
    "sizes in the names of models": ({"model": ["70M", "160M", "410M", "1B"], "D": D, "loss": L}, "Is it 'model' \\('70M'\\)"),
    "one variable": ({"steps": D, "loss": L}, "A table of one variable.*--model power-law-floor --column x=NAME"),
    "an accuracy for a loss": ({"N": N, "D": D, "acc": ACCURACY}, "'acc' would be the error"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_table_that_is_refused_with_the_sentence_that_helps(name):
    table, sentence = REFUSED[name]
    with pytest.raises(RunsError, match=sentence):
        bs.load_runs(pd.DataFrame(table))


def test_units_that_the_messages_propose_are_accepted():
    logs = pd.DataFrame({"log(N)": np.log(N), "D": D, "L": L})
    np.testing.assert_allclose(bs.load_runs(logs, units={"n_params": "ln"}).n_params, N)
    bits = pd.DataFrame({"N": N, "D": D, "loss (bits)": BITS})
    np.testing.assert_allclose(bs.load_runs(bits, units={"loss": "bits/token"}).loss, L)
    tokens = pd.DataFrame({"N": N, "tokens_B": D, "loss": L})
    np.testing.assert_allclose(bs.load_runs(tokens, units={"n_tokens": "tokens"}).n_tokens, D)


@pytest.mark.parametrize(("heading", "value"), [("error", 35.0), ("acc", 71.0)])
def test_errors_in_per_cent_without_saying_so(heading, value):
    table = pd.DataFrame({"compute": C, heading: [value, *ERRORS["test accuracy (%)"][1:]]})
    with pytest.raises(RunsError, match=r"--unit error=(%|'accuracy %')"):
        bs.load_runs(table, needs=("compute",), response="error")
    with pytest.raises(RunsError, match=r"--unit loss=(%|'accuracy %')"):
        bs.load_runs(table, needs=("compute",), columns={"loss": heading})


def test_check_says_what_was_read(tmp_path, capsys):
    table = {
        "Model size (M)": [*N_M, *N_M, 2000.0],
        "tokens_B": [*D_B, *scaled(D_B, 0.3), 40.0],
        "train/loss": [*scaled(L, 1.1), *scaled(L, 1.2), 2.4],
        "eval/loss": [*L, *scaled(L, 1.05), 2.6],
        "State": [*["finished"] * 8, "crashed"],
    }
    path = tmp_path / "runs.csv"
    pd.DataFrame(table).to_csv(path, index=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)
        code = main(["check", str(path), "--model=kaplan-nd", "--json"])
    out = capsys.readouterr()
    assert code == 0, out.err
    read = json.loads(out.out)["read"]
    columns = {column["name"]: column for column in read["columns"]}
    assert columns["n_params"] == {
        "name": "n_params",
        "column": "Model size (M)",
        "unit": "M",
        "unit_from": "heading",
        "base": "parameters",
        "conversion": "1e+06 x value",
        "counted": "",
        "others": [],
    }
    assert columns["n_tokens"]["conversion"] == "1e+09 x value"
    assert columns["loss"]["others"] == ["train/loss"]
    assert columns["compute"]["column"] == ""
    assert columns["compute"]["conversion"] == "6 n_params n_tokens"
    assert read["rows"] == 9
    (left_out,) = read["left_out"]
    assert left_out["rows"] == [10] and "crashed" in left_out["why"]
    main(["check", str(path), "--model=kaplan-nd"])
    out = capsys.readouterr().out
    assert "n_params is the column 'Model size (M)' in M (by its heading)" in out
    assert "Not used: 'train/loss'" in out
    assert "8 of 9 rows are read: left out unfinished runs" in out


def test_a_reading_is_saved_and_loaded():
    from bayescale.data.reading import Reading

    reading = bs.load_runs(pd.DataFrame(READ["train beside eval"])).reading
    assert Reading.of(json.loads(json.dumps(reading.to_dict()))) == reading


@pytest.mark.parametrize(
    ("heading", "options"),
    [("mixture", ["--column", "family=mixture"]), ("corpus", []), ("family", [])],
)
def test_the_column_of_families_is_in_the_account(tmp_path, capsys, heading, options):
    path = tmp_path / "runs.csv"
    table = {
        "N": [*N, *N],
        "D": [*D, *scaled(D, 0.3)],
        "loss": [*L, *scaled(L, 1.05)],
        heading: ["a", "b"] * 4,
        "name": list("stuvwxyz"),
    }
    pd.DataFrame(table).to_csv(path, index=False)
    asked = ["check", str(path), "--model", "chinchilla-pooled", *options]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)
        assert main([*asked, "--json"]) == 0
        read = json.loads(capsys.readouterr().out)["read"]
        assert main(asked) == 0
        out = capsys.readouterr().out
        code = main([*asked, "--where", f"{heading} != 'c'"])
    columns = {column["name"]: column["column"] for column in read["columns"]}
    assert columns["family"] == heading and columns["run"] == "name"
    assert f"family is the column '{heading}'." in out
    err = capsys.readouterr().err
    if heading == "family":
        assert code == 0, err
    else:
        # Conditions are on the names as read.
        assert code == 2 and "was read as family" in err
