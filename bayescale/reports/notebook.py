"""HTML representation of fits and results in notebooks: the answer, its table and its figure.

It needs no server. Text and lines of figures have the colour of the surrounding text, for light
and dark themes.
"""

import io
import re
import warnings
from collections.abc import Iterable
from functools import singledispatch
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from bayescale.allocation.allocate import allocate
from bayescale.allocation.plans import largest_compute
from bayescale.costs import six_nd
from bayescale.errors import BayescaleError, BayescaleWarning
from bayescale.plots.figures import DRAWS, draw
from bayescale.posterior.average import ModelAverage
from bayescale.posterior.fit import Fit
from bayescale.posterior.predict import predict
from bayescale.posterior.result import Result
from bayescale.posterior.shown import Shown
from bayescale.posterior.summary import tail_quantiles
from bayescale.units import format_amount_of, format_budget, format_number, format_share

PROB = 0.9
"""Probability of the intervals that are shown."""

AHEAD = 10.0
"""Compute, or input, of the prediction that is shown, as a multiple of the largest run."""

_FEW_ROWS, _MANY_COLUMNS = 4, 5
"""A table is transposed if it has at most this many rows and more than this many columns."""

_SIZE = (5.6, 3.9)
_INK = "#123456"
"""Placeholder colour of axes and text in figures, replaced by that of the notebook."""

_STYLE = """
.bayescale{max-width:60em;line-height:1.45}
.bayescale p{margin:.35em 0}
.bayescale ul{margin:.35em 0;padding-left:1.4em}
.bayescale .failed{border-left:4px solid #D55E00;padding-left:.6em;font-weight:bold}
.bayescale .quiet{opacity:.75}
.bayescale table{border-collapse:collapse;margin:.6em 0;font-size:.92em;color:inherit}
.bayescale th,.bayescale td{padding:.2em .7em;text-align:left;border:0;background:none;
color:inherit;white-space:nowrap}
.bayescale td.words{white-space:normal;min-width:12em}
.bayescale thead th{border-bottom:1px solid currentColor}
.bayescale .wide{overflow-x:auto}
.bayescale svg{max-width:100%;height:auto}
"""


