"""A fit exported to the formats of other tools."""

import json
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

import bayescale as bs
from bayescale.cli.main import main
from bayescale.errors import MissingExtraError
from bayescale.laws.constants import Constants
from bayescale.posterior.convert import log_likelihood
from bayescale.posterior.export import export_fit


def allocated(fit, coefficients, budgets):
    constants = Constants(name="pasted", law=fit.law.name, parameters=coefficients, source="a test")
    return bs.allocate(constants, budget=budgets).draws.squeeze()


def test_coefficients_belong_together(fit):
    """The exported constants reproduce the medians of the posterior."""
    budgets = [1e19, 1e21, 5.76e23, 1e25]
    draws = bs.allocate(fit, budget=budgets).draws

    def distance(coefficients, name):
        here = allocated(fit, coefficients, budgets)[name]
        off = (here - draws[name].median(("chain", "draw"))) / draws[name].std(("chain", "draw"))
        return float(abs(off).max())

    together = fit.coefficients()
    assert list(together) == list(fit.law.parameters)
    # Monte Carlo errors of these medians are some 0.02 standard deviations.
    assert distance(together, "loss_opt") < 0.15
    assert distance(together, "n_opt") < 0.1


def test_coefficients_of_one_draw_are_that_draw(fit):
    one = bs.Fit(
        fit.model,
        fit.runs,
        fit.scale,
        fit.posterior.isel(chain=[0], draw=[7]),
        fit.sample_stats.isel(chain=[0], draw=[7]),
        fit.provenance,
    )
    for name, value in one.coefficients().items():
        assert value == pytest.approx(float(fit.posterior[name][0, 7]), rel=1e-10)


def test_the_likelihood_is_student_t_on_log_loss(fit):
    posterior, runs = fit.posterior, fit.runs
    where = {"chain": 2, "draw": 31}
    at = {name: float(values.isel(where)) for name, values in posterior.items()}
    law = at["E"] + at["A"] / runs.n_params ** at["alpha"] + at["B"] / runs.n_tokens ** at["beta"]
    expected = stats.t.logpdf(np.log(runs.loss), at["nu"], np.log(law), at["sigma"])
    np.testing.assert_allclose(log_likelihood(fit).isel(where), expected, rtol=1e-9)


def test_the_likelihood_is_what_score_sees(fit):
    density = log_likelihood(fit).to_numpy()
    elpd = np.logaddexp.reduce(density, axis=(0, 1)) - np.log(density[..., 0].size)
    np.testing.assert_allclose(elpd, bs.score(fit, fit.runs).pointwise["elpd"], rtol=1e-9)


def test_arviz_takes_the_tree(fit):
    from arviz_stats import loo

    tree = fit.to_datatree()
    found = loo(tree)
    assert found.n_data_points == len(fit.runs)
    # Five parameters, a scale and a tail: about seven effective parameters at most.
    assert 2 < found.p < 10
    assert set(tree.children) == {
        "posterior",
        "sample_stats",
        "log_likelihood",
        "observed_data",
        "constant_data",
    }
    np.testing.assert_array_equal(tree["posterior"]["alpha"], fit.posterior["alpha"])
    np.testing.assert_array_equal(tree["constant_data"]["n_params"], fit.runs.n_params)


def test_statistics_go_with_their_draws_in_the_tree(fit):
    kept = fit.sample_stats.assign_coords(draw=4 * fit.sample_stats["draw"])
    longer = bs.Fit(fit.model, fit.runs, fit.scale, fit.posterior, kept, fit.provenance)
    tree = longer.to_datatree()
    np.testing.assert_array_equal(tree["sample_stats"]["draw"], tree["posterior"]["draw"])


def test_tables_of_draws(fit, tmp_path):
    draws = fit.to_dataframe()
    assert len(draws) == fit.posterior.sizes["chain"] * fit.posterior.sizes["draw"]
    assert list(draws.columns[:3]) == ["chain", "draw", "loss_ref"]
    for name in ("draws.csv", "draws.parquet"):
        export_fit(fit, tmp_path / name)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "draws.parquet"), draws)
    np.testing.assert_allclose(pd.read_csv(tmp_path / "draws.csv"), draws)


