"""The calibration page is rendered from stored results, here from small made-up ones."""

import re
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.errors import RunsError
from bayescale.validation.scored import Score, pointwise_scores
from benchmarks.calibration.__main__ import main
from benchmarks.calibration.cards import (
    BANDS,
    BOOTSTRAP,
    CARDS,
    CORPORA,
    COUPLED,
    DEFAULT,
    IID,
    POOLED,
    STACK,
)
from benchmarks.calibration.optima import OPTIMA_CARDS
from benchmarks.calibration.page import render
from benchmarks.calibration.priors import ALL, WIDE
from benchmarks.calibration.results import STUDIES, read_results, write_result
from benchmarks.calibration.trade_off import CHANGES

PAGE = Path(__file__).parents[2] / "docs" / "calibration.md"
CUTS = (1.0, 2.0, 3.0)


def facts(rng: np.random.Generator, count: int = 20) -> dict[str, object]:
    """Return the scores of made-up draws and observations."""
    drawn, observed = rng.standard_normal((50, count)), 1.2 * rng.standard_normal(count)
    below = (drawn < observed).mean(axis=0)
    table = pointwise_scores(drawn, observed, np.zeros(count), below)
    inside = {
        f"inside_{band}": share for band, share in zip(BANDS, (0.9, 0.8, np.nan), strict=True)
    }
    return {"n_train": 30, **Score(table, 0.0, drawn, observed).summary(), **inside, "ok": True}


@pytest.fixture(scope="module")
def rows() -> dict[str, list[dict]]:
    rng = np.random.default_rng(1)
    tables = [("chinchilla", "all"), ("overtraining", "c4"), ("overtraining", "redpajama")]
    where = [{"source": source, "table": table} for source, table in tables]
    priors = [
        {"source": source, "quantity": name, "median": 0.05, "factor": 1.5}
        for source, name in product(("chinchilla", "overtraining", ALL), WIDE)
    ]
    models = (*CARDS, DEFAULT, BOOTSTRAP, STACK)
    held_out = [
        {**place, "model": model, "cut": cut, **facts(rng)}
        for place, model, cut in product(where, models, CUTS)
    ]
    elsewhere = [
        {**place, "model": model, "cut": cut, **facts(rng)}
        for place, model, cut in product(where, (COUPLED, DEFAULT), CUTS)
    ]
    simulated = [
        {**place, "card": card, **facts(rng), "n_train": size}
        for (place, size), card in product(
            zip(where, (100, 20, 20), strict=True), 2 * (IID, DEFAULT)
        )
    ]
    traded = [
        {"change": change, **place, **facts(rng)} for change, place in product(CHANGES, where)
    ]
    corpora = [
        {"family": family, "runs": count, "pooling": kind, **facts(rng)}
        for family, count, kind in product(("c4",), (3, 4), ("none", POOLED, CORPORA))
    ]
    corpora.append({"family": "c4", "runs": 4, "pooling": "none", "ok": False, "status": "few"})
    optima = [
        {**place, "model": card, "cut": cut, "ok": True, "rank": rank, "error": 0.2, "width": 0.8}
        for place, card, cut, rank in product(where, OPTIMA_CARDS, CUTS, (0.04, 0.3))
    ]
    found = (priors, held_out, elsewhere, optima, simulated, traded, corpora)
    return dict(zip(STUDIES, found, strict=True))


@pytest.fixture
def folder(rows, tmp_path):
    for study, found in rows.items():
        write_result(tmp_path, study, found, seed=1)
    return tmp_path


