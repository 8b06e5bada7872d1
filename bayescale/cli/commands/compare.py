"""``compare``: which laws the runs support, and the regret of planning by another law."""

import argparse
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayescale.cli.files import Reads, Writes
from bayescale.cli.numbers import positive_integer
from bayescale.cli.options import (
    add_prob,
    add_runs,
    add_seed,
    by_file_name,
    of_variable,
    runs_for_models,
    shows_progress,
)
from bayescale.cli.render import print_json, statements, table_records, table_text, without_warnings
from bayescale.cli.verbs import Verbs
from bayescale.units import format_compute, format_share

if TYPE_CHECKING:
    import pandas as pd

    from bayescale.decision.cross_regret import CrossRegret
    from bayescale.posterior.average import ModelAverage
    from bayescale.posterior.fit import Fit
    from bayescale.validation.result import Comparison

type Arguments = argparse.Namespace

BUDGET_MULTIPLE = 10.0
"""Default budget of the comparison, as a multiple of the compute of the largest run."""


def add(verbs: Verbs) -> None:
    """Add the command."""
    compare = verbs.add("compare", run, "Compare laws on the same runs.")
    compare.add_argument(
        "cards", nargs="+", type=Reads(), metavar="CARD", help="model cards, or saved fits"
    )
    add_runs(compare, "--runs")
    compare.add_argument(
        "--cut",
        action="append",
        metavar="AMOUNT",
        help="fit the runs below this scale and predict those above; repeatable",
    )
    compare.add_argument("--scale", metavar="COLUMN", help="column of the scale (compute)")
    compare.add_argument(
        "--leave-out", metavar="COLUMN", help="cross-validate over the groups of this column"
    )
    compare.add_argument(
        "--folds", type=positive_integer, default=10, help="folds of grouped cross-validation (10)"
    )
    compare.add_argument(
        "--draws", type=positive_integer, default=1000, help="posterior draws per chain (1000)"
    )
    compare.add_argument(
        "--refit-draws",
        type=positive_integer,
        default=500,
        help="posterior draws per chain of refits (500)",
    )
    add_seed(compare)
    compare.add_argument(
        "--budget",
        metavar="FLOP",
        help=f"budget for which to compare plans ({BUDGET_MULTIPLE:g} times the largest run)",
    )
    compare.add_argument(
        "--figures", type=Writes(None), metavar="FOLDER", help="folder for the figures"
    )
    add_prob(compare)


def run(options: Arguments) -> None:
    """Print the ranking of laws, and the plan under each."""
    from bayescale.units import parse_amounts
    from bayescale.validation.compare import compare

    if options.budget:
        parse_amounts(options.budget, "compute", "--budget")
    if options.figures is not None:
        options.figures.mkdir(parents=True, exist_ok=True)
    found = compare(
        *_fits_or_cards(options),
        cuts=options.cut,
        scale=options.scale,
        leave_out=options.leave_out,
        folds=options.folds,
        seed=options.seed,
        draws=options.draws,
        refit_draws=options.refit_draws,
        progress=shows_progress(options),
    )
    planning = _Planning(found, options.budget)
    figures = _draw(found, planning, options) if options.figures is not None else []
    if options.json:
        print_json(_record(found, planning, options.prob, figures))
        return
    for sentence in found.sentences:
        print(sentence)
    for caveat in found.caveats:
        print(f"- {caveat}")
    print("\nDifference to the best law ± standard error (nats):")
    print(table_text(found.text_table()))
    planning.show(options.prob)
    if figures:
        print("\nfigures: " + ", ".join(str(path) for path in figures))
    print(f"\n{found.headline}")


def _fits_or_cards(options: Arguments) -> tuple[Any, ...]:
    """Return the arguments of `compare`: saved fits by file name, or cards and runs."""
    from bayescale.inference.load import load_fit
    from bayescale.model.card import load_model

    saved = [name for name in options.cards if name.endswith(".nc")]
    if saved and (len(saved) < len(options.cards) or options.runs):
        raise ValueError(
            "compare: found saved fits together with cards or --runs, expected either saved fits, "
            "which contain their runs, or cards and --runs."
        )
    if saved:
        return (by_file_name(options, saved, load_fit),)
    if not options.runs:
        raise ValueError(
            "--runs: found none, expected the runs that cards are fitted to. Give a dataset id, a "
            "folder or a file."
        )
    models = [of_variable(load_model(card), options) for card in options.cards]
    return models, runs_for_models(options, *models)