def test_trees_and_summaries_are_read_by_others(fit, tmp_path):
    export_fit(fit, tmp_path / "fit.nc")
    tree = xr.load_datatree(tmp_path / "fit.nc", engine="h5netcdf")
    xr.testing.assert_equal(tree["posterior"].to_dataset(), fit.posterior)
    assert bs.Model.from_dict(json.loads(tree.attrs["model"])) == fit.model
    export_fit(fit, tmp_path / "fit.json")
    facts = json.loads((tmp_path / "fit.json").read_text(encoding="utf-8"))
    assert facts["passed"] is True
    assert facts["coefficients"] == fit.coefficients()
    by_name = {row["quantity"]: row for row in facts["summary"]}
    assert by_name["alpha"]["median"] == pytest.approx(float(fit.posterior["alpha"].median()))
    assert facts["runs"]["fingerprint"] == fit.runs.fingerprint


@pytest.mark.filterwarnings("ignore:THIS FIT FAILED ITS GATES")
def test_a_workbook_holds_numbers_as_numbers_and_texts_as_texts(fit, tmp_path):
    pytest.importorskip("openpyxl")
    fit = fit.thin(200)
    formula = fit.runs.table.assign(note=["=1+1", "a\x00b", *["ok"] * (len(fit.runs) - 2)])
    noted = replace(fit, runs=bs.load_runs(formula))
    path = tmp_path / "fit.xlsx"
    export_fit(noted, path)
    sheets = pd.read_excel(path, sheet_name=None)
    assert list(sheets) == ["summary", "coefficients", "about", "runs", "draws"]
    pd.testing.assert_frame_equal(sheets["draws"], fit.to_dataframe(), check_dtype=False)
    np.testing.assert_allclose(sheets["runs"]["n_params"], fit.runs.n_params)
    assert sheets["runs"]["note"].tolist()[:2] == ["=1+1", "ab"]
    coefficients = sheets["coefficients"].set_index("name")["value"]
    assert coefficients.to_dict() == pytest.approx(fit.coefficients())
    about = sheets["about"].set_index("name")["value"]
    assert about["runs fingerprint"] == noted.runs.fingerprint
    export_fit(fit, path)  # replaces an export of its own


def test_another_workbook_is_left_as_it_is(fit, tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    openpyxl.Workbook().save(tmp_path / "mine.xlsx")
    (tmp_path / "none.xlsx").write_bytes(b"no zip")
    for name in ("mine.xlsx", "none.xlsx"):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(FileExistsError, match="found a file that is not an export"):
            export_fit(fit, tmp_path / name)
        assert (tmp_path / name).read_bytes() == before


def test_a_workbook_without_its_library_says_what_to_install(fit, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'bayescale\[excel\]'"):
        export_fit(fit, tmp_path / "fit.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_other_suffixes_are_refused(fit, tmp_path):
    with pytest.raises(ValueError, match=r"found the suffix '\.ods', expected one of \.csv"):
        export_fit(fit, tmp_path / "fit.ods")
    assert list(tmp_path.iterdir()) == []


def test_on_the_command_line(fit, tmp_path, capsys):
    saved = str(tmp_path / "fit.nc")
    fit.save(saved)
    assert main(["export", saved]) == 0
    printed = dict(
        line.split(" = ") for line in capsys.readouterr().out.splitlines() if " = " in line
    )
    assert {name: float(x) for name, x in printed.items()} == pytest.approx(
        fit.coefficients(), rel=1e-5
    )
    out = str(tmp_path / "draws.csv")
    assert main(["export", saved, "--out", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["export"] == out
    assert main(["export", saved, "--out", str(tmp_path / "fit.doc")]) == 2
    assert "expected one of" in capsys.readouterr().err
