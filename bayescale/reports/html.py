"""One self-contained HTML page: no script, no external request, figures inline."""

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bayescale.allocation import allocate
from bayescale.atomic import whole_file
from bayescale.costs import Cost, six_nd
from bayescale.posterior import Fit
from bayescale.reports.facts import gather
from bayescale.units import format_share
from bayescale.windows import RisingCuts


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A drawn figure, as the page needs it."""

    source: str
    caption: str
    description: str


def report(
    fit: Fit,
    path: str | Path,
    *,
    compute: object,
    prob: float = 0.9,
    cost: Cost = six_nd,
    cuts: RisingCuts | None = None,
) -> Path:
    """Write the posterior report of a fit as one HTML file.

    Parameters
    ----------
    fit
        A posterior. If it failed its gates, the page says so before anything else.
    path
        The file to write; it appears complete or not at all.
    compute
        The budgets the report is about.
    prob
        Probability inside the intervals.
    cost
        The rule of compute.
    cuts
        What `bayescale.rising_cuts` found of the same runs: the page then says whether the
        answer moves with the runs.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    AmountError
        If a budget is not a positive amount.
    RunsError
        If the cuts are of other runs than the fit.
    OSError
        If the file cannot be written; an older file then stays as it was.

    Examples
    --------
    >>> import bayescale as bs
    >>> fit = bs.fit("chinchilla", "chinchilla", seed=1, progress=False)
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     page = bs.report(fit, f"{folder}/report.html", compute="5.76e23")
    ...     page.read_text().startswith("<!doctype html>")
    True
    """
    from jinja2 import Environment, PackageLoader

    plan = allocate(fit, compute=compute, cost=cost)
    # Everything is escaped, names in users' files included.
    environment = Environment(
        loader=PackageLoader("bayescale", "reports"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.jinja").render(
        facts=gather(fit, plan, prob, cuts),
        formula=_formula(fit.law.latex),
        figures=_figures(fit, plan.compute, prob, cost),
    )
    with whole_file(path) as part:
        part.write_text(page, encoding="utf-8")
    return Path(path)


def _figures(fit: Fit, compute: np.ndarray, prob: float, cost: Cost) -> list[Figure]:
    from bayescale import plots

    share = format_share(prob)
    return [
        Figure(
            source=_draw(lambda ax: plots.isoflop(fit, prob=prob, ax=ax, cost=cost)),
            caption="Loss against size at fixed budgets inside the data",
            description=f"Curves of loss against parameters for up to four budgets, with {share} "
            "bands, the runs made near each budget, and a black bar for the interval of the "
            "compute-optimal size.",
        ),
        Figure(
            source=_draw(lambda ax: plots.frontier(fit, compute, prob, ax, cost)),
            caption="The least loss that a budget can buy",
            description=f"Loss against compute with the {share} band of the law's optimum and the "
            "wider band of a new run; the range of the runs is shaded and the asked budgets are "
            "marked.",
        ),
        Figure(
            source=_draw(lambda ax: plots.optimal_size(fit, compute, ax, cost=cost)),
            caption="Compute-optimal size against budget, with published laws",
            description="Compute-optimal parameters against compute with 50 and 90 % bands, and "
            "lines for the published laws of Hoffmann, Besiroglu and Kaplan.",
        ),
        Figure(
            source=_draw(lambda axes: plots.parameters(fit, prob, axes), rows=2, columns=3),
            caption="Elasticities and exponents: posterior, and prior as an outline",
            description="Six histograms of posterior draws: the elasticities in size and data, "
            f"the exponents, and the exponents of the frontier, each with its {share} interval.",
        ),
    ]


def _draw(draw: Callable[..., object], rows: int = 1, columns: int = 1) -> str:
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(6.4, 4.2), layout="constrained")
    draw(canvas.subplots(rows, columns))
    return _inline(canvas)


def _formula(latex: str) -> str:
    """Return a formula as an inline picture; empty if it cannot be typeset."""
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(6.4, 1.0))
    canvas.text(0.0, 0.5, f"${latex}$", fontsize=15, parse_math=True)
    try:
        return _inline(canvas, bbox_inches="tight", pad_inches=0.08)
    except ValueError:
        # A symbol of a user's own law that is not TeX; the text of the formula is there anyway.
        return ""


def _inline(canvas: object, **options: object) -> str:
    from matplotlib import rc_context

    text = io.BytesIO()
    # A fixed salt and no date make the same fit give the same bytes.
    with rc_context({"svg.hashsalt": "bayescale"}):
        canvas.savefig(text, format="svg", metadata={"Date": None}, **options)  # type: ignore[attr-defined]
    return "data:image/svg+xml;base64," + base64.b64encode(text.getvalue()).decode("ascii")
