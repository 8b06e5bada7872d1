"""report: write the report of a posterior; the suffix of the file sets the format."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from bayescale._io import whole_file
from bayescale._outputs import REPORT
from bayescale._progress import stages
from bayescale.allocation.allocate import allocate
from bayescale.allocation.speedup_result import Speedup
from bayescale.costs import Cluster, Cost, as_cost, six_nd
from bayescale.costs.limits import NO_LIMITS, Limits
from bayescale.errors import AmountError, UnsuitableLawError, expect_mapping
from bayescale.experiment_design.result import NextRuns
from bayescale.posterior.average import ModelAverage
from bayescale.posterior.fit import Fit
from bayescale.posterior.point import PointPosterior, Source, as_posterior
from bayescale.posterior.protocol import Posterior
from bayescale.reports.average import assemble_average_report
from bayescale.reports.blocks import Facts
from bayescale.reports.constants import assemble_constants_report
from bayescale.reports.extras import Extras
from bayescale.reports.facts import assemble_report
from bayescale.reports.further import NO_FURTHER, Further
from bayescale.sensitivity.expanding_window import ExpandingWindow
from bayescale.sensitivity.multiverse import Multiverse
from bayescale.validation.backtest import Backtest
from bayescale.validation.result import Comparison


def _html(facts: Facts) -> str:
    from bayescale.reports.html import page_of

    return page_of(facts)


def _markdown(facts: Facts) -> str:
    from bayescale.reports.markdown import markdown_of

    return markdown_of(facts)


def _json(facts: Facts) -> str:
    from bayescale.reports.json_record import json_of

    return json_of(facts)


FORMS: Mapping[str, Callable[[Facts], str]] = {
    ".html": _html,
    ".htm": _html,
    ".md": _markdown,
    ".markdown": _markdown,
    ".json": _json,
}


@dataclass(frozen=True)
class Kind:
    """A kind of report: its content for one class of posterior.

    Attributes
    ----------
    assemble
        Assembles its content.
    further
        The arguments for further analyses that it accepts.
    why, instead
        Why it accepts no other analyses, and what to do instead.
    """

    assemble: Callable[..., Facts]
    further: frozenset[str]
    why: str = ""
    instead: str = ""

    def refuse_others(self, source: Posterior, **given: object) -> None:
        """Raise UnsuitableLawError for the first analysis that the posterior cannot have."""
        for name, value in given.items():
            if value is not None and name not in self.further:
                why = self.why.format(source=source)
                raise UnsuitableLawError(
                    f"{name}: found {why}. Leave {name} out, or {self.instead}."
                )


KINDS: Mapping[type, Kind] = {
    Fit: Kind(assemble_report, frozenset(vars(NO_FURTHER)) | {"full"}),
    ModelAverage: Kind(
        assemble_average_report,
        frozenset({"comparison", "next_runs"}),
        "an average of laws, which is not refitted as one model",
        "report each fit",
    ),
    PointPosterior: Kind(
        assemble_constants_report,
        frozenset(),
        "{source.constants.name}, published constants, which have no runs to refit, compare or "
        "add to",
        "report a fit",
    ),
}
"""The reports, by the class of the posterior."""


def report(
    fit: Source,
    path: str | Path,
    *,
    budget: object = None,
    inputs: Mapping[str, object] | None = None,
    prob: float = 0.9,
    cost: Cost | Callable[[Any, Any], Any] = six_nd,
    fixed: Mapping[str, object] | None = None,
    limits: Limits = NO_LIMITS,
    plans: Mapping[str, object] | None = None,
    cluster: Cluster | None = None,
    comparison: Comparison | None = None,
    backtest: Backtest | None = None,
    cuts: ExpandingWindow | None = None,
    multiverse: Multiverse | None = None,
    next_runs: NextRuns | None = None,
    speedup: Speedup | None = None,
    full: bool = False,
    progress: bool = True,
) -> Path:
    """Write the report of a posterior, or of published constants, as HTML, Markdown or JSON.

    Parameters
    ----------
    fit
        A fit, an average of laws (`bayescale.model_average`), or published constants. If a fit
        failed its gates, the report starts with that; a report of constants has no intervals, and
        includes the note of their source.
    path
        The file to write, atomically. ``.html`` is one self-contained page with a slider of the
        budget, ``.md`` Markdown without figures, and ``.json`` the numbers.
    budget
        Budgets, for a law that splits a budget between size and tokens. For a law of compute
        alone, the points of prediction.
    inputs
        Points of prediction of a law that does not split a budget, by column of the runs, as in
        `predict`: ``{"n_tokens": ["1T", "10T"]}``.
    prob
        Probability of the intervals; the report also has 50 % intervals.
    cost
        The cost that a budget pays for: training compute, training and serving, money, or a
        function of size and tokens.
    fixed, limits
        Values of the law's other inputs, and limits on plans, as in `allocate`.
    plans
        Plans to compare with the recommended one, as in `decide`:
        ``{"7B on 2T": ("7B", "2T")}``. The default is half and twice its size for the same budget.
    cluster
        The training cluster, for days, GPU-hours and money of plans.
    comparison
        Result of `bayescale.compare` on the same runs.
    backtest, cuts, multiverse
        Results of `bayescale.backtest`, `bayescale.expanding_window` and `bayescale.multiverse` on
        the same runs: the coverage of intervals on larger budgets, and whether the answer depends
        on the range of runs and on choices of the analysis.
    next_runs
        Result of `bayescale.next_runs`.
    speedup
        Result of `bayescale.speedup` of the fit, for recipes that are its levels.
    full
        Compute `comparison`, `backtest`, `cuts` and `next_runs` (two runs for the largest budget)
        if they are not given. These are dozens of fits, which take minutes.
    progress
        Show a progress bar on standard error.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    AmountError
        If a budget is not a positive amount or has no optimum, or a plan cannot be read.
    UnsuitableLawError
        If budgets are given for a law that does not split them, or inputs for one that does; if
        further results are given or requested with published constants, which have no runs.
    RunsError
        If a further result is of other runs than the fit.
    ValueError
        If the suffix of the file is unknown.
    OSError
        If the file cannot be written; an existing file is then unchanged.

    Notes
    -----
    The recommended plan is that of `allocate`: the median of N_opt, and the tokens that exhaust
    the budget. Regrets and probabilities are averages over at most 2,000 draws, and figures use
    500; intervals and gates use all draws.

    Examples
    --------
    >>> import bayescale as bs
    >>> fit = bs.fit("chinchilla", "chinchilla", seed=1, draws=500, progress=False)
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     text = bs.report(
    ...         fit, f"{folder}/report.md", budget="5.76e23", progress=False
    ...     ).read_text()
    >>> print(text.splitlines()[0])
    # chinchilla: compute-optimal plans

    Of the constants of a paper:

    >>> with TemporaryDirectory() as folder:
    ...     paper = bs.published("besiroglu2024")
    ...     text = bs.report(paper, f"{folder}/report.md", budget="1e22").read_text()
    >>> print(text.splitlines()[0])
    # besiroglu2024: compute-optimal plans
    """
    REPORT.check(path)
    write = FORMS[Path(path).suffix.lower()]
    # Arguments are parsed before the progress bar starts.
    plan, source = None, as_posterior(fit)
    if inputs is not None:
        expect_mapping(inputs, "inputs", "{'n_tokens': ['1T', '10T']}")
    further = Further(
        comparison=comparison,
        backtest=backtest,
        cuts=cuts,
        multiverse=multiverse,
        next_runs=next_runs,
        speedup=speedup,
    )
    if source.law.splits_compute:
        _refuse(source, "splits budgets: give budget, the amounts to be split", inputs=inputs)
        if budget is None:
            raise AmountError("budget: found none, expected one or more budgets to report on.")
        plan = allocate(source, budget=budget, cost=as_cost(cost), fixed=fixed, limits=limits)
    else:
        _refuse(
            source,
            f"is one of {source.response} in {', '.join(source.columns.values())}, which has no "
            "plans: give inputs, where it is to predict",
            fixed=fixed,
            plans=plans,
            cluster=cluster,
            **further.of_plans,
            limits=limits or None,
            cost=None if cost is six_nd else cost,
            budget=None if "compute" in source.columns.values() else budget,
        )
        inputs = {**({} if budget is None else {"compute": budget}), **(inputs or {})}
    kind = KINDS[type(source)]
    kind.refuse_others(source, **vars(further), full=full or None)
    if full:
        further = Extras(cast(Fit, source), plan, prob, cluster, progress).added_to(further)
    with stages(progress) as shown:
        shown.stage("comparing plans")
        facts = kind.assemble(
            source, plan, prob, further, inputs=inputs, plans=plans, cluster=cluster
        )
        shown.stage("drawing")
        text = write(facts)
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")
    return Path(path)


def _refuse(fit: Posterior, why: str, **given: object) -> None:
    """Raise UnsuitableLawError for the first argument that does not apply to a law."""
    for name, value in given.items():
        if value is not None:
            raise UnsuitableLawError(f"{name}: the law {fit.law.name} {why}.")
