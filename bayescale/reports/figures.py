"""The figures of a report, drawn with fewer draws than its numbers are computed from."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from bayescale import plots
from bayescale.allocation.result import Allocation
from bayescale.plots._pairs import correlated_pairs
from bayescale.plots._parameters import shown_quantities
from bayescale.posterior.fit import Fit
from bayescale.posterior.protocol import Posterior
from bayescale.reports.blocks import Picture
from bayescale.units import format_share

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH = 5.2
"""Width of figures in inches. All are scaled to the same column, so text has the same size."""


def on_axes(draw: Callable[["Axes"], object]) -> Callable[["Figure"], object]:
    """Return a function that draws on a figure from one that draws on Axes."""
    return lambda figure: draw(figure.subplots())


def allocation_figures(thinned: Posterior, plan: Allocation, prob: float) -> tuple[Picture, ...]:
    """Return figures of the frontier, the size and the tokens per parameter against compute.

    Empty if budgets are not in compute, the horizontal axis of these figures.
    """
    if plan.cost.unit != "FLOP":
        return ()
    budgets, has_draws = plan.budgets, not plan.source.is_point
    optimum = (
        f" with the {format_share(prob)} band of the law's optimum and the wider band of a new "
        "run; the range of the runs is shaded and"
        if has_draws
        else " at the law's optimum;"
    )
    bands = " with 50 and 90 % bands" if has_draws else ""
    return (
        Picture(
            caption="The least loss that a budget can buy",
            description=f"Loss against compute{optimum} the requested budgets are marked.",
            draw=on_axes(lambda ax: plots.frontier(thinned, budgets, prob, ax, **plan.terms)),
        ),
        Picture(
            caption="Compute-optimal size against budget, with published laws",
            description=f"Compute-optimal parameters against compute{bands}, and lines for the "
            "published laws of Hoffmann, Besiroglu and Kaplan.",
            draw=on_axes(lambda ax: plots.optimal_size(thinned, budgets, ax, **plan.terms)),
        ),
        Picture(
            caption="Compute-optimal tokens per parameter, with published laws",
            description=f"Tokens per parameter at the optimum against compute{bands}, and lines "
            "for published laws.",
            draw=on_axes(lambda ax: plots.tokens_per_param(thinned, budgets, ax, **plan.terms)),
        ),
    )


def fit_figures(
    fit: Fit, thinned: Fit, plan: Allocation | None, prob: float, *, curve: bool = True
) -> tuple[Picture, ...]:
    """Return the law with its runs, over budgets or (`curve`) its one input, and the residuals."""
    share, pictures = format_share(prob), []
    if curve and len(fit.columns) == 1:
        pictures.append(
            Picture(
                caption="The law through its runs",
                description=f"The {fit.response} of the runs against their one input, with the "
                f"median of the law, its {share} band, and the wider band of one new run.",
                draw=on_axes(lambda ax: plots.curve(thinned, prob, ax)),
            )
        )
    if plan is not None and "compute" in fit.runs.table and fit.law.takes_size_and_tokens:
        pictures.append(
            Picture(
                caption="Loss against size at fixed budgets inside the data",
                description=f"Curves of loss against parameters for up to four budgets, with "
                f"{share} bands, the runs made near each budget, and the interval and density "
                "of the compute-optimal size below each.",
                draw=on_axes(lambda ax: plots.isoflop(thinned, prob=prob, ax=ax, fixed=plan.fixed)),
            )
        )
    if len(fit.columns) <= 2:
        inputs = " and ".join(fit.columns.values())
        pictures.append(
            Picture(
                caption="Residuals of the law: red, the loss is higher than the law predicts; "
                "blue, lower"
                if len(fit.columns) == 2
                else "Residuals of the law: the share by which each run lies above or below it",
                description=f"A map over {inputs} of the runs, each coloured by the share by which "
                f"its {fit.response} lies above the law, in red, or below it, in blue."
                if len(fit.columns) == 2
                else f"The runs along {inputs}: by what share the {fit.response} of each lies "
                "above the law, or below it.",
                draw=on_axes(lambda ax: plots.residuals(thinned, ax)),
            )
        )
    return tuple(pictures)


def parameter_figures(fit: Fit, prob: float) -> tuple[Picture, ...]:
    """Return posterior and prior densities of parameters, and the joint posterior of two pairs."""
    share, names = format_share(prob), shown_quantities(fit)
    n_columns = min(2, len(names))
    n_rows = -(-len(names) // n_columns)
    pictures = [
        Picture(
            caption="Elasticities and exponents: posterior, and prior as an outline",
            description=f"Histograms of posterior draws of {', '.join(names)}, each with its "
            f"{share} interval, and the density of its prior as an outline.",
            draw=lambda figure: plots.parameters(
                fit, prob, figure.subplots(n_rows, n_columns, squeeze=False)
            ),
            size=(_WIDTH, 0.8 + 1.7 * n_rows),
        )
    ]
    if len(fit.law.parameters) > 1:
        pairs = correlated_pairs(fit)
        listed = "; ".join(f"{one} against {other}" for one, other in pairs)
        pictures.append(
            Picture(
                caption="Pairs of parameters, draw by draw. Where a correlation is near 1 or -1, "
                "the runs determine a combination of the two better than each alone",
                description=f"Clouds of posterior draws with their correlations: {listed}.",
                draw=lambda figure: plots.pairs(
                    fit, pairs, figure.subplots(1, len(pairs), squeeze=False)
                ),
                size=(_WIDTH if len(pairs) == 1 else 6.4, 3.2),
                raster=True,
            )
        )
    return tuple(pictures)
