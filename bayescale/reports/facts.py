"""The content of a report, the same for every format."""

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd

from bayescale._version import __version__
from bayescale.allocation.result import Allocation
from bayescale.costs import Cluster
from bayescale.errors import BayescaleWarning, in_words
from bayescale.model.identifiability import count_distinct
from bayescale.plots.figures import DRAWS
from bayescale.posterior.average import ModelAverage
from bayescale.posterior.diagnostics import Diagnostics
from bayescale.posterior.fit import Fit
from bayescale.posterior.named_domains import with_domains
from bayescale.reports.answers import answer, compare_plans
from bayescale.reports.blocks import Caveat, Facts, Light, Pairs, Picture, Points, Section, Table
from bayescale.reports.budgets import along_budgets
from bayescale.reports.caveats import caveats_of
from bayescale.reports.figures import fit_figures, parameter_figures
from bayescale.reports.forecasts import Forecast, forecasts_of
from bayescale.reports.further import NO_FURTHER, Further
from bayescale.reports.mixtures import recommended_mixture
from bayescale.reports.next_steps import next_steps
from bayescale.reports.sections import (
    RECOMMENDED,
    allocation_section,
    alternatives_section,
    comparison_section,
    families_section,
    next_runs_section,
    rules_of,
    sensitivity_section,
    speedup_section,
    terms_of,
)
from bayescale.units import (
    format_amount_of,
    format_number,
    format_quantity,
    format_scientific,
    format_share,
    noun_of,
)

_COUNT_UNITS = {"parameters", "tokens", "steps"}
"""Units of counts, which are written with suffixes such as B if they are large."""

_LISTED_LEVELS = 8
"""Largest number of levels of a group effect that the diagnostics list one by one."""


def assemble_report(
    fit: Fit,
    plan: Allocation | None,
    prob: float,
    further: Further = NO_FURTHER,
    *,
    inputs: Mapping[str, object] | None = None,
    plans: Mapping[str, object] | None = None,
    cluster: Cluster | None = None,
) -> Facts:
    """Assemble the content of a report from a fit, its allocation and further analyses.

    A law that does not split a budget has no plan; its answers are predictions at `inputs`.
    """
    further.refuse_other_runs(fit.runs)
    comparison, next_runs, speedup = further.comparison, further.next_runs, further.speedup
    backtest, cuts = further.backtest, further.cuts
    diagnostics = (plan and plan.diagnostics) or fit.diagnostics
    thinned = fit.thin(DRAWS)
    compared = compare_plans(fit, plan, prob, plans, cluster) if plan else []
    forecasts: tuple[Forecast, ...] = ()
    if plan is None:
        forecasts = (*recommended_mixture(fit, prob), *forecasts_of(fit, inputs or {}, prob))
    columns = in_words(with_domains(noun_of(column), fit.runs) for column in fit.columns.values())
    sections = (
        allocation_section(thinned, plan, prob) if plan else None,
        alternatives_section(plan, compared) if plan else None,
        comparison_section(comparison, plan) if comparison else None,
        sensitivity_section(backtest, cuts, further.multiverse),
        families_section(thinned, plan, prob),
        speedup_section(speedup, prob) if speedup else None,
        _parameters(fit, prob),
        next_runs_section(next_runs) if next_runs else None,
        convergence_section(
            diagnostics, fit_figures(fit, thinned, plan, prob, curve=not forecasts)
        ),
        data_section(fit),
        _method(fit, plan),
        _provenance(fit),
    )
    return Facts(
        title=f"{fit.runs.name}: "
        + ("compute-optimal plans" if plan else f"{noun_of(fit.response)} against {columns}"),
        description=f"{fit.answering} {terms_of(plan) if plan else ''}".strip(),
        light=light_of(diagnostics),
        status=diagnostics.status,
        formula=fit.law.latex,
        answers=tuple(answer(plan, i, each, prob) for i, each in enumerate(compared))
        if plan
        else tuple(forecast.answer for forecast in forecasts),
        next_steps=next_steps(fit, plan, compared, diagnostics, next_runs, forecasts),
        caveats=tuple(
            [Caveat("runs", text) for each in (backtest, cuts) if each for text in each.caveats]
            + caveats_of(fit, plan, forecasts)
        ),
        budgets=along_budgets(fit, plan, prob) if plan else None,
        sections=tuple(section for section in sections if section is not None),
    )


def light_of(diagnostics: Diagnostics) -> Light:
    """Return red for failed checks, amber for remarks, and green otherwise."""
    if not diagnostics.ok:
        return "red"
    return "amber" if diagnostics.remarks else "green"


def _parameters(fit: Fit, prob: float) -> Section:
    with warnings.catch_warnings():
        # The head of the report states the failure.
        warnings.simplefilter("ignore", BayescaleWarning)
        summary = fit.summary(prob)
    units = {
        name: each.unit for name, each in {**fit.law.parameters, **fit.law.coordinates}.items()
    }

    def text(name: object, value: float, digits: int = 4) -> str:
        if units.get(str(name)) in _COUNT_UNITS:
            return format_quantity(str(name), value)
        return format_number(value, digits)

    rows = tuple(
        (
            str(name),
            str(row["meaning"]),
            text(name, row["median"]),
            f"[{text(name, row['lower'])}, {text(name, row['upper'])}]",
            text(name, row["sd"], 2),
        )
        for name, row in summary.iterrows()
    )
    table = Table(
        caption=f"Posterior: median and {format_share(prob)} equal-tailed interval",
        header=("quantity", "meaning", "median", "interval", "sd"),
        rows=rows,
        records=tuple(summary.rename_axis("quantity").reset_index().to_dict("records")),  # type: ignore[arg-type]
    )
    return Section(
        "parameters", "Parameters, elasticities first", (table, *parameter_figures(fit, prob))
    )


