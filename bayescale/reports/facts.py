"""What a report says, as plain data: texts, tables of text, and nothing of their looks."""

import warnings
from dataclasses import dataclass
from typing import Any

from bayescale._version import __version__
from bayescale.allocation import Plan
from bayescale.errors import BayescaleWarning, RunsError
from bayescale.identifiability import count_distinct, design_warnings
from bayescale.posterior import Fit
from bayescale.units import (
    format_compute,
    format_count,
    format_number,
    format_scientific,
    format_share,
)
from bayescale.windows import RisingCuts


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of text: a caption, a header, and rows whose first cell names the row."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The recommended plan for one budget, with its intervals."""

    budget: str
    n_params: str
    n_tokens: str
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything the report states."""

    title: str
    description: str
    passed: bool
    status: str
    formula: str
    answers: tuple[Answer, ...]
    caveats: tuple[str, ...]
    allocation: Table
    extrapolation: Table
    parameters: Table
    diagnostics: Table
    priors: Table
    data: tuple[tuple[str, str], ...]
    data_issues: tuple[str, ...]
    method: tuple[tuple[str, str], ...]
    provenance: tuple[tuple[str, str], ...]


def gather(fit: Fit, plan: Plan, prob: float, cuts: RisingCuts | None = None) -> Facts:
    """Gather the facts of a report from a fit and its allocation, and refits if there are any."""
    if cuts is not None and cuts.fingerprint != fit.runs.fingerprint:
        raise RunsError(
            f"cuts: found refits to other runs ({cuts.runs}) than those of the fit "
            f"({fit.runs.name}). Give what rising_cuts found of the fit's own runs."
        )
    moved = cuts.caveats if cuts is not None else ()
    diagnostics = plan.diagnostics or fit.diagnostics
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)  # the page says it at its head
        summary = fit.summary(prob)
    return Facts(
        title=f"{fit.runs.name}: compute-optimal plans",
        description=fit.description,
        passed=diagnostics.ok,
        status=diagnostics.status,
        formula=fit.law.latex,
        answers=_answers(plan, prob),
        caveats=moved
        + plan.caveats
        + design_warnings(fit.model, fit.runs)
        + _standing_caveats(fit),
        allocation=_allocation(plan, prob),
        extrapolation=_extrapolation(plan),
        parameters=_parameters(summary, prob),
        diagnostics=_diagnostics(diagnostics.table),
        priors=Table(
            caption="Priors, with their reasons",
            header=("quantity", "prior", "why"),
            rows=tuple(
                (name, str(prior), prior.why) for name, prior in fit.model.all_priors.items()
            ),
        ),
        data=_data(fit),
        data_issues=fit.runs.card.known_issues if fit.runs.card else (),
        method=_method(fit, plan),
        provenance=_provenance(fit),
    )


def _answers(plan: Plan, prob: float) -> tuple[Answer, ...]:
    wide, half = plan.text_table(prob), plan.text_table(0.5)
    recommended = plan.recommended
    return tuple(
        Answer(
            budget=str(budget),
            n_params=format_count(float(recommended["n_params"].iloc[i])),
            n_tokens=format_count(float(recommended["n_tokens"].iloc[i])),
            rows=tuple(
                (f"{name}, {format_share(share)}", str(table[column].iloc[i]))
                for name, column in (("N_opt", "N_opt"), ("D_opt", "D_opt (tokens)"))
                for share, table in ((0.5, half), (prob, wide))
            )
            + tuple(
                (column, str(wide[column].iloc[i]))
                for column in ("D/N", "loss at optimum", "loss of plan", "loss of next run")
            ),
        )
        for i, budget in enumerate(wide.index)
    )


def _allocation(plan: Plan, prob: float) -> Table:
    table = plan.text_table(prob)
    return Table(
        caption=f"Allocation: median and {format_share(prob)} equal-tailed interval",
        header=("budget", *map(str, table.columns)),
        rows=tuple(
            (str(index), *map(str, row))
            for index, row in zip(table.index, table.to_numpy(), strict=True)
        ),
    )


def _extrapolation(plan: Plan) -> Table:
    factors = plan.extrapolation
    return Table(
        caption="How many times the largest run each recommended plan is",
        header=("budget", "compute", "parameters", "tokens"),
        rows=tuple(
            (format_compute(float(c)), *(f"{format_number(float(f), 2)}x" for f in row))
            for c, row in zip(factors.index, factors.to_numpy(), strict=True)
        ),
    )


def _parameters(summary: Any, prob: float) -> Table:
    return Table(
        caption=f"Posterior: median and {format_share(prob)} equal-tailed interval",
        header=("quantity", "meaning", "median", "interval", "sd"),
        rows=tuple(
            (
                str(name),
                str(row["meaning"]),
                format_number(row["median"], 4),
                f"[{format_number(row['lower'], 4)}, {format_number(row['upper'], 4)}]",
                format_number(row["sd"], 2),
            )
            for name, row in summary.iterrows()
        ),
    )


def _diagnostics(table: Any) -> Table:
    return Table(
        caption="Convergence of every reported quantity",
        header=("quantity", "R-hat", "effective samples, bulk", "effective samples, tail"),
        rows=tuple(
            (str(name), f"{row['r_hat']:.4f}", f"{row['ess_bulk']:.0f}", f"{row['ess_tail']:.0f}")
            for name, row in table.iterrows()
        ),
    )


def _standing_caveats(fit: Fit) -> tuple[str, ...]:
    model = fit.model
    left_out = [
        *([] if model.discrepancy else ["that the law may bend"]),
        *(
            []
            if model.noise.checkpoints or model.effects
            else ["that runs of one size err together"]
        ),
    ]
    found = [
        *(
            [f"The intervals condition on the law; they do not include {', nor '.join(left_out)}."]
            if left_out
            else []
        ),
        "Loss is not capability, and the floor E is not the entropy of language: it depends on "
        "the tokeniser and the validation set.",
    ]
    if "seed" not in fit.runs.table:
        found.append("No repeats: the scatter between seeds is not told apart from lack of fit.")
    return tuple(found)


def _data(fit: Fit) -> tuple[tuple[str, str], ...]:
    runs, card = fit.runs, fit.runs.card
    rows = [
        ("runs", runs.describe()),
        ("distinct sizes", str(count_distinct(fit.inputs["n_params"]))),
        *(("note", note) for note in runs.notes),
    ]
    if card:
        rows += [
            ("title", card.title),
            *(("citation", citation) for citation in card.citation),
            ("source", card.source),
            ("licence", card.licence),
            *((f"counting of {name}", rule) for name, rule in card.counting.items()),
        ]
    return tuple(rows)


def _method(fit: Fit, plan: Plan) -> tuple[tuple[str, str], ...]:
    law, scale = fit.law, fit.scale
    return (
        ("model card", f"{fit.model.id}: {fit.model.title}"),
        ("law", f"{law.name}: {law.title}"),
        ("formula (TeX)", law.latex),
        *(("law source", source) for source in law.sources),
        *(("reference", reference) for reference in fit.model.references),
        ("noise", f"{fit.model.noise} on log {law.response}"),
        *(
            [("discrepancy", f"elasticities drift along {' and '.join(drift.axes)}")]
            if (drift := fit.model.discrepancy)
            else []
        ),
        *(
            ("pooling", f"{pooling.of} by {pooling.by}: {pooling.kind}")
            for pooling in fit.model.pooling
        ),
        (
            "reference point",
            f"N = {format_count(scale.reference['n_params'])}, "
            f"D = {format_count(scale.reference['n_tokens'])}, the "
            "geometric centre of the runs",
        ),
        ("compute rule", plan.cost.name),
        (
            "loss",
            "three are kept apart: at optimum, the law's value where each draw has its own "
            "optimum; of plan, the law's value at the one plan recommended; of next run, what "
            "one new run of that plan would show, with the scatter of runs",
        ),
    )


def _provenance(fit: Fit) -> tuple[tuple[str, str], ...]:
    sampler = fit.provenance["sampler"]
    return (
        ("bayescale", __version__),
        ("sampler", ", ".join(f"{key} {value}" for key, value in sampler.items())),
        ("gradient evaluations", format_scientific(float(fit.sample_stats["n_steps"].sum()), 3)),
        ("fingerprint of the runs", str(fit.provenance["fingerprint"])),
        (
            "versions",
            ", ".join(f"{name} {number}" for name, number in fit.provenance["versions"].items()),
        ),
    )
