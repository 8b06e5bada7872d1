"""The content of a report of an average of laws: one decision, and the result of each law alone."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from bayescale._version import __version__
from bayescale.allocation.allocate import optima
from bayescale.allocation.result import Allocation
from bayescale.costs import Cluster
from bayescale.errors import in_words
from bayescale.plots.figures import DRAWS
from bayescale.posterior.average import ModelAverage
from bayescale.posterior.summary import tail_quantiles
from bayescale.reports.answers import answer, compare_plans
from bayescale.reports.blocks import Facts, Pairs, Section, Table, table_of
from bayescale.reports.budgets import along_budgets
from bayescale.reports.caveats import caveats_of_average
from bayescale.reports.facts import convergence_section, data_section, light_of
from bayescale.reports.forecasts import forecasts_of
from bayescale.reports.further import NO_FURTHER, Further
from bayescale.reports.next_steps import next_steps
from bayescale.reports.sections import (
    RECOMMENDED,
    allocation_section,
    alternatives_section,
    comparison_section,
    next_runs_section,
    rules_of,
    terms_of,
)
from bayescale.units import format_count, format_share


def assemble_average_report(
    average: ModelAverage,
    plan: Allocation | None,
    prob: float,
    further: Further = NO_FURTHER,
    *,
    inputs: Mapping[str, object] | None = None,
    plans: Mapping[str, object] | None = None,
    cluster: Cluster | None = None,
) -> Facts:
    """Assemble the content of a report of an average of laws, and of its allocation, if any."""
    further.refuse_other_runs(average.runs)
    comparison, next_runs = further.comparison, further.next_runs
    diagnostics = (plan and plan.diagnostics) or average.diagnostics
    compared = compare_plans(average, plan, prob, plans, cluster) if plan else []
    forecasts = forecasts_of(average, inputs or {}, prob) if plan is None else ()
    columns = in_words(average.columns.values())
    sections = (
        allocation_section(average.thin(DRAWS), plan, prob) if plan else None,
        alternatives_section(plan, compared) if plan else None,
        _laws(average, plan, prob),
        comparison_section(comparison, plan) if comparison else None,
        next_runs_section(next_runs) if next_runs else None,
        convergence_section(diagnostics),
        data_section(average),
        _method(average, plan),
        _provenance(average),
    )
    return Facts(
        title=f"{average.runs.name}: "
        + ("compute-optimal plans" if plan else f"{average.response} against {columns}"),
        description=f"{average.answering} {terms_of(plan) if plan else ''}".strip(),
        light=light_of(diagnostics),
        status=diagnostics.status,
        formula="",  # Each law has its own formula, in the section on the method.
        answers=tuple(answer(plan, i, each, prob) for i, each in enumerate(compared))
        if plan
        else tuple(forecast.answer for forecast in forecasts),
        next_steps=next_steps(average, plan, compared, diagnostics, next_runs, forecasts),
        caveats=tuple(caveats_of_average(average, plan, forecasts)),
        budgets=along_budgets(average, plan, prob) if plan else None,
        sections=tuple(section for section in sections if section is not None),
    )


def _laws(average: ModelAverage, plan: Allocation | None, prob: float) -> Section:
    """Return the weight of each law, and the optimum of each budget under it alone."""
    texts, numbers = [], []
    for name, fit in average.fits.items():
        weight = float(average.weights.get(name, 0.0))
        text = {"law": fit.law.name, "weight": format_share(weight, 3)}
        number: dict[str, object] = {"law": fit.law.name, "weight": weight}
        if plan is not None:
            n_opt = optima(fit, budget=plan.budgets, **plan.terms).draws["n_opt"].to_numpy()
            for position, budget in enumerate(plan.budgets):
                title = f"N_opt at {plan.text_budget(float(budget))}"
                finite = n_opt[..., position][np.isfinite(n_opt[..., position])]
                ends = np.quantile(finite, tail_quantiles(prob)) if len(finite) else [np.nan] * 3
                low, middle, high = map(format_count, ends)
                text[title] = f"{middle} [{low}, {high}]" if len(finite) else "no optimum"
                number |= {
                    f"{title}{end}": float(x)
                    for end, x in zip(("_lower", "", "_upper"), ends, strict=True)
                }
        status = "passed" if fit.diagnostics.ok else "failed its gates"
        texts.append({**text, "fit": status})
        numbers.append({**number, "ok": fit.diagnostics.ok})
    index = pd.Index(list(average.fits), name="model")
    return Section(
        "laws",
        "Laws and their weights",
        (
            table_of(
                pd.DataFrame(texts, index=index),
                "Each law alone"
                + (f": median and {format_share(prob)} equal-tailed interval" if plan else ""),
                pd.DataFrame(numbers, index=index),
            ),
        ),
    )


def _method(average: ModelAverage, plan: Allocation | None) -> Section:
    rows = [
        (
            "average",
            "draws of every law in proportion to its weight, so that intervals include the "
            "uncertainty about which law holds",
        ),
        *(
            (f"law {name}", f"{fit.law.title}; card {fit.model.id}: {fit.model.title}")
            for name, fit in average.parts.items()
        ),
        *((f"formula of {name} (TeX)", fit.law.latex) for name, fit in average.parts.items()),
    ]
    if plan is not None:
        rows += [*rules_of(plan), RECOMMENDED]
    priors = Table(
        caption="Priors of each law, with their reasons",
        header=("law", "quantity", "prior", "why"),
        rows=tuple(
            (name, quantity, str(prior), prior.why)
            for name, fit in average.parts.items()
            for quantity, prior in fit.model.stated_priors.items()
        ),
    )
    return Section("method", "Method", (Pairs(tuple(rows)), priors))


def _provenance(average: ModelAverage) -> Section:
    first = next(iter(average.parts.values()))
    rows = (
        ("bayescale", __version__),
        *(
            (
                f"sampler of {name}",
                ", ".join(f"{k} {v}" for k, v in fit.provenance["sampler"].items()),
            )
            for name, fit in average.parts.items()
        ),
        ("fingerprint of the runs", str(first.provenance["fingerprint"])),
    )
    return Section("provenance", "Provenance", (Pairs(rows),))
