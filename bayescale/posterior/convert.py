"""Conversion of fits to ArviZ trees, data frames and point estimates."""

import json

import numpy as np
import pandas as pd
import xarray as xr

from bayescale._version import __version__
from bayescale.data.netcdf import draws_to_dataset
from bayescale.posterior.fitted import FittedModel
from bayescale.posterior.likelihood import log_densities


def coefficients_of(fit: FittedModel) -> dict[str, float]:
    """Return a point estimate of the natural parameters; see `Fit.coefficients`."""
    law, reference = fit.law, fit.scale.reference
    coordinates = law.to_reference(fit.curve.parameters, reference)
    middle = {name: float(np.median(values)) for name, values in coordinates.items()}
    found = {name: float(x) for name, x in law.from_reference(middle, reference).items()}
    law.check_parameters(found)
    return found


def draws_of(fit: FittedModel) -> pd.DataFrame:
    """Return a data frame with one row per draw; see `Fit.to_dataframe`."""
    return fit.quantities.to_dataframe().reset_index()


def tree_of(fit: FittedModel) -> xr.DataTree:
    """Return a tree with the groups of ArviZ; see `Fit.to_datatree`."""
    response = f"log_{fit.law.response}"
    observed = np.log(fit.runs.column(fit.law.response))
    labels = fit.runs.table["run"].astype(str).to_numpy(dtype=object)
    coordinates = {"run": labels}
    groups = {
        "posterior": fit.posterior,
        # In a thinned posterior the statistics keep the numbering before thinning.
        "sample_stats": fit.sample_stats.assign_coords(draw=fit.posterior["draw"]),
        "log_likelihood": log_likelihood(fit).assign_coords(coordinates).to_dataset(name=response),
        "observed_data": xr.Dataset({response: ("run", observed)}, coordinates),
        "constant_data": xr.Dataset(
            {name: ("run", values) for name, values in fit.inputs.items()}, coordinates
        ),
    }
    # Grouping columns may have any name, but names of variables in a tree are restricted.
    tree = xr.DataTree.from_dict({name: draws_to_dataset(x) for name, x in groups.items()})
    tree.attrs = {
        "creation_library": "bayescale",
        "creation_library_version": __version__,
        "model": json.dumps(fit.model.to_dict()),
        "provenance": json.dumps(dict(fit.provenance)),
    }
    return tree


def log_likelihood(fit: FittedModel) -> xr.DataArray:
    """Return the pointwise log likelihood of the fitted runs, on the log response.

    Returns
    -------
    DataArray
        Dims ``chain``, ``draw``, ``run``. Correlated checkpoints are conditional on earlier ones.
    """
    dims = ("chain", "draw", "run")
    coordinates = {name: fit.posterior[name] for name in dims[:2]}
    return xr.DataArray(log_densities(fit, fit.runs), dims=dims, coords=coordinates)
