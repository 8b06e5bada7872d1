"""A fit in the forms that other tools take: ArviZ trees, tables of draws, JSON, coefficients."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayescale._io import whole_file
from bayescale._outputs import EXPORT
from bayescale._plain import json_text
from bayescale._version import __version__
from bayescale.data.netcdf import draws_to_dataset
from bayescale.posterior.fit import Fit
from bayescale.posterior.likelihood import log_densities


def coefficients_of(fit: Fit) -> dict[str, float]:
    """Return one set of natural parameters that belong together; see `Fit.coefficients`."""
    law, reference = fit.law, fit.scale.reference
    coordinates = law.to_reference(fit.curve.parameters, reference)
    middle = {name: float(np.median(values)) for name, values in coordinates.items()}
    found = {name: float(x) for name, x in law.from_reference(middle, reference).items()}
    law.check_parameters(found)
    return found


def draws_of(fit: Fit) -> pd.DataFrame:
    """Return one row a draw; see `Fit.to_dataframe`."""
    return fit.quantities.to_dataframe().reset_index()


def tree_of(fit: Fit) -> xr.DataTree:
    """Return the groups that ArviZ knows; see `Fit.to_datatree`."""
    response = f"log_{fit.law.response}"
    observed = np.log(fit.runs.column(fit.law.response))
    labels = fit.runs.table["run"].astype(str).to_numpy(dtype=object)
    coordinates = {"run": labels}
    groups = {
        "posterior": fit.posterior,
        # Of a posterior that was sampled for longer, statistics are numbered as sampled.
        "sample_stats": fit.sample_stats.assign_coords(draw=fit.posterior["draw"]),
        "log_likelihood": log_likelihood(fit).assign_coords(coordinates).to_dataset(name=response),
        "observed_data": xr.Dataset({response: ("run", observed)}, coordinates),
        "constant_data": xr.Dataset(
            {name: ("run", values) for name, values in fit.inputs.items()}, coordinates
        ),
    }
    # Levels are of columns of any name, and the names of a tree's variables are not.
    tree = xr.DataTree.from_dict({name: draws_to_dataset(x) for name, x in groups.items()})
    tree.attrs = {
        "creation_library": "bayescale",
        "creation_library_version": __version__,
        "model": json.dumps(fit.model.to_dict()),
        "provenance": json.dumps(dict(fit.provenance)),
    }
    return tree


def log_likelihood(fit: Fit) -> xr.DataArray:
    """Return the log density of the log response of each fitted run, under every draw.

    Returns
    -------
    DataArray
        Dims ``chain``, ``draw``, ``run``. Of checkpoints of one run, each given those before it.
    """
    dims = ("chain", "draw", "run")
    coordinates = {name: fit.posterior[name] for name in dims[:2]}
    return xr.DataArray(log_densities(fit, fit.runs), dims=dims, coords=coordinates)


def facts_of(fit: Fit) -> dict[str, Any]:
    """Return what was found, as JSON holds it: coefficients, summary, gates, provenance."""
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
    """Write a fit as the suffix of the path says, whole or not at all.

    Parameters
    ----------
    fit
        A posterior.
    path
        ``.csv`` or ``.parquet`` for a table of draws, ``.nc`` for the tree that ArviZ takes,
        ``.json`` for coefficients, summary and provenance.

    Raises
    ------
    ValueError
        If the suffix is another.
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


_WRITERS: Mapping[str, Callable[[Fit, Path], None]] = {
    ".csv": _write_csv,
    ".parquet": _write_parquet,
    ".nc": _write_tree,
    ".json": _write_json,
}
