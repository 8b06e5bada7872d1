"""Noise: the distribution of log responses about the law, as a card states it.

The classes here hold the statements of a card. The densities, distribution functions and
simulations that follow from them are in `bayescale.backend.likelihood`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayescale.data.runs import Runs
from bayescale.errors import CardError, did_you_mean, quoted, refuse_unknown
from bayescale.laws import Law, Value, Values
from bayescale.model.measurement import (
    Facts,
    errors_of,
    flags_of,
    links_of,
    order_of,
    share_of,
    unlinked,
    widths_of,
)
from bayescale.model.priors import Prior, check_prior, check_priors, prior_from_dict

NOISES: Mapping[str, tuple[str, ...]] = {"student-t": ("sigma", "nu"), "normal": ("sigma",)}
"""Kinds of noise on the log of the response, and their parameters."""

GROWTH, INEFFICIENCY = "growth", "inefficiency"
LENGTH, ALIKE = "correlation_length", "correlation_at_once"
"""Names of further parameters of the noise."""

COMPUTE, REDUCIBLE = "compute", "reducible"


@dataclass(frozen=True, kw_only=True)
class Heteroscedasticity:
    """A residual scale that is sigma times a power of an input or of the reducible response.

    Attributes
    ----------
    along
        ``"compute"``; ``"reducible"``, the response above its floor; or an input of the law. Its
        value is taken relative to that at the reference point.
    exponent
        Prior of the power.
    """

    along: str
    exponent: Prior

    def __post_init__(self) -> None:
        _check_text("growth.along", self.along)
        _check_prior("growth.exponent", self.exponent)

    def inputs(self, law: Law, columns: Mapping[str, str]) -> tuple[str, ...]:
        """Return the inputs whose product is `along`; none for the reducible response.

        Raises
        ------
        CardError
            If the law lacks these inputs, or a floor.
        """
        if self.along == REDUCIBLE:
            if law.floor and law.scale_free:
                return ()
            raise CardError(
                f"noise.growth: found along = 'reducible', but the law {law.name} has no floor; "
                "let the scale grow along an input of the law."
            )
        if self.along in law.inputs:
            return (self.along,)
        direct = [name for name, column in columns.items() if column == self.along]
        if direct:
            return tuple(direct)
        if self.along == COMPUTE and {"n_params", "n_tokens"} <= set(law.inputs):
            return ("n_params", "n_tokens")
        raise CardError(
            f"noise.growth: found along = {quoted(self.along)}, expected 'compute', "
            "'reducible' or an "
            f"input of the law {law.name}, one of {', '.join(law.inputs)}."
        )


@dataclass(frozen=True, kw_only=True)
class CheckpointCorrelation:
    """Residuals correlated along training, within a run or within runs of one size.

    They are an Ornstein-Uhlenbeck process in the log of `along`: the correlation of two
    checkpoints is exp(-distance / length), with the distance of their logs; or ``alike`` times
    that, if each row also has an independent error. It does not depend on the other
    checkpoints.

    Attributes
    ----------
    run
        The column that identifies the run of each checkpoint. With ``"n_params"`` all rows of
        one size are correlated, whether they belong to one run or not.
    along
        The column that orders checkpoints.
    length
        Prior of the correlation length, in ln units.
    alike
        Prior of the correlation of two rows at the same position; it is one unless given, and
        positions must then be distinct.
    """

    run: str
    along: str
    length: Prior
    alike: Prior | None = None

    def __post_init__(self) -> None:
        if self.alike is not None and getattr(self.alike, "support", "") != "unit":
            raise CardError(
                f"noise.checkpoints.alike: found {quoted(self.alike)}, expected a prior on values "
                "between 0 and 1."
            )
        _check_text("checkpoints.run", self.run)
        _check_text("checkpoints.along", self.along)
        _check_prior("checkpoints.length", self.length, positive=True)


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Distribution of the log of the recorded response (usually a loss) about the law.

    Attributes
    ----------
    kind
        ``"student-t"`` (scale sigma, degrees of freedom nu) or ``"normal"`` (sigma).
    priors
        A prior for each parameter of that kind.
    growth
        Heteroscedasticity: a scale that varies with compute, the reducible response or an input.
    checkpoints
        Correlation between checkpoints of the same runs.
    inefficiency
        Prior of the scale of a half-Normal excess of each run over the law, since bad tuning
        only raises a loss. Requires Normal noise. The law then describes well-tuned runs.
    standard_error
        The column of the known standard error of each response, in its unit. It is added in
        quadrature to the residual scale.
    rounding
        The step to which responses are rounded, in their unit; or relative to them, as
        ``"0.4 %"``; or the column that holds the step. The true response is within half a step.
    censored
        The column that marks (1 or 0) diverged runs, whose response is right-censored at the
        recorded value.

    Notes
    -----
    The likelihood is exact for Normal noise. The sum of a Student-t and a measurement error or a
    correlated part is not a Student-t; it is approximated by one of the combined scale. For
    checkpoints, the innovation of each given the earlier ones is a Student-t.

    For repeated runs (seeds) of one setting, let the response differ between settings
    (``[pooling.loss."n_params+n_tokens"]``): the variance between settings is then lack of fit,
    and that within settings the noise.

    Examples
    --------
    >>> import bayescale as bs
    >>> from dataclasses import replace
    >>> noise = bs.load_model("chinchilla").noise
    >>> replace(noise, rounding=0.01, censored="diverged").columns
    ('diverged',)
    """

    kind: str
    priors: Mapping[str, Prior]
    growth: Heteroscedasticity | None = None
    checkpoints: CheckpointCorrelation | None = None
    inefficiency: Prior | None = None
    standard_error: str = ""
    rounding: str | float = 0.0
    censored: str = ""

    def __post_init__(self) -> None:
        _check_kind("noise", self.kind)
        check_priors("noise", f"{self.kind} noise", NOISES[self.kind], self.priors)
        for name in ("standard_error", "censored"):
            _check_text(name, getattr(self, name), empty=True)
        step = self.rounding
        share = share_of(step) if isinstance(step, str) else 0.0
        number = isinstance(step, int | float) and not isinstance(step, bool)
        stated = bool(step.strip()) if isinstance(step, str) else number and 0.0 <= step < math.inf
        if not stated or share >= 1.0:
            raise CardError(
                f"noise: found rounding = {quoted(step)}, expected a step, "
                "a share such as '0.4 %', or "
                "the name of a column."
            )
        if self.inefficiency is not None:
            _check_prior("inefficiency", self.inefficiency, positive=True)
            if self.kind != "normal":
                raise CardError(
                    f"noise.inefficiency: found {self.kind} noise, expected normal: in "
                    "heavy-tailed noise an inefficiency is not identified."
                )
        for name in ("inefficiency", "standard_error", "rounding"):
            if self.checkpoints is not None and getattr(self, name):
                raise CardError(
                    f"noise: found checkpoints and {name}, expected one of the two: components of "
                    "noise with and without correlation along training are not separable."
                )

    @property
    def all_priors(self) -> dict[str, Prior]:
        """The priors of all parameters of the noise."""
        extra = {
            GROWTH: self.growth and self.growth.exponent,
            LENGTH: self.checkpoints and self.checkpoints.length,
            ALIKE: self.checkpoints and self.checkpoints.alike,
            INEFFICIENCY: self.inefficiency,
        }
        return {**self.priors, **{name: prior for name, prior in extra.items() if prior}}

    @property
    def meanings(self) -> dict[str, str]:
        """Description of each parameter, for a response of the given name."""
        along = self.growth.along if self.growth else ""
        found = {
            "sigma": "scale of the scatter of log {response}",
            "nu": "degrees of freedom of the scatter",
            GROWTH: f"exponent of the scale of the scatter in {along}",
            LENGTH: "length in ln units over which checkpoints of a run are correlated",
            ALIKE: "correlation of the scatter of two runs at one place",
            INEFFICIENCY: "scale of the inefficiency of badly tuned runs, on log {response}",
        }
        return {name: found[name] for name in self.all_priors}

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the runs that the noise needs, in addition to those of the law."""
        links = (self.checkpoints.run, self.checkpoints.along) if self.checkpoints else ()
        stated = not isinstance(self.rounding, str) or share_of(self.rounding)
        step = "" if stated else str(self.rounding)
        return tuple(filter(None, (*links, self.standard_error, step, self.censored)))

    @property
    def rows(self) -> tuple[str, ...]:
        """Names of the entries of `facts`."""
        return (
            *(("previous", "gap") if self.checkpoints else ()),
            *(("order",) if self.checkpoints and self.checkpoints.alike else ()),
            *(("error",) if self.standard_error else ()),
            *(("half",) if self.rounding else ()),
            *(("censored",) if self.censored else ()),
        )

    def check(self, law: Law, columns: Mapping[str, str]) -> None:
        """Raise CardError unless the noise is valid for a law with these columns."""
        if self.growth is not None:
            self.growth.inputs(law, columns)
        for name in self.all_priors:
            if name in {*law.parameters, *law.coordinates}:
                raise CardError(f"noise: the law {law.name} has a parameter {name} of its own.")

    def facts(self, runs: Runs, links: Facts | None = None) -> dict[str, NDArray[np.float64]]:
        """Return how each response was recorded, as arrays with one number per run.

        Parameters
        ----------
        runs
            A table of runs.
        links
            Preceding checkpoints as `links` returns them; computed from the table unless given.

        Raises
        ------
        RunsError
            If a column is missing, or a value is invalid.
        """
        found: dict[str, NDArray[np.float64]] = {}
        if self.checkpoints is not None:
            found |= links or self.links(runs)
            if self.checkpoints.alike is not None:
                found["order"] = order_of(found["previous"])
        if self.standard_error:
            found["error"] = errors_of(runs, self.standard_error)
        if self.rounding:
            found["half"] = widths_of(runs, self.rounding)
        if self.censored:
            found["censored"] = flags_of(runs, self.censored)
        return found

    def links(self, runs: Runs, known: NDArray[np.bool_] | None = None) -> dict[str, Any]:
        """Return the preceding checkpoint of each row, among those that are known."""
        linked = self.checkpoints
        if linked is None:
            return {}
        apart = linked.alike is None
        return links_of(runs, linked.run, linked.along, self.censored, known, apart=apart)

    def warnings(self, runs: Runs) -> tuple[str, ...]:
        """Return sentences on noise parameters that these runs do not identify."""
        known = self.facts(runs)
        found = []
        if self.checkpoints is not None and not np.any(known["previous"] != np.arange(len(runs))):
            found.append(
                f"No two rows are checkpoints of one {self.checkpoints.run}: the correlation of "
                "checkpoints is determined by its prior alone."
            )
        if self.censored and np.all(known["censored"] > 0.5):
            found.append("Every run diverged: the runs do not identify the level of the response.")
        return tuple(found)

    def facts_of_plans(self, count: int) -> dict[str, NDArray[np.float64]]:
        """Return the facts of planned runs, which have no records yet."""
        zeros = np.zeros(count)
        exact = {"error": zeros, "censored": zeros, "half": widths_of(None, 0.0, count)}
        known = {**unlinked(count), "order": np.arange(float(count)), **exact}
        return {name: known[name] for name in self.rows}

    def amount(
        self,
        law: Law,
        columns: Mapping[str, str],
        centred: Values,
        at_runs: Values,
        at_reference: Values,
    ) -> Value:
        """Return the log of what the scale varies with, relative to the reference point.

        Parameters
        ----------
        law, columns
            Law and columns of the model.
        centred
            The logs of the inputs relative to the reference point.
        at_runs, at_reference
            The law's response and parameters at each run, and at the reference point.
        """
        if self.growth is None:
            return 0.0
        along = self.growth.inputs(law, columns)
        if along:
            return sum(centred[name] for name in along)
        return np.log(at_runs[law.response] - at_runs[law.floor]) - np.log(
            at_reference[law.level] - at_reference[law.floor]
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the noise as a card states it."""
        growth, linked = self.growth, self.checkpoints
        plain = ("standard_error", "rounding", "censored")
        tables: dict[str, Any] = {name: prior.to_dict() for name, prior in self.priors.items()}
        if growth is not None:
            tables["growth"] = {"along": growth.along, "exponent": growth.exponent.to_dict()}
        if linked is not None:
            tables["checkpoints"] = {
                "run": linked.run,
                "along": linked.along,
                "length": linked.length.to_dict(),
                **({"alike": linked.alike.to_dict()} if linked.alike else {}),
            }
        if self.inefficiency is not None:
            tables["inefficiency"] = self.inefficiency.to_dict()
        said = {name: getattr(self, name) for name in plain if getattr(self, name)}
        return {"kind": self.kind, **said, **tables}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], where: str) -> "Noise":
        """Build noise from a card's table; unknown keys raise CardError."""
        kind = str(content.get("kind"))
        _check_kind(where, kind)
        own = NOISES[kind]
        # Names are checked before values, so that a misspelt name is reported as such.
        refuse_unknown(content, {f.name for f in fields(cls)} - {"priors"} | set(own), where)
        given = {name: x for name, x in content.items() if name not in own and name != "kind"}
        if "growth" in given:
            table = _table(given["growth"], ("along",), ("exponent",), f"{where}.growth")
            given["growth"] = Heteroscedasticity(**table)
        if "checkpoints" in given:
            linked = given["checkpoints"]
            where_linked = f"{where}.checkpoints"
            stated = ("length", "alike") if "alike" in linked else ("length",)
            given["checkpoints"] = CheckpointCorrelation(
                **_table(linked, ("run", "along"), stated, where_linked)
            )
        if "inefficiency" in given:
            given["inefficiency"] = prior_from_dict(given["inefficiency"], f"{where}.inefficiency")
        priors = {
            name: prior_from_dict(content[name], f"{where}.{name}")
            for name in own
            if name in content
        }
        return cls(kind=kind, priors=priors, **given)

    def __str__(self) -> str:
        growth, linked = self.growth, self.checkpoints
        added = (
            f"scale growing with {growth.along}" if growth else "",
            f"checkpoints of one {linked.run} correlated along {linked.along}" if linked else "",
            "one-sided inefficiency" if self.inefficiency else "",
            f"standard errors in {self.standard_error}" if self.standard_error else "",
            f"rounded to {self.rounding}" if self.rounding else "",
            f"censored where {self.censored}" if self.censored else "",
        )
        return ", ".join(filter(None, (self.kind, *added)))