def page_of(shown: Shown) -> str:
    """Return a fit, an average of laws or a result as HTML."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)  # The first line states the failure.
        parts = [*_text_parts(shown), _figure(shown, **_figure_options(shown))]
    return f'<div class="bayescale"><style>{_STYLE}</style>{"".join(parts)}</div>'


@singledispatch
def _figure_options(shown: object) -> dict[str, Any]:
    """Return the options of a figure: for a fit, the budget of the plan that is shown."""
    return {}


@_figure_options.register
def _budget_option(fit: Fit | ModelAverage) -> dict[str, Any]:
    if fit.diagnostics.ok and _splits(fit):
        return {"budget": np.array([_budget_ahead(fit)])}
    return {}


def _splits(fit: Fit | ModelAverage) -> bool:
    """Return whether a law splits a budget without further inputs."""
    return fit.law.splits_compute and set(fit.law.inputs) <= {"n_params", "n_tokens"}


def _budget_ahead(fit: Fit | ModelAverage) -> float:
    return AHEAD * largest_compute(fit, six_nd)


@singledispatch
def _text_parts(shown: Shown) -> Iterable[str]:
    """Yield the parts of a page except its figure."""
    raise NotImplementedError(f"found a {type(shown).__name__}, which has no page")


@_text_parts.register
def _of_result(found: Result) -> Iterable[str]:
    """Yield the parts of a result, in the order in which they are printed."""
    yield _paragraph(found.opening, "failed")
    yield from map(_paragraph, found.sentences)
    yield _points(found.caveats)
    yield _table(found.text_table())
    yield _paragraph(found.closing, "quiet")


@_text_parts.register
def _of_fit(fit: Fit) -> Iterable[str]:
    """Yield the diagnostics of a fit, its law and runs, a plan or prediction, and parameters."""
    diagnostics = fit.diagnostics
    yield _paragraph(diagnostics.status, "" if diagnostics.ok else "failed")
    yield _paragraph(
        f"{_capitalised(fit.law.title)} ({fit.law.name} law). "
        f"Card {fit.model.id}: {fit.model.title}."
    )
    yield _paragraph(f"Fitted to {fit.runs.describe()}.")
    if diagnostics.ok:
        yield from _ahead(fit)
    else:
        yield _paragraph("No plan is shown, since a gate failed.")
    yield _parameters(fit)


@_text_parts.register
def _of_average(average: ModelAverage) -> Iterable[str]:
    """Yield the diagnostics of an average, its laws and its runs, and a plan or a prediction."""
    diagnostics = average.diagnostics
    yield _paragraph(diagnostics.status, "" if diagnostics.ok else "failed")
    yield _paragraph(average.description)
    yield _paragraph(f"Fitted to {average.runs.describe()}.")
    if diagnostics.ok:
        yield from _ahead(average)


def _ahead(fit: Fit | ModelAverage) -> Iterable[str]:
    """Yield the plan at ten times the largest run, or the prediction of a law of one input."""
    thinned = fit.thin(2 * DRAWS)
    times = f"{AHEAD:g} times the largest run"
    try:
        if _splits(fit):
            budget = _budget_ahead(fit)
            plan = allocate(thinned, budget=budget)
            yield _paragraph(f"The plan for {format_budget(budget, 'FLOP')}, {times}:")
            yield _table(plan.text_table(PROB))
            yield _points(plan.caveats)
        elif len(fit.columns) == 1:
            ((name, column),) = fit.columns.items()
            amount = AHEAD * float(fit.inputs[name].max())
            draws = predict(thinned, inputs={column: [amount]})[f"{fit.response}_run"]
            low, middle, high = np.quantile(draws.to_numpy(), tail_quantiles(PROB))
            yield _paragraph(
                f"At {format_amount_of(column, amount)}, {times}, expect a {fit.response} of "
                f"{format_number(middle, 4)} [{format_number(low, 4)}, {format_number(high, 4)}] "
                f"({format_share(PROB)} predictive interval of one run)."
            )
    except BayescaleError as error:
        yield _paragraph(f"No plan at {times}: {error}")


def _parameters(fit: Fit) -> str:
    """Return a table of the parameters, their meaning first."""
    rows = [
        {
            "meaning": row["meaning"],
            "quantity": str(name),
            "median": format_number(row["median"], 4),
            f"{format_share(PROB)} interval": f"[{format_number(row['lower'], 4)}, "
            f"{format_number(row['upper'], 4)}]",
        }
        for name, row in fit.summary(PROB).iterrows()
    ]
    return _table(pd.DataFrame(rows).set_index("meaning"))


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def _paragraph(text: str, kind: str = "") -> str:
    attribute = f' class="{kind}"' if kind else ""
    return "".join(f"<p{attribute}>{escape(line)}</p>" for line in text.split("\n") if line)


def _points(sentences: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(text)}</li>" for text in sentences)
    return f"<ul>{items}</ul>" if items else ""


def _table(text: pd.DataFrame) -> str:
    """Return a table of text as HTML, transposed if it has few rows and many columns, as of plans.

    Cells of many words wrap, and numbers do not.
    """
    if len(text) <= _FEW_ROWS and len(text.columns) > _MANY_COLUMNS:
        text = text.T.rename_axis(index=str(text.index.name or ""))
    shown = text.reset_index()
    head = "".join(f'<th scope="col">{escape(str(name))}</th>' for name in shown.columns)
    rows = "".join(
        "<tr>" + "".join(map(_cell, row)) + "</tr>" for row in shown.itertuples(index=False)
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<div class="wide">{table}</div>'


def _cell(value: object) -> str:
    text = str(value)
    wraps = ' class="words"' if len(text) > 36 and "[" not in text else ""
    return f"<td{wraps}>{escape(text)}</td>"


def _figure(shown: object, **options: Any) -> str:
    """Return the figure as SVG within the page, in the colours of the notebook."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    ink = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    style: dict[str, Any] = dict.fromkeys(ink, _INK)
    style |= {"axes.facecolor": "none", "figure.facecolor": "none", "legend.facecolor": "none"}
    content = io.StringIO()
    with rc_context({**style, "svg.hashsalt": "bayescale"}):  # type: ignore[dict-item]
        figure = Figure(figsize=_SIZE, layout="constrained")
        try:
            draw(shown, figure.subplots(), **options)
        except (BayescaleError, ValueError) as error:
            return _paragraph(f"No figure: {error}", "quiet")
        figure.savefig(content, format="svg", metadata={"Date": None})
    svg = content.getvalue()
    svg = svg[svg.index("<svg") :]
    # Black, which is also the default colour in SVG, is replaced as well.
    svg = re.sub(rf"{_INK}|#000000|\bblack\b", "currentColor", svg)
    return svg.replace("<svg", '<svg role="img" fill="currentColor"', 1)