def convergence_section(diagnostics: Diagnostics, figures: Sequence[Picture] = ()) -> Section:
    """Return figures of the fit, messages of its checks, and the convergence of each quantity."""
    table = diagnostics.table
    rows = tuple(
        (str(name), f"{row['r_hat']:.4f}", f"{row['ess_bulk']:.0f}", f"{row['ess_tail']:.0f}")
        for name, row in _worst_of_many(table).iterrows()
    )
    convergence = Table(
        caption="Convergence of every reported quantity",
        header=("quantity", "R-hat", "effective samples, bulk", "effective samples, tail"),
        rows=rows,
        records=tuple(table.rename_axis("quantity").reset_index().to_dict("records")),  # type: ignore[arg-type]
    )
    messages = (Points(diagnostics.messages),) if diagnostics.messages else ()
    return Section("fit", "Fit and diagnostics", (*figures, *messages, convergence))


def _worst_of_many(table: pd.DataFrame) -> pd.DataFrame:
    """Return diagnostics with one row, of the worst values, for many levels of a group effect."""
    names = [str(quantity).split("[")[0] for quantity in table.index]
    counts = Counter(names)
    labels = [
        f"{name} (worst of {counts[name]})" if counts[name] > _LISTED_LEVELS else str(quantity)
        for name, quantity in zip(names, table.index, strict=True)
    ]
    worst = {name: "max" if name == "r_hat" else "min" for name in table.columns}
    return table.groupby(labels, sort=False).agg(worst)


def data_section(fit: Fit | ModelAverage) -> Section:
    """Return the description, source and known issues of the runs."""
    runs, card = fit.runs, fit.runs.card
    rows = [("runs", with_domains(runs.describe(), runs))]
    if "n_params" in fit.inputs:
        rows.append(("distinct sizes", str(count_distinct(fit.inputs["n_params"]))))
    rows += [("note", note) for note in runs.notes]
    if card:
        rows += [
            ("title", card.title),
            *(("citation", citation) for citation in card.citation),
            ("source", card.source),
            ("licence", card.licence),
            *((f"counting of {name}", rule) for name, rule in card.counting.items()),
        ]
    issues = card.known_issues if card else ()
    known = (Points(issues, "Known issues of these runs"),) if issues else ()
    return Section("data", "Data", (Pairs(tuple(rows)), *known))


def _method(fit: Fit, plan: Allocation | None) -> Section:
    law, scale, model = fit.law, fit.scale, fit.model
    rows = [
        ("model card", f"{model.id}: {model.title}"),
        ("law", f"{law.name}: {law.title}"),
        ("formula (TeX)", law.latex),
        *(("law source", source) for source in law.sources),
        *(("reference", reference) for reference in model.references),
        ("noise", f"{model.noise} on log {law.response}"),
    ]
    if discrepancy := model.discrepancy:
        axes = " and ".join(discrepancy.axes)
        rows.append(("discrepancy", f"a local linear trend of ln {law.response} along {axes}"))
    rows += [("pooling", f"{p.of} by {p.over}: {p.kind}") for p in model.pooling]
    point = ", ".join(format_amount_of(c, scale.reference[n]) for n, c in fit.columns.items())
    if law.scale_free:
        centre = (
            ""
            if set(law.inputs) == set(law.fixed_reference)
            else ", the geometric centre of the runs"
        )
        rows.append(("reference point", f"{with_domains(point, fit.runs)}{centre}"))
    else:
        rows.append(("reference point", "none: priors are on the parameters themselves"))
    if plan is not None:
        rows += [
            *rules_of(plan),
            RECOMMENDED,
            (
                "loss",
                "one of three: at optimum, the law's value where each draw has its own optimum; "
                "of plan, the law's value at the one plan recommended; of a run, that of one "
                "new run of the plan, with the noise of runs",
            ),
        ]
    else:
        rows.append(
            (
                fit.response,
                "one of two: the law's value, and that of one new run, with the noise of runs",
            )
        )
    priors = Table(
        caption="Priors, with their reasons",
        header=("quantity", "prior", "why"),
        rows=tuple((name, str(prior), prior.why) for name, prior in model.stated_priors.items()),
    )
    return Section("method", "Method", (Pairs(tuple(rows)), priors))


def _provenance(fit: Fit) -> Section:
    sampler = fit.provenance["sampler"]
    rows = (
        ("bayescale", __version__),
        ("sampler", ", ".join(f"{key} {value}" for key, value in sampler.items())),
        ("gradient evaluations", format_scientific(float(fit.sample_stats["n_steps"].sum()), 3)),
        ("fingerprint of the runs", str(fit.provenance["fingerprint"])),
        (
            "versions",
            ", ".join(f"{name} {number}" for name, number in fit.provenance["versions"].items()),
        ),
    )
    return Section("provenance", "Provenance", (Pairs(rows),))
