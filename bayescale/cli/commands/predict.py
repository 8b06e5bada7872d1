"""``predict``: the predicted loss of plans."""

import argparse

from bayescale.cli.options import add_at, add_fit, add_prob, fit_or_constants, inputs_of
from bayescale.cli.render import heading_of, passed, print_json, table_records, table_text
from bayescale.cli.verbs import Verbs

type Arguments = argparse.Namespace


def add(verbs: Verbs) -> None:
    """Add the command."""
    predict = verbs.add("predict", run, "Print the predicted loss of plans.")
    add_fit(predict, constants=True)
    predict.add_argument("--n-params", action="append", metavar="AMOUNT", help="size, such as 7B")
    predict.add_argument("--n-tokens", action="append", metavar="AMOUNT", help="tokens, such as 2T")
    add_at(predict)
    add_prob(predict)


def run(options: Arguments) -> None:
    """Print the loss at each plan, of the law and of one new run."""
    from bayescale.posterior.extrapolation import headline_at
    from bayescale.posterior.point import as_posterior
    from bayescale.posterior.predict import predict
    from bayescale.posterior.summary import interval_columns

    source = as_posterior(fit_or_constants(options))
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
    for place, (column, amounts) in enumerate(plans.items()):
        table.insert(place, column, amounts)
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
    print(headline)
    print(heading_of(source.is_point, options.prob))
    print(table_text(table))
