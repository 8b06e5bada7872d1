"""The report of a model average: one decision, the results of each law, and no refits."""

import json
from dataclasses import replace

import numpy as np
import pytest

import bayescale as bs
from bayescale.errors import RunsError, UnsuitableLawError

WEIGHTS = {"chinchilla": 0.6, "kaplan-nd": 0.3, "coupled": 0.1}


@pytest.fixture(scope="module")
def average(law_fits) -> bs.ModelAverage:
    return bs.model_average(law_fits, WEIGHTS).thin(400)


def test_the_report_decides_on_the_average_and_says_what_each_law_says(average, law_fits, tmp_path):
    path = bs.report(average, tmp_path / "r.json", budget="1e22", progress=False)
    facts = json.loads(path.read_text())
    plan = bs.allocate(average, budget="1e22")
    assert facts["answers"][0]["n_params"] == plan.recommended["n_params"].item()
    rows = {row["model"]: row for row in facts["sections"]["laws"]["tables"][0]["rows"]}
    assert {name: row["weight"] for name, row in rows.items()} == pytest.approx(WEIGHTS)
    for name, one in law_fits.items():
        alone = float(bs.allocate(one, budget="1e22").draws["n_opt"].median())
        assert rows[name]["N_opt at 1e22 FLOP"] == pytest.approx(alone, rel=1e-9)
        assert rows[name]["ok"] == one.diagnostics.ok
    assert np.isfinite(facts["answers"][0]["regret"])
    assert any("which law holds, by the weights" in said for said in facts["caveats"])


@pytest.mark.slow
def test_every_format_has_the_same_answer(average, tmp_path):
    page = bs.report(average, tmp_path / "r.html", budget="1e22", progress=False).read_text()
    text = bs.report(average, tmp_path / "r.md", budget="1e22", progress=False).read_text()
    (said,) = (line for line in text.splitlines() if line.endswith(" tokens**"))
    assert said.strip("*") in page
    assert "Laws and their weights" in page and "Laws and their weights" in text


@pytest.mark.parametrize("name", ["full", "cuts", "backtest", "multiverse"])
def test_what_refits_one_model_is_refused(average, name, tmp_path):
    with pytest.raises(UnsuitableLawError, match=f"{name}: found an average of laws"):
        bs.report(average, tmp_path / "r.md", budget="1e22", progress=False, **{name: True})
    assert not list(tmp_path.iterdir())


def test_a_comparison_of_its_runs_is_included_and_of_others_refused(average, compared, tmp_path):
    options = {"budget": "1e22", "progress": False}
    path = bs.report(average, tmp_path / "r.md", comparison=compared, **options)
    assert "## Law comparison" in path.read_text()
    others = replace(compared, runs=compared.runs.where("n_params > 1e8"))
    with pytest.raises(RunsError, match="comparison: found other runs"):
        bs.report(average, tmp_path / "s.md", comparison=others, **options)