class _Planning:
    """The plan for a budget under each law of size and tokens."""

    def __init__(self, found: "Comparison", budget: str | None) -> None:
        self.fits: dict[str, Fit] = {
            name: fit for name, fit in found.fits.items() if fit.law.takes_size_and_tokens
        }
        self.budget: float | str | None = budget
        self.average: ModelAverage | None = None
        self.cross_regret: CrossRegret | None = None
        if not self.fits:
            return
        from bayescale.decision.cross_regret import cross_regret
        from bayescale.posterior.average import model_average

        if budget is None:
            # Rounded to two digits, for a budget that reads well.
            exact = BUDGET_MULTIPLE * float(found.runs.compute.max())
            unit = 10.0 ** (math.floor(math.log10(exact)) - 1)
            self.budget = round(exact / unit) * unit
        weights = {str(n): float(w) for n, w in found.weights.items() if n in self.fits}
        if sum(weights.values()) > 0:
            self.average = model_average(self.fits, weights)
        if len(self.fits) > 1:
            supported = [name for name in found.supported if name in self.fits]
            self.cross_regret = cross_regret(
                self.sources,
                budget=self.budget,
                supported=[*supported, "average"] if supported else None,
            )

    @property
    def sources(self) -> "dict[str, Fit | ModelAverage]":
        """The fits, and their average if it has several parts."""
        if self.average is None or len(self.average.parts) == 1:
            return {**self.fits}
        return {**self.fits, "average": self.average}

    def elasticities(self, prob: float) -> "pd.DataFrame":
        """Elasticities at the centre of the runs and at the largest run."""
        import numpy as np

        from bayescale.posterior.elasticities import elasticities

        runs = next(iter(self.fits.values())).runs
        largest = int(np.argmax(runs.compute))
        points = {
            name: [float(np.exp(np.log(x).mean())), float(x[largest])]
            for name, x in (("n_params", runs.n_params), ("n_tokens", runs.n_tokens))
        }
        return elasticities(self.fits, inputs=points, prob=prob)

    @property
    def labels(self) -> dict[str, str]:
        """Distance of the optimum from the range of the runs, under each law."""
        from bayescale.allocation.allocate import optima
        from bayescale.posterior.extrapolation import describe_extrapolation

        plans = {name: optima(s, budget=self.budget) for name, s in self.sources.items()}
        return {name: describe_extrapolation(plan.beyond) for name, plan in plans.items()}

    def allocations(self, prob: float) -> "tuple[pd.DataFrame, pd.DataFrame]":
        """Optima of the budget under each law and their average, as text and as numbers."""
        import pandas as pd

        from bayescale.allocation.allocate import optima

        plans = {name: optima(s, budget=self.budget) for name, s in self.sources.items()}
        with without_warnings():
            numbers = {name: plan.table(prob) for name, plan in plans.items()}
        names = ["model", "budget"]
        texts = pd.concat({name: p.text_table(prob) for name, p in plans.items()}, names=names)
        return texts.droplevel("budget"), pd.concat(numbers, names=names)

    def show(self, prob: float) -> None:
        """Print elasticities, optima and cross-regret."""
        if not self.fits:
            return
        share = format_share(prob)
        print(f"\nElasticities at the centre of the runs and at the largest run, {share} interval:")
        print(table_text(_elasticity_text(self.elasticities(prob))))
        budget = self.budget if isinstance(self.budget, str) else format_compute(self.budget or 0.0)
        print(f"\nOptimum of {budget} under each law, median and {share} interval:")
        for name, label in self.labels.items():
            print(f"- {name}: {label}")
        shown = ["N_opt", "D_opt (tokens)", "D/N", "loss at optimum"]
        print(table_text(self.allocations(prob)[0][shown]))
        if self.cross_regret is not None:
            print()
            for sentence in self.cross_regret.sentences:
                print(f"- {sentence}")
            print(table_text(self.cross_regret.text_table(prob)))


def _elasticity_text(table: "pd.DataFrame") -> "pd.DataFrame":
    """Return elasticities as text: ``0.0492 [0.0484, 0.0501]``."""
    import pandas as pd

    from bayescale.units import format_count, format_number

    texts: dict[str, list[str]] = {}
    for heading, name in (("N", "n_params"), ("D", "n_tokens")):
        texts[heading] = [format_count(x, 2) for x in table[name]]
    for name in ("e_n", "e_d"):
        ends = zip(table[name], table[f"{name}_lower"], table[f"{name}_upper"], strict=True)
        texts[name] = ["{} [{}, {}]".format(*(format_number(x) for x in values)) for values in ends]
    return pd.DataFrame(texts, index=table.index).droplevel("point")


def _draw(found: "Comparison", planning: _Planning, options: Arguments) -> list[Path]:
    """Write the figures, and return their paths."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    from bayescale import plots
    from bayescale._io import whole_file

    laws = {fit.law.name: fit for fit in found.fits.values()}
    drawn: dict[str, Callable[[], Any]] = {"scores": lambda: plots.scores(found)}
    for name, fit in found.fits.items():
        if len(fit.columns) <= 2:
            drawn[f"residuals-{name}"] = partial(plots.residuals, fit)
    if planning.fits:
        drawn["elasticities"] = lambda: plots.elasticities(planning.elasticities(options.prob))
    regrets = planning.cross_regret
    if regrets is not None:
        drawn["cross-regret"] = lambda: plots.cross_regret(regrets, options.prob)
    if "coupled" in laws:
        drawn["coupling"] = lambda: plots.coupling(laws["coupled"], laws.get("kaplan-nd"))
    paths = []
    for name, draw in drawn.items():
        figure = draw().figure
        paths.append(options.figures / f"{name}.png")
        with whole_file(paths[-1]) as path:
            figure.savefig(path, dpi=140)
        plt.close(figure)
    return paths


def _record(
    found: "Comparison", planning: _Planning, prob: float, figures: list[Path]
) -> dict[str, Any]:
    """Return the comparison in JSON types."""
    record: dict[str, Any] = {
        **statements(found),
        "table": table_records(found.table()),
        "cuts": found.cuts,
        "scales": table_records(found.scales.table),
        "weights": dict(found.weights),
        "figures": [str(path) for path in figures],
    }
    if planning.fits:
        record["elasticities"] = table_records(planning.elasticities(prob))
        record["allocation"] = table_records(planning.allocations(prob)[1])
    if planning.cross_regret is not None:
        record["cross_regret"] = table_records(planning.cross_regret.table(prob))
    return record
