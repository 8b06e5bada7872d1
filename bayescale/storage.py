"""A fit in one netCDF file: draws, statistics, runs, card and provenance."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayescale.atomic import whole_file
from bayescale.build import Scale
from bayescale.dataset_card import DatasetCard
from bayescale.errors import BayescaleError, FitFileError
from bayescale.fitting import Fit
from bayescale.laws import law as find_law
from bayescale.model import Model
from bayescale.runs import Runs

FORMAT = 1
_GROUPS = ("posterior", "sample_stats", "runs")
_ATTRIBUTES = ("bayescale_format", "model", "scale", "runs", "provenance")


def save_fit(fit: Fit, path: str | Path) -> None:
    """Write a fit to one netCDF file, complete or not at all."""
    runs_facts = {
        "name": fit.runs.name,
        "notes": list(fit.runs.notes),
        "derived": dict(fit.runs.derived),
        "card": dataclasses.asdict(fit.runs.card) if fit.runs.card else None,
    }
    tree = xr.DataTree.from_dict(
        {
            "posterior": fit.posterior,
            "sample_stats": fit.sample_stats,
            "runs": _table_to_dataset(fit.runs.table),
        }
    )
    tree.attrs = {
        "bayescale_format": FORMAT,
        "model": json.dumps(fit.model.to_dict()),
        "scale": json.dumps(dataclasses.asdict(fit.scale)),
        "runs": json.dumps(runs_facts),
        "provenance": json.dumps(dict(fit.provenance)),
    }
    with whole_file(path) as part:
        tree.to_netcdf(part, engine="h5netcdf")


def load_fit(path: str | Path, *, law: str | None = None) -> Fit:
    """Load a saved fit.

    Parameters
    ----------
    path
        A file that `Fit.save` wrote.
    law
        The law it is expected to be of; another is refused.

    Returns
    -------
    Fit
        With draws identical to those saved.

    Raises
    ------
    FitFileError
        If the file is missing, damaged, not a saved fit, or of another law.

    Examples
    --------
    >>> import bayescale as bs
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     bs.fit("chinchilla", "chinchilla", seed=1, progress=False).save(f"{folder}/fit.nc")
    ...     bs.load_fit(f"{folder}/fit.nc", law="chinchilla").seed
    1
    """
    path = Path(path)
    if not path.is_file():
        raise FitFileError(f"{path}: there is no such file. Give the path of a saved fit.")
    try:
        tree = xr.load_datatree(path, engine="h5netcdf")
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise FitFileError(
            f"{path}: could not be read as netCDF ({_first_line(error)}). The file is damaged, "
            "cut short, or something else; fit again and save."
        ) from None
    lacking = [name for name in _ATTRIBUTES if name not in tree.attrs]
    lacking += [name for name in _GROUPS if name not in tree.children]
    if lacking:
        raise FitFileError(
            f"{path}: not a saved fit of bayescale ({', '.join(lacking)} missing). Give a file "
            "that `Fit.save` or `bayescale fit --out` wrote."
        )
    if int(tree.attrs["bayescale_format"]) != FORMAT:
        raise FitFileError(
            f"{path}: found format {tree.attrs['bayescale_format']}, expected {FORMAT}. It was "
            "written by another version of bayescale; fit again."
        )
    facts = {name: json.loads(tree.attrs[name]) for name in _ATTRIBUTES[1:]}
    if law is not None and facts["model"]["law"] != law:
        find_law(law)
        raise FitFileError(
            f"{path}: a fit of the law {facts['model']['law']}, expected {law}. Give another "
            "file, or ask for that law."
        )
    try:
        model = Model.from_dict(facts["model"], str(path))
    except BayescaleError as error:
        raise FitFileError(f"{path}: its card does not make sense here. {error}") from None
    result = Fit(
        model=model,
        runs=_runs(tree["runs"].to_dataset(), facts["runs"]),
        scale=Scale(**facts["scale"]),
        _posterior=tree["posterior"].to_dataset(),
        _sample_stats=tree["sample_stats"].to_dataset(),
        provenance=facts["provenance"],
    )
    _check_whole(result, path)
    return result


def _check_whole(fit: Fit, path: Path) -> None:
    expected = {*fit.law.parameters, *fit.law.coordinates, *fit.model.noise.priors}
    found = set(map(str, fit.posterior.data_vars))
    if found != expected:
        raise FitFileError(
            f"{path}: its draws are of {', '.join(sorted(found))}, but the law {fit.law.name} "
            f"has {', '.join(sorted(expected))}. The file belongs to another law or version; "
            "fit again."
        )
    if fit.runs.fingerprint != fit.provenance.get("fingerprint"):
        raise FitFileError(
            f"{path}: the runs inside do not have the recorded fingerprint, so the file was "
            "changed after the fit. Fit again."
        )


def _runs(dataset: xr.Dataset, facts: dict[str, Any]) -> Runs:
    table = pd.DataFrame({str(name): dataset[name].to_numpy() for name in dataset.data_vars})
    card = facts["card"]
    return Runs(
        _table=table,
        name=facts["name"],
        notes=tuple(facts["notes"]),
        derived=facts["derived"],
        card=DatasetCard.from_dict(card, "saved card") if card else None,
    )


def _table_to_dataset(table: pd.DataFrame) -> xr.Dataset:
    # The rows are numbered by a dim of their own: a label may stand in several rows.
    columns = {}
    for name in table.columns:
        values = table[name]
        if values.dtype.kind in "iuf":
            columns[name] = ("row", values.to_numpy())
        else:
            texts = [
                "" if missing else str(v) for v, missing in zip(values, values.isna(), strict=True)
            ]
            columns[name] = ("row", np.array(texts, dtype=object))
    return xr.Dataset(columns)


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