def _table(
    content: object, texts: tuple[str, ...], priors: tuple[str, ...], where: str
) -> dict[str, Any]:
    """Read a card's table of texts and priors."""
    keys = (*texts, *priors)
    if not isinstance(content, Mapping):
        raise CardError(f"{where}: found {quoted(content)}, expected a table of {', '.join(keys)}.")
    refuse_unknown(content, set(keys), where)
    missing = [key for key in keys if key not in content]
    if missing:
        raise CardError(f"{where}: {', '.join(missing)} missing; it takes {', '.join(keys)}.")
    return {**content, **{k: prior_from_dict(content[k], f"{where}.{k}") for k in priors}}


def _check_kind(where: str, kind: str) -> None:
    if kind not in NOISES:
        raise CardError(
            f"{where}: found kind {quoted(kind)}, expected {' or '.join(NOISES)}."
            + did_you_mean(kind, NOISES)
        )


def _check_text(name: str, value: object, *, empty: bool = False) -> None:
    if not isinstance(value, str) or not (value or empty):
        raise CardError(f"noise: found {name} = {quoted(value)}, expected the name of a column.")


def _check_prior(name: str, prior: object, *, positive: bool = False) -> None:
    expected = "a prior on a positive quantity" if positive else "a prior"
    check_prior(f"noise.{name}", prior, positive=positive, expected=expected)
