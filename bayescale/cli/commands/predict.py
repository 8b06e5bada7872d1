"""``predict``: the predicted loss of plans, or a response of that loss."""

import argparse
from typing import TYPE_CHECKING

from bayescale.cli.files import Reads
from bayescale.cli.options import (
    add_at,
    add_fit,
    add_prob,
    fit_or_constants,
    inputs_of,
    named_fit_or_constants,
)
from bayescale.cli.render import (
    computed_from,
    heading_of,
    intervals_text,
    passed,
    print_answer,
    print_json,
    statements,
    table_records,
    table_text,
)
from bayescale.cli.verbs import Verbs

if TYPE_CHECKING:
    import pandas as pd

    from bayescale.posterior.protocol import Posterior

type Arguments = argparse.Namespace


def add(verbs: Verbs) -> None:
    """Add the command."""
    predict = verbs.add("predict", run, "Print the predicted loss of plans.")
    add_fit(predict, constants=True)
    predict.add_argument("--n-params", action="append", metavar="AMOUNT", help="size, such as 7B")
    predict.add_argument("--n-tokens", action="append", metavar="AMOUNT", help="tokens, such as 2T")
    add_at(predict)
    predict.add_argument(
        "--task",
        type=Reads(),
        metavar="FIT",
        help="saved fit of a response of the loss, such as accuracy-from-loss, or constants: "
        "predict that response too",
    )
    add_prob(predict)


def run(options: Arguments) -> None:
    """Print the loss at each plan, of the law and of one new run."""
    from bayescale.posterior.extrapolation import headline_at
    from bayescale.posterior.point import as_posterior
    from bayescale.posterior.predict import predict
    from bayescale.posterior.summary import interval_columns

    source = as_posterior(fit_or_constants(options))
    if options.task:
        _print_task(options, source)
        return
    draws = predict(
        source, n_params=options.n_params, n_tokens=options.n_tokens, inputs=inputs_of(options)
    )
    table = interval_columns(draws, options.prob, "plan")
    plans = {column: draws[column].to_numpy() for column in source.columns.values()}
    if source.is_point:
        # Point estimates have no intervals.
        table = table[list(draws.data_vars)]
    else:
        table.insert(0, "beyond", draws["beyond"].to_numpy())
    for position, (column, amounts) in enumerate(plans.items()):
        table.insert(position, column, amounts)
    headline = headline_at(source, plans)
    if options.json:
        print_json(
            {
                "passed": passed(source.diagnostics),
                "headline": headline,
                "predictions": table_records(table),
            }
        )
        return
    with computed_from(headline, source.diagnostics):
        print(heading_of(source.is_point, options.prob))
        print(table_text(_text_of(table)))


def _text_of(table: "pd.DataFrame") -> "pd.DataFrame":
    """Return predictions as text: amounts, values with intervals, and the distance from runs."""
    shown = intervals_text(table)
    if "beyond" in table:
        shown["beyond"] = table["beyond"].map("{:.1f} e-folds".format)
    return shown


def _print_task(options: Arguments, source: "Posterior") -> None:
    """Print loss and response at each plan."""
    from bayescale.forecasting.two_step import two_step

    found = two_step(
        source,
        named_fit_or_constants(options.task),
        n_params=options.n_params,
        n_tokens=options.n_tokens,
        inputs=inputs_of(options),
    )
    if options.json:
        print_json(
            {
                "passed": passed(found.diagnostics),
                **statements(found),
                "predictions": table_records(found.table(options.prob)),
            }
        )
        return
    print_answer(found, found.text_table(options.prob))
