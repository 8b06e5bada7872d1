"""The content of a report of published constants: answers without intervals, and their source."""

from collections.abc import Mapping, Sequence

from bayescale._version import __version__
from bayescale.allocation.result import TEXT_COLUMNS, Allocation
from bayescale.costs import Cluster
from bayescale.errors import in_words
from bayescale.posterior.point import PointPosterior
from bayescale.posterior.predict import predict
from bayescale.reports.answers import PlanComparison, compare_plans, picture_of
from bayescale.reports.blocks import Answer, Caveat, Facts, Pairs, Section, Table
from bayescale.reports.further import NO_FURTHER, Further
from bayescale.reports.sections import (
    allocation_section,
    alternatives_section,
    rules_of,
    terms_of,
)
from bayescale.units import (
    format_amount_of,
    format_count,
    format_number,
    format_share,
)

STATUS = "Published constants are single numbers: they have no draws, no intervals and no gates."

_LABELS = {"n_opt": "N", "d_opt": "D", "tokens_per_param": "D/N", "loss_plan": "loss"}
"""Quantities of a plan in an answer, with their labels."""

_STYLES = dict(TEXT_COLUMNS.values())


def assemble_constants_report(
    source: PointPosterior,
    plan: Allocation | None,
    prob: float,
    further: Further = NO_FURTHER,  # Always empty: constants have no runs to analyse.
    *,
    inputs: Mapping[str, object] | None = None,
    plans: Mapping[str, object] | None = None,
    cluster: Cluster | None = None,
) -> Facts:
    """Assemble the content of a report of published constants, and of their allocation, if any."""
    constants = source.constants
    compared = compare_plans(source, plan, prob, plans, cluster) if plan else []
    columns = in_words(source.columns.values())
    sections = (
        allocation_section(source, plan, prob) if plan else None,
        alternatives_section(plan, compared) if plan else None,
        _constants(source),
        _method(source, plan),
        Section("provenance", "Provenance", (Pairs((("bayescale", __version__),)),)),
    )
    return Facts(
        title=f"{constants.name}: "
        + ("compute-optimal plans" if plan else f"{source.response} against {columns}"),
        description=f"{source.description} {terms_of(plan) if plan else ''}".strip(),
        light="amber",
        is_judged=False,
        status=STATUS,
        formula=source.law.latex,
        answers=tuple(_plan(plan, i, each) for i, each in enumerate(compared))
        if plan
        else tuple(_predictions(source, inputs or {})),
        next_steps=_next_steps(plan, compared),
        caveats=tuple(_caveats(source, plan)),
        budgets=None,
        sections=tuple(section for section in sections if section is not None),
    )


def _plan(plan: Allocation, position: int, compared: PlanComparison) -> Answer:
    """Return the answer for one budget."""
    row, budget = plan.recommended.iloc[position], float(plan.budgets[position])
    draws = plan.draws.isel(budget=position)
    values = {name: float(draws[name].squeeze()) for name in _LABELS}
    text = plan.text_budget(budget)
    size, tokens = float(row["n_params"]), float(row["n_tokens"])
    return Answer(
        question=f"With {text}, train",
        plan=f"{format_count(size)} parameters on {format_count(tokens)} tokens",
        intervals=Table(
            caption=f"Optimum and loss with {text}",
            header=("quantity", "value"),
            rows=tuple((label, _STYLES[name](values[name])) for name, label in _LABELS.items()),
        ),
        rows=tuple(compared.cost_of_error()),
        picture=picture_of(compared, text),
        record={
            "budget": budget,
            "unit": plan.cost.unit,
            "n_params": size,
            "n_tokens": tokens,
            **values,
        },
    )


def _predictions(source: PointPosterior, inputs: Mapping[str, object]) -> Sequence[Answer]:
    """Return the answer at each given point of a law that splits no budget."""
    if not inputs:
        return ()
    draws, response = predict(source, inputs=inputs), source.response
    answers = []
    for position in range(draws.sizes["plan"]):
        at = {column: float(draws[column][position]) for column in source.columns.values()}
        where = ", ".join(format_amount_of(column, value) for column, value in at.items())
        value = float(draws[response].isel(plan=position).squeeze())
        text = format_count(value) if value >= 1e4 else format_number(value, 4)
        answers.append(
            Answer(
                question=f"At {where}, expect",
                plan=f"{response} of {text}",
                intervals=Table(
                    caption=f"{response.capitalize()} at {where}",
                    header=("quantity", "value"),
                    rows=((response, text),),
                ),
                rows=(),
                record={**at, response: value},
            )
        )
    return answers


def _constants(source: PointPosterior) -> Section:
    law, values = source.law, source.constants.parameters
    rows = tuple(
        (name, law.parameters[name].meaning, format_number(value, 4))
        for name, value in values.items()
    )
    return Section(
        "parameters",
        "Constants",
        (
            Table(
                caption=f"The constants of {source.constants.citation}",
                header=("quantity", "meaning", "value"),
                rows=rows,
                records=tuple({"quantity": n, "value": float(x)} for n, x in values.items()),
            ),
        ),
    )


def _method(source: PointPosterior, plan: Allocation | None) -> Section:
    law, constants = source.law, source.constants
    rows = [
        ("constants", constants.source),
        *((("note", constants.note),) if constants.note else ()),
        ("law", f"{law.name}: {law.title}"),
        ("formula (TeX)", law.latex),
        *(("law source", cited) for cited in law.sources),
    ]
    if plan is not None:
        rows += [
            *rules_of(plan),
            ("recommended plan", "the size of least loss for the budget under these constants"),
        ]
    return Section("method", "Method", (Pairs(tuple(rows)),))


def _caveats(source: PointPosterior, plan: Allocation | None) -> Sequence[Caveat]:
    note, law = source.constants.note, source.law
    of_source = [Caveat("data", f"Of the source: {note}.")] if note else []
    sentences = plan.caveats if plan else filter(None, [law.caveat])
    return [
        *(Caveat("law", sentence) for sentence in sentences),
        Caveat(
            "law",
            "The constants hold for the data, tokeniser and recipe of their paper, and do not "
            'include their uncertainty: "bayescale published" lists those of other papers, and '
            '"bayescale plan" fits runs of your own.',
        ),
        *of_source,
    ]


def _next_steps(plan: Allocation | None, compared: Sequence[PlanComparison]) -> tuple[str, ...]:
    """Return the range of near-optimal sizes of each budget, for a choice by other criteria."""
    if plan is None:
        return ()
    found = []
    for budget, each in zip(plan.budgets, compared, strict=True):
        within, band = list(each.decision.bands.iterrows())[-1]
        found.append(
            f"At {plan.text_budget(float(budget))} any size from {format_count(band['lower'])} to "
            f"{format_count(band['upper'])} loses at most {format_share(float(within))} of the "  # type: ignore[arg-type]
            "budget under these constants: choose within it by what else matters."
        )
    return tuple(found)
