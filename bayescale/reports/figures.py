"""The figures of a report, drawn with fewer draws than its numbers are computed from."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from bayescale import plots
from bayescale.allocation import Plan
from bayescale.posterior import Fit
from bayescale.reports.content import Picture
from bayescale.units import format_share

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DRAWS = 500
"""Draws behind a figure, in which every band is a curve for each draw at each of 80 budgets.

The ends of a 90 % band then wander by about three per cent of its width, which on these axes is a
line's width or two.
"""


def on_axes(draw: Callable[["Axes"], object]) -> Callable[["Figure"], object]:
    """Return what draws on a whole figure from what draws on one Axes."""
    return lambda figure: draw(figure.subplots())


def of_allocation(some: Fit, plan: Plan, prob: float) -> tuple[Picture, ...]:
    """Return the frontier, the fan of sizes and that of tokens per parameter.

    None where budgets are not compute, which is what these figures are against.
    """
    if plan.cost.unit != "FLOP":
        return ()
    share, compute = format_share(prob), plan.compute
    return (
        Picture(
            caption="The least loss that a budget can buy",
            description=f"Loss against compute with the {share} band of the law's optimum and the "
            "wider band of a new run; the range of the runs is shaded and the asked budgets are "
            "marked.",
            draw=on_axes(lambda ax: plots.frontier(some, compute, prob, ax, **plan.terms)),
        ),
        Picture(
            caption="Compute-optimal size against budget, with published laws",
            description="Compute-optimal parameters against compute with 50 and 90 % bands, and "
            "lines for the published laws of Hoffmann, Besiroglu and Kaplan.",
            draw=on_axes(lambda ax: plots.optimal_size(some, compute, ax, **plan.terms)),
        ),
        Picture(
            caption="Compute-optimal tokens per parameter, with published laws",
            description="Tokens per parameter at the optimum against compute with 50 and 90 % "
            "bands, and lines for published laws.",
            draw=on_axes(lambda ax: plots.tokens_per_param(some, compute, ax, **plan.terms)),
        ),
    )


def of_the_fit(fit: Fit, some: Fit, plan: Plan, prob: float) -> tuple[Picture, ...]:
    """Return how the law goes through the runs: along budgets, and what it misses."""
    share, found = format_share(prob), []
    if fit.response == "loss" and "compute" in fit.runs.table and fit.law.takes_size_and_tokens:
        found.append(
            Picture(
                caption="Loss against size at fixed budgets inside the data",
                description=f"Curves of loss against parameters for up to four budgets, with "
                f"{share} bands, the runs made near each budget, and the interval and density "
                "of the compute-optimal size below each.",
                draw=on_axes(lambda ax: plots.isoflop(some, prob=prob, ax=ax, fixed=plan.fixed)),
            )
        )
    if len(fit.columns) <= 2:
        found.append(
            Picture(
                caption="Where the law misses its runs",
                description="A map over parameters and tokens of the runs, each coloured by the "
                "share by which its loss lies above the law, in red, or below it, in blue.",
                draw=on_axes(lambda ax: plots.residuals(some, ax)),
            )
        )
    return tuple(found)


def of_parameters(fit: Fit, prob: float) -> tuple[Picture, ...]:
    """Return densities of parameters beside their priors, and the two telling correlations."""
    share = format_share(prob)
    return (
        Picture(
            caption="Elasticities and exponents: posterior, and prior as an outline",
            description="Histograms of posterior draws: the elasticities in size and data, the "
            f"exponents, and the exponents of the frontier, each with its {share} interval.",
            draw=lambda figure: plots.parameters(fit, prob, figure.subplots(3, 2)),
            size=(5.2, 5.6),
        ),
        Picture(
            caption="Pairs of parameters, draw by draw",
            description="Two clouds of posterior draws with their correlations: the two natural "
            "parameters that depend most on one another, a narrow ridge, and the two elasticities.",
            draw=lambda figure: plots.ridge(fit, axes=figure.subplots(1, _pairs(fit))),
            size=(6.4, 3.2),
            raster=True,
        ),
    )


def _pairs(fit: Fit) -> int:
    """Return how many pairs `bayescale.plots.ridge` has to show."""
    return 2 if len([name for name in fit.law.coordinates if name != fit.law.level]) > 1 else 1
