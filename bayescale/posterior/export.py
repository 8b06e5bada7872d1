"""Export of fits to other tools: tables of draws, ArviZ trees, JSON."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bayescale._io import json_text, whole_file
from bayescale._outputs import EXPORT
from bayescale.posterior.convert import draws_of, tree_of
from bayescale.posterior.fit import Fit
from bayescale.posterior.workbook import write_workbook


def facts_of(fit: Fit) -> dict[str, Any]:
    """Return coefficients, summary, diagnostics and provenance of a fit, for JSON."""
    summary = fit.summary().reset_index()
    return {
        "model": fit.model.id,
        "law": fit.law.name,
        "formula": fit.law.latex,
        "inputs": dict(fit.model.columns),
        "runs": {
            "name": fit.runs.name,
            "count": len(fit.runs),
            "fingerprint": fit.runs.fingerprint,
        },
        "passed": fit.diagnostics.ok,
        "status": fit.diagnostics.status,
        "coefficients": fit.coefficients(),
        "summary": summary.rename(columns={summary.columns[0]: "quantity"}).to_dict("records"),
        "prob": 0.9,
        "provenance": dict(fit.provenance),
    }


def export_fit(fit: Fit, path: str | Path) -> None:
    """Write a fit in the format given by the suffix of a path, atomically.

    Parameters
    ----------
    fit
        The fit.
    path
        ``.csv`` or ``.parquet`` for a table of draws, ``.nc`` for an ArviZ tree, ``.json`` for
        coefficients, summary and provenance, ``.xlsx`` for these, the runs and the draws, a sheet
        each.

    Raises
    ------
    MissingExtraError
        If a workbook is asked for and openpyxl is not installed.
    ValueError
        If the suffix is not one of these.
    """
    path = Path(path)
    EXPORT.check(path)
    with whole_file(path) as part:
        _WRITERS[path.suffix.lower()](fit, part)


def _write_csv(fit: Fit, path: Path) -> None:
    draws_of(fit).to_csv(path, index=False)


def _write_parquet(fit: Fit, path: Path) -> None:
    draws_of(fit).to_parquet(path, index=False)


def _write_tree(fit: Fit, path: Path) -> None:
    path.write_bytes(bytes(tree_of(fit).to_netcdf(engine="h5netcdf")))


def _write_json(fit: Fit, path: Path) -> None:
    path.write_text(json_text(facts_of(fit)) + "\n", encoding="utf-8")


def _write_workbook(fit: Fit, path: Path) -> None:
    write_workbook(fit, facts_of(fit), path)


_WRITERS: Mapping[str, Callable[[Fit, Path], None]] = {
    ".csv": _write_csv,
    ".parquet": _write_parquet,
    ".nc": _write_tree,
    ".json": _write_json,
    ".xlsx": _write_workbook,
}
