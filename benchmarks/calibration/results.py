"""The results of the studies: one Parquet file each, with the version and seed that made it."""

from pathlib import Path

import pandas as pd

import bayescale as bs
from bayescale.errors import RunsError

STUDIES = (
    "priors",
    "held_out",
    "held_out_elsewhere",
    "optima",
    "well_specified",
    "trade_off",
    "new_corpora",
)
"""The studies, in the order of the page."""


def write_result(folder: Path, study: str, rows: list[dict], seed: int) -> None:
    """Write the results of a study, a row for each fit or set of simulations."""
    table = pd.DataFrame(rows)
    # Parquet stores these attributes.
    table.attrs = {"bayescale": bs.__version__.split("+")[0], "seed": seed}
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{study}.parquet.part"
    table.to_parquet(part, index=False)
    part.replace(folder / f"{study}.parquet")


def read_results(folder: Path) -> dict[str, pd.DataFrame]:
    """Return the results of all studies.

    Raises
    ------
    RunsError
        If a study has no results: the page would silently lack its section.
    """
    missing = [study for study in STUDIES if not (folder / f"{study}.parquet").is_file()]
    if missing:
        raise RunsError(
            f"{folder}: found no results of {', '.join(missing)}, which the page needs; run "
            "`python -m benchmarks.calibration TABLES` with "
            + " ".join(f"--only {study}" for study in missing)
            + "."
        )
    return {study: pd.read_parquet(folder / f"{study}.parquet") for study in STUDIES}