def tables_of(page: str) -> list[pd.DataFrame]:
    blocks = re.findall(r"(?:^\|.*\n)+", page, flags=re.MULTILINE)
    cells = [
        [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
        for block in (entry.replace("\n\n", "\n").strip() for entry in blocks)
    ]
    return [pd.DataFrame(body, columns=head) for head, _, *body in cells]


def test_the_committed_page_is_what_the_renderer_writes_but_for_its_numbers(folder):
    """Compare prose and table headers; update the page with `make calibration`."""

    def frame(page: str) -> list[str]:
        lines = page.splitlines()
        heads = [i - 1 for i, line in enumerate(lines) if line.startswith("| ---")]
        return [line for i, line in enumerate(lines) if not line.startswith("|") or i in heads]

    assert frame(render(read_results(folder))) == frame(PAGE.read_text("utf-8"))


def test_the_command_renders_what_is_stored(folder):
    page = folder / "page.md"
    main(["--render", "--results", str(folder), "--page", str(page)])
    assert page.read_text("utf-8") == render(read_results(folder))


def test_cells_are_of_the_rows(folder, rows):
    learnt, cover, summary, near, by_source, verdict, elsewhere, *rest = tables_of(
        render(read_results(folder))
    )
    optima, of_sources, right, traded, corpora = rest
    assert list(learnt["source"]) == ["chinchilla", "overtraining", f"**{ALL}**"]
    assert set(learnt["k"]) == {"0.05 x 1.50"}
    held = pd.DataFrame(rows["held_out"])
    default = held[held["model"] == DEFAULT]
    first = default[default["source"] == "chinchilla"].sort_values("cut")
    texts = [f"{share:.2f}" for share in first["coverage_90"]]
    assert cover.loc[0, f"`{DEFAULT}`"] == " / ".join(texts)
    row = summary.set_index("model").loc[f"`{DEFAULT}`"]
    # Sources have equal weights, however many tables they have.
    means = default.groupby("source")[["coverage_90", "rmsle", "interval_score_90"]].mean()
    cells = f"{means['coverage_90'].mean():.2f} ± {means['coverage_90'].sem():.2f}"
    assert row["90 % coverage"] == cells
    assert row["RMSE"] == f"{100 * means['rmsle'].mean():.2f}"
    assert row["lowest source"] == f"{means['coverage_90'].min():.2f}"
    assert row["fits that failed"] == f"0 of {len(default)}"
    assert near.set_index("model").loc[f"`{DEFAULT}`", "within 1"] == "0.90 ± 0.00"
    scores = by_source.set_index("source")[f"`{DEFAULT}`"]
    assert scores["overtraining"] == f"{100 * means.loc['overtraining', 'interval_score_90']:.2f}"
    met = 0.87 <= means["coverage_90"].mean() <= 0.94
    assert verdict.loc[0, "met"] == ("yes" if met else "**no**")
    assert list(elsewhere["tables"]) == ["1", "2"]
    # Of the ranks 0.04 and 0.3, one is outside the 90 % interval; 0.3 is inside the 50 % one.
    assert set(optima["90 % coverage"]) == {"0.50 ± 0.00"} and set(optima["error"]) == {"0.200"}
    assert set(optima["50 % coverage"]) == {"0.50 ± 0.00"}
    assert list(of_sources["optima"]) == ["6", "12"]
    simulated = pd.DataFrame(rows["well_specified"])
    shares = simulated.loc[simulated["card"] == IID, "coverage_90"]
    error = shares.std(ddof=1) / np.sqrt(len(shares))
    found = right.set_index("design").loc["**all**", f"90 % coverage, `{IID}`"]
    assert found == f"{shares.mean():.3f} ± {error:.3f}"
    assert list(right["fitted"]) == ["100", "20", "20", "47", "100", "20"]
    assert list(traded["choice"]) == list(CHANGES)
    assert list(corpora["fits that failed"]) == ["0 of 1"] * 3 + ["1 of 2"] + ["0 of 1"] * 2


def test_a_fit_that_failed_is_starred_and_counted(rows, tmp_path):
    for study, found in rows.items():
        held = [{**row, "ok": row.get("model") != IID} for row in found]
        write_result(tmp_path, study, held if study == "held_out" else found, seed=1)
    _, cover, summary, *_ = tables_of(render(read_results(tmp_path)))
    assert all(cell.count("\\*") == 3 for cell in cover[f"`{IID}`"])
    assert not any("*" in cell for cell in cover[f"`{DEFAULT}`"])
    assert summary.set_index("model").loc[f"`{IID}`", "fits that failed"] == "9 of 9"


def test_a_page_without_one_of_its_studies_is_refused(folder, capsys):
    (folder / "trade_off.parquet").unlink()
    with pytest.raises(RunsError, match=r"no results of trade_off, .* --only trade_off\."):
        read_results(folder)
    page = folder / "page.md"
    with pytest.raises(SystemExit) as stopped:
        main(["--render", "--results", str(folder), "--page", str(page)])
    assert stopped.value.code == 1 and "trade_off" in capsys.readouterr().err
    assert not page.exists()


def test_the_page_says_which_versions_and_seeds_made_it(rows, folder):
    version = bs.__version__.split("+")[0]
    write_result(folder, "trade_off", rows["trade_off"], seed=2)
    head = render(read_results(folder)).splitlines()[2]
    assert f"(bayescale {version}, seed 1; bayescale {version}, seed 2)" in head
