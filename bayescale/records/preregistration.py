"""Preregistration: predictions of planned runs, and the sealed file that holds them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, override

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayescale._io import whole_file
from bayescale._outputs import FORECASTS
from bayescale.data.numbers import as_float
from bayescale.errors import ForecastFileError, quoted
from bayescale.posterior.result import Result
from bayescale.posterior.summary import tail_quantiles
from bayescale.units import format_amount, format_number, format_share

FORMAT = "bayescale forecasts 1"
PROB = 0.9
"""Probability of the intervals that are shown."""


@dataclass(frozen=True, eq=False, repr=False)
class Preregistration(Result):
    """Predictions of planned runs, made before the runs. Created by `bayescale.preregister`.

    Attributes
    ----------
    content
        Everything that is sealed, in JSON types: ``date``, ``response`` and ``unit``;
        ``posterior``, where the predictions come from, with digests of the cards and of the fitted
        runs; ``versions``; and by name the ``runs``, each with its ``inputs`` and ``levels``,
        ``beyond``, the distance from the fitted runs in e-folds, and ``draws``, evenly spaced
        quantiles of the posterior predictive distribution.
    """

    content: Mapping[str, Any]

    @property
    def response(self) -> str:
        """The response, as a column of runs."""
        return str(self.content["response"])

    @property
    def runs(self) -> dict[str, dict[str, Any]]:
        """The planned runs with their predictions, by name."""
        return dict(self.content["runs"])

    @property
    def columns(self) -> tuple[str, ...]:
        """The inputs of the law, as columns of runs."""
        return tuple(next(iter(self.runs.values()))["inputs"])

    @property
    def sha256(self) -> str:
        """The SHA-256 of the content, as JSON with sorted keys and without spaces."""
        return _digest(self.content)

    def draws(self, run: str) -> NDArray[np.float64]:
        """Return the draws of the predicted response of a run, in ascending order."""
        return np.array(self.runs[run]["draws"], dtype=np.float64)

    def save(self, path: str | Path, *, replace: bool = False) -> None:
        """Write the forecasts to a JSON file, which `bayescale.load_preregistration` reads.

        Parameters
        ----------
        path
            Path of the file, ending in ``.json``.
        replace
            Whether earlier forecasts at that path may be replaced. A file of another kind never
            is.

        Raises
        ------
        FileExistsError
            If there is a file.
        """
        refuse_existing(path, replace=replace)
        sealed = {"format": FORMAT, "content": self.content, "sha256": self.sha256}
        with whole_file(path) as part:
            part.write_text(json.dumps(sealed, indent=1, allow_nan=False) + "\n", encoding="utf-8")

    @property
    @override
    def headline(self) -> str:
        return str(self.content["posterior"]["headline"])

    @property
    @override
    def sentences(self) -> tuple[str, ...]:
        count, unit = len(self.runs), self.content["unit"]
        return (
            f"{count} forecast{'' if count == 1 else 's'} of {self.response}"
            f"{f' ({unit})' if unit else ''}, made on {self.content['date']}.",
            f"SHA-256 of the content: {self.sha256}.",
        )

    def table(self) -> pd.DataFrame:
        """Return inputs, levels, ``beyond``, the median and the 90 % interval of each run."""
        rows = []
        for name, run in self.runs.items():
            lower, median, upper = np.quantile(self.draws(name), tail_quantiles(PROB))
            ends = {"median": median, "lower": lower, "upper": upper}
            rows.append({**run["inputs"], **run["levels"], "beyond": run["beyond"], **ends})
        return pd.DataFrame(rows, index=pd.Index(list(self.runs), name="run"))

    @override
    def text_table(self) -> pd.DataFrame:
        table = self.table()
        lower, upper = (
            table.pop(end).map(lambda x: format_number(x, 4)) for end in ("lower", "upper")
        )
        for column in self.columns:
            table[column] = [format_amount(column, x) for x in table[column]]
        table["beyond"] = table["beyond"].map("{:.1f}".format)
        table["median"] = table["median"].map(lambda x: format_number(x, 4))
        table[f"{format_share(PROB)} interval"] = "[" + lower + ", " + upper + "]"
        return table.rename(columns={"beyond": "beyond, e-folds", "median": self.response})


def refuse_existing(path: str | Path, *, replace: bool) -> None:
    """Raise unless forecasts can be written to a path without replacing other ones."""
    path = Path(path)
    FORECASTS.check(path)
    if path.exists() and path.stat().st_size and not replace:
        raise FileExistsError(
            f"{path} holds forecasts that were made before, and was not changed. Give another "
            "path; replace=True (--force) replaces them."
        )


def load_preregistration(path: str | Path) -> Preregistration:
    """Load forecasts that `bayescale.preregister` wrote.

    Parameters
    ----------
    path
        Path of the file.

    Returns
    -------
    Preregistration

    Raises
    ------
    ForecastFileError
        If the file is missing, is not a file of forecasts, or was changed after it was written.

    Examples
    --------
    >>> import bayescale as bs
    >>> from tempfile import TemporaryDirectory
    >>> fit = bs.fit("chinchilla", "chinchilla", seed=1, progress=False)
    >>> runs = {"big": {"n_params": "70B", "n_tokens": "1.4T"}}
    >>> with TemporaryDirectory() as folder:
    ...     made = bs.preregister(fit, runs, f"{folder}/big.json")
    ...     bs.load_preregistration(f"{folder}/big.json").sha256 == made.sha256
    True
    """
    path = Path(path)
    if not path.is_file():
        raise ForecastFileError(
            f"{path}: there is no such file. Give the path of forecasts that `preregister` wrote."
        )
    try:
        sealed = json.loads(path.read_bytes(), object_pairs_hook=_unique)
        found, content, stated = sealed["format"], sealed["content"], sealed["sha256"]
        is_sealed = isinstance(content, dict) and stated == _digest(content)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        said = quoted(str(error) or type(error).__name__, 120)
        raise ForecastFileError(
            f"{path}: not forecasts that `preregister` wrote, or damaged ({said})."
        ) from None
    if found != FORMAT:
        raise ForecastFileError(
            f"{path}: found format {quoted(found)}, expected {FORMAT!r}. It was written by another "
            "version of bayescale."
        )
    if not is_sealed:
        raise ForecastFileError(
            f"{path}: its content does not have the SHA-256 that it was sealed with, so it was "
            "changed after it was written. Restore the file as it was, from version control or a "
            "backup; changed forecasts are not scored."
        )
    if said := _fault(content):
        raise ForecastFileError(
            f"{path}: not forecasts that `preregister` wrote: {said}, though its SHA-256 is right."
        )
    return Preregistration(content)


def _fault(content: Mapping[str, Any]) -> str:
    """Return a description of the first wrong entry of the content, or an empty text."""
    known = {"date": str, "response": str, "unit": str, "posterior": dict, "runs": dict}
    for name, kind in known.items():
        if not isinstance(content.get(name), kind):
            return f"found {name} = {quoted(content.get(name))}"
    source, runs = content["posterior"], content["runs"]
    if not isinstance(source.get("headline"), str) or not isinstance(source.get("passed"), bool):
        return f"found posterior = {quoted(source)}"
    if not runs:
        return "found no runs"
    for name, run in runs.items():
        inputs, levels, draws = (
            run.get(key) if isinstance(run, dict) else None for key in ("inputs", "levels", "draws")
        )
        if (
            not (isinstance(inputs, dict) and inputs and all(map(_is_amount, inputs.values())))
            or not isinstance(levels, dict)
            or not (isinstance(draws, list) and draws and all(map(_is_amount, draws)))
            or not (_is_amount(run.get("beyond")) or run.get("beyond") == 0)
        ):
            return f"found the run {quoted(name)} = {quoted(run)}"
    return ""


def _is_amount(value: object) -> bool:
    """Return whether a value is a positive finite number."""
    return isinstance(value, int | float) and value is not True and 0.0 < as_float(value) < np.inf


def _digest(content: Mapping[str, Any]) -> str:
    whole = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(whole.encode()).hexdigest()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; raise if a key is repeated, since readers differ on its value."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice")
    return found
