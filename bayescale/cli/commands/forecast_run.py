"""``forecast-run``: the loss of a run under its planned learning rate schedule."""

import argparse

from bayescale._outputs import FORECASTS
from bayescale.cli.files import Reads, Writes
from bayescale.cli.options import add_prob, add_seed, read_mapping, shows_progress
from bayescale.cli.render import passed, print_answer, print_json, statements, table_records
from bayescale.cli.verbs import Verbs

type Arguments = argparse.Namespace

_SCHEDULE = "KIND:NAME=VALUE,..., or a csv file with columns step and lr"


def add(verbs: Verbs) -> None:
    """Add the command."""
    forecast = verbs.add(
        "forecast-run", run, "Forecast the loss of a run under its learning rate schedule."
    )
    forecast.add_argument(
        "runs", type=Reads(), help="csv, tsv, xlsx, parquet, jsonl or json file of points on curves"
    )
    forecast.add_argument(
        "--schedule",
        required=True,
        help="schedule of the run: cosine:peak=3e-4,steps=24k,final=3e-5,warmup=2k; or constant, "
        "linear, wsd or two-stage; or a csv file with columns step and lr",
    )
    forecast.add_argument("--name", default="", help="name of the run, begun or not (the only one)")
    forecast.add_argument(
        "--to", action="append", metavar="STEP", help="step to forecast (the last); repeatable"
    )
    forecast.add_argument(
        "--of",
        action="append",
        default=[],
        metavar="RUN=SCHEDULE",
        help="schedule of another run, if the file has no column lr; repeatable",
    )
    forecast.add_argument("--step", metavar="COLUMN", help="column of the step (step)")
    forecast.add_argument("--loss", metavar="COLUMN", help="column of the loss (loss)")
    forecast.add_argument("--rate", metavar="COLUMN", help="column of the learning rate (lr)")
    forecast.add_argument("--by", metavar="COLUMN", help="column that names the runs (run)")
    forecast.add_argument(
        "--sweep",
        dest="fit",
        type=Reads(),
        metavar="FIT",
        help="saved fit of the loss over size and tokens",
    )
    forecast.add_argument(
        "--at",
        action="append",
        default=[],
        metavar="INPUT=AMOUNT",
        help="input of the run in the sweep, such as n_params=1B; repeatable",
    )
    forecast.add_argument(
        "--out", type=Writes(FORECASTS), help="json file to seal the forecast of one step in"
    )
    forecast.add_argument(
        "--force", action="store_true", help="replace earlier forecasts in that file"
    )
    add_seed(forecast)
    add_prob(forecast)


def run(options: Arguments) -> None:
    """Print quantiles at each step, and preregister them if requested."""
    from bayescale.inference.load import load_fit
    from bayescale.records.preregistration import refuse_existing
    from bayescale.schedules.forecast import forecast_run

    if options.out:
        refuse_existing(options.out, replace=options.force)
    found = forecast_run(
        options.runs,
        options.schedule,
        run=options.name,
        to=options.to,
        schedules=read_mapping(options.of, "--of", f"RUN={_SCHEDULE}"),
        step=options.step,
        loss=options.loss,
        rate=options.rate,
        by=options.by,
        sweep=load_fit(options.fit) if options.fit else None,
        at=read_mapping(options.at, "--at", "INPUT=AMOUNT"),
        prob=options.prob,
        seed=options.seed,
        progress=shows_progress(options),
    )
    if options.out:
        found.preregister(options.out, replace=options.force)
    if options.json:
        print_json(
            {
                "passed": all(passed(fit.diagnostics) for fit in found.fits),
                **statements(found),
                "forecasts": table_records(found.table()),
            }
        )
        return
    print_answer(found)
