"""``forecast``: curves of one variable at larger amounts, averaged over laws."""

import argparse

from bayescale.cli.files import Reads
from bayescale.cli.numbers import real_number
from bayescale.cli.options import add_prob, add_seed, shows_progress
from bayescale.cli.refits import add_workers, pool_of_workers
from bayescale.cli.render import print_answer, print_json, statements, table_records
from bayescale.cli.verbs import Verbs

type Arguments = argparse.Namespace


def add(verbs: Verbs) -> None:
    """Add the command."""
    forecast = verbs.add(
        "forecast",
        run,
        "Forecast curves of one variable at larger amounts, averaged over laws.",
    )
    forecast.add_argument(
        "runs",
        type=Reads(),
        help="csv, tsv, xlsx, parquet, jsonl or json file of points on curves, or logs of runs",
    )
    forecast.add_argument(
        "--to",
        action="append",
        required=True,
        metavar="AMOUNT",
        help="amount to forecast, such as 2M; repeatable",
    )
    forecast.add_argument("--x", metavar="COLUMN", help="column of the amounts (the only other)")
    forecast.add_argument("--y", metavar="COLUMN", help="column of the response (loss)")
    forecast.add_argument("--by", metavar="COLUMN", help="column that names the curves")
    forecast.add_argument(
        "--ceiling",
        type=real_number,
        help="upper bound of a response that rises towards it, such as 1 for an accuracy",
    )
    add_seed(forecast)
    add_workers(forecast)
    add_prob(forecast)


def run(options: Arguments) -> None:
    """Print quantiles at each amount."""
    from bayescale.forecasting.forecast import forecast

    with pool_of_workers(options.workers) as executor:
        found = forecast(
            options.runs,
            to=options.to,
            x=options.x,
            y=options.y,
            by=options.by,
            ceiling=options.ceiling,
            prob=options.prob,
            seed=options.seed,
            executor=executor,
            progress=shows_progress(options),
        )
    if options.json:
        print_json(
            {
                **statements(found),
                "forecasts": table_records(found.table()),
                "weights": table_records(found.weights),
            }
        )
        return
    print_answer(found)
