"""The command line: parse, call the library, print. Exit code 2 and one sentence for bad input."""

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from bayescale._outputs import DRAWS, REPORT, SAVED_FIT
from bayescale._version import __version__
from bayescale.cli.compare import add_compare_verb
from bayescale.cli.decisions import (
    add_cost_options,
    add_decision_verbs,
    add_plans,
    cluster_of,
    cost_of,
    fixed_of,
    limits_of,
    plans_of,
)
from bayescale.cli.disagreements import add_disagreement_verbs
from bayescale.cli.files import Reads, Writes, refuse_unsafe
from bayescale.cli.numbers import seed_number, whole_number
from bayescale.cli.render import (
    add_fit,
    add_runs,
    fit_or_constants,
    print_json,
    read_pairs,
    runs_of,
    saved_fit,
    table_records,
    table_text,
)
from bayescale.cli.rules import complete, remember_given
from bayescale.cli.tools import add_tool_verbs
from bayescale.errors import BayescaleError, quoted, shortened
from bayescale.units import format_share

if TYPE_CHECKING:
    import pandas as pd

    from bayescale.allocation.allocate import Allocation
    from bayescale.data.runs import Runs
    from bayescale.model.card import Model
    from bayescale.posterior.fit import Fit

type Arguments = argparse.Namespace

BAD_INPUT = 2
INTERRUPTED = 130

_PIPE_WIDTH = 140
"""Columns of a listing that goes to a file or another program."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    warnings.showwarning = _show_warning
    parser = _parser()
    options = argparse.Namespace()
    try:
        options = parser.parse_args(arguments)
        complete(options)
        logging.basicConfig(format="%(message)s", level=logging.WARNING)
        if options.quiet:
            warnings.showwarning = _say_nothing
        refuse_unsafe(options.command, options)
        code: int = options.run(options) or 0
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of a pipe went away; not our failure, and nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (BayescaleError, OSError, ValueError, TypeError) as error:
        if os.environ.get("BAYESCALE_DEBUG"):
            raise
        return _complain(_sentence(error), BAD_INPUT)
    except KeyboardInterrupt:
        return _complain(_interrupted(getattr(options, "store", None)), INTERRUPTED)
    return code


def _interrupted(store: Path | None) -> str:
    if store is not None and store.exists():
        return f"interrupted; what was done is kept in {store}. The same command goes on with it."
    return "interrupted; nothing was written, and any older file is as it was."


def _complain(sentence: str, code: int) -> int:
    print(f"bayescale: {sentence}", file=sys.stderr)
    return code


def _sentence(error: Exception) -> str:
    said = str(error)
    if isinstance(error, OSError) and error.strerror:
        where = f"{shortened(error.filename)}: " if error.filename else ""
        said = f"{where}{error.strerror}. Nothing was written."
    return shortened(" ".join(said.split()), 2000)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    print(f"warning: {message}", file=sys.stderr)


def _say_nothing(*_: object, **__: object) -> None:
    """Take the place of what shows warnings, where none are wanted."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        said = shortened(" ".join(message.split()), 400)
        self.exit(BAD_INPUT, f"bayescale: {said}; see {self.prog} --help.\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="bayescale",
        description="Fit scaling laws to training runs and plan with their uncertainty.",
    )
    parser.add_argument("--version", action="version", version=f"bayescale {__version__}")
    verbs = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def verb(
        name: str, run: Callable[[Arguments], int | None], about: str
    ) -> argparse.ArgumentParser:
        child = verbs.add_parser(name, help=about, description=about)
        child.add_argument("--json", action="store_true", help="print JSON and nothing else")
        child.add_argument("--quiet", action="store_true", help="no progress bar, no warnings")
        child.set_defaults(run=run, verb=name, command=child)
        return child

    for name, about in (
        ("datasets", "List the datasets that can be fitted by name."),
        ("laws", "List the scaling laws."),
        ("models", "List the model cards."),
    ):
        verb(name, _list, about).set_defaults(listing=name)

    check = verb("check", _check, "Validate a table of runs and say what can be learnt from it.")
    add_runs(check)
    check.add_argument(
        "--model", type=Reads(), default="chinchilla", help="card it is to be fitted with"
    )

    fit = verb("fit", _fit, "Fit a model card to runs, and save the posterior.")
    fit.add_argument("model", type=Reads(), help="id of a model card, or the path of one")
    add_runs(fit)
    fit.add_argument("--out", type=Writes(SAVED_FIT), help="netCDF file to save the fit in")
    fit.add_argument(
        "--store",
        type=Writes(DRAWS),
        help="file that draws are added to as they are made, to go on from after an interruption",
    )
    fit.add_argument("--report", type=Writes(REPORT), help="html, md or json file of the report")
    _add_budgets(fit, required=False)
    fit.add_argument("--seed", type=seed_number, default=0, help="seed of all random numbers (0)")
    fit.add_argument("--draws", type=whole_number, default=1000, help="kept draws a chain (1000)")
    fit.add_argument("--tune", type=whole_number, help="warm-up draws a chain (400)")
    fit.add_argument("--chains", type=whole_number, default=4, help="number of chains (4)")
    fit.add_argument(
        "--cores", type=whole_number, help="chains run at the same time (all processors)"
    )
    fit.add_argument(
        "--sampler",
        choices=("nutpie", "numpyro"),
        default="nutpie",
        help="numpyro samples with JAX, on a GPU where there is one (nutpie)",
    )
    fit.add_argument(
        "--anyway", action="store_true", help="fit runs that leave parameters to the prior too"
    )

    allocate = verb("allocate", _allocate, "Print the compute-optimal size and tokens.")
    add_fit(allocate, constants=True)
    _add_budgets(allocate, required=True)
    add_cost_options(allocate)

    add_decision_verbs(verb, _add_prob)
    add_compare_verb(verb, _add_prob)
    add_disagreement_verbs(verb, add_runs, _add_prob)

    predict = verb("predict", _predict, "Print the predicted loss of plans.")
    add_fit(predict, constants=True)
    predict.add_argument("--n-params", action="append", help="size, such as 7B")
    predict.add_argument("--n-tokens", action="append", help="tokens, such as 2T")
    _add_inputs(predict)
    _add_prob(predict)

    report = verb("report", _report, "Write the report of a saved fit: html, md or json.")
    add_fit(report)
    report.add_argument("--out", type=Writes(REPORT), required=True, help="html, md or json file")
    _add_budgets(report, required=False)
    _add_inputs(report)
    add_plans(report)
    report.add_argument(
        "--full",
        action="store_true",
        help="compare laws, refit below rising cuts and choose next runs too; takes minutes",
    )
    add_cost_options(report)

    add_tool_verbs(verb, parser)
    for child in verbs.choices.values():
        remember_given(child)
    return parser


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--at",
        action="append",
        default=[],
        metavar="NAME=AMOUNT",
        help="input of a law that is not of size and tokens, such as compute=1e22; may be repeated",
    )


def _inputs_of(options: Arguments) -> dict[str, list[str]]:
    """Return the amounts of each input that was named."""
    found: dict[str, list[str]] = {}
    for name, amount in read_pairs(options.at, "--at", "NAME=AMOUNT"):
        found.setdefault(name, []).append(amount)
    return found


def _add_budgets(parser: argparse.ArgumentParser, *, required: bool) -> None:
    parser.add_argument(
        "--compute",
        action="append",
        required=required,
        metavar="FLOP",
        help="budget, such as 5.76e23 or '100 PF-days'; may be repeated",
    )
    _add_prob(parser)


def _add_prob(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--prob", type=_probability, default=0.9, help="probability inside intervals (0.9)"
    )


def _probability(text: str) -> float:
    from bayescale.posterior.summary import tail_quantiles

    try:
        tail_quantiles(float(text))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"found {quoted(text)}, expected a probability between 0 and 1"
        ) from None
    return float(text)


def _list(options: Arguments) -> None:
    import bayescale as bs

    table: pd.DataFrame = getattr(bs, f"list_{options.listing}")()
    if options.json:
        print_json(table_records(table))
        return
    brief = {
        "datasets": ["title", "licence"],
        "laws": ["response", "inputs", "source"],
        "models": ["law", "title", "references"],
    }[options.listing]
    _print_listing(table[brief])


def _check(options: Arguments) -> None:
    from bayescale.data.notes import Note
    from bayescale.model.card import load_model
    from bayescale.model.identifiability import check_identifiable, design_warnings
    from bayescale.model.unused_columns import unused_columns

    model = load_model(options.model)
    runs = _load(options, model)
    check_identifiable(model, runs)
    cautions = design_warnings(model, runs)
    notes = [*map(Note.of, runs.notes), *unused_columns(model, runs)]
    if options.json:
        print_json(
            {
                "name": runs.name,
                "runs": len(runs),
                "fingerprint": runs.fingerprint,
                "notes": [note.to_dict() for note in notes],
                "cautions": list(cautions),
            }
        )
        return
    print(runs.describe())
    for note in notes:
        doubtful = note.kind in ("implausible", "counting")
        if options.quiet or not (doubtful and note in runs.notes):  # of which reading has warned
            print(f"  {'caution: ' if doubtful else ''}{note}")
    for sentence in cautions:
        print(f"  caution: {sentence}")
    print(f"  fingerprint {runs.fingerprint[:16]}; ready to be fitted with {model.id}.")


def _fit(options: Arguments) -> None:
    # What can be refused is refused before anything is sampled.
    from bayescale.inference.fit import fit
    from bayescale.model.card import load_model
    from bayescale.model.unused_columns import unused_columns
    from bayescale.units import parse_amounts

    if options.compute:
        parse_amounts(options.compute, "compute", "--compute")
    model = load_model(options.model)
    law = model.law
    if options.compute and not law.takes_size_and_tokens:
        raise ValueError(
            f"--compute: the law {law.name} is of {', '.join(law.inputs)}, so there is "
            "no size and number of tokens to split a budget between"
            + (
                " until its other inputs are fixed; save the fit with --out, and ask allocate or "
                "report with --fixed."
                if law.splits_compute
                else "."
            )
        )
    if options.report and law.splits_compute and not options.compute:
        raise ValueError("--report: a report is about budgets; give one or more --compute.")
    result = fit(
        model,
        _load(options, model),
        draws=options.draws,
        tune=options.tune,
        chains=options.chains,
        cores=options.cores,
        seed=options.seed,
        unidentified="warn" if options.anyway else "refuse",
        store=options.store,
        sampler=options.sampler,
        progress=not (options.quiet or options.json),
    )
    if options.out:
        result.save(options.out)
    if options.compute:
        from bayescale.allocation.allocate import allocate

        plan = allocate(result, compute=options.compute)
    else:
        plan = None
    if options.report:
        from bayescale.reports import report

        report(
            result,
            options.report,
            compute=options.compute,
            prob=options.prob,
            progress=not (options.quiet or options.json),
        )
    if options.json:
        print_json(_fit_facts(result, plan, options))
        return
    print(plan.headline if plan else result.headline)
    for note in (*result.runs.notes, *unused_columns(model, result.runs)):
        print(f"  {note}")
    if plan:
        _print_plan(plan, options.prob)
    else:
        if result.law.caveat:
            print(result.law.caveat)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the headline says it
            table = result.summary(options.prob)
        print(
            table_text(table[["median", "lower", "upper", "sd", "r_hat", "ess_bulk", "ess_tail"]])
        )
    for what, path in (("fit", options.out), ("report", options.report)):
        if path is not None:
            print(f"{what}: {path}")


def _fit_facts(result: "Fit", plan: "Allocation | None", options: Arguments) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "passed" and "status" say it
        return {
            "passed": result.diagnostics.ok,
            "status": result.diagnostics.status,
            "checks": result.diagnostics.records,
            "headline": result.headline,
            "summary": table_records(result.summary(options.prob)),
            "allocation": table_records(plan.table(options.prob)) if plan else None,
            "caveats": list(plan.caveats if plan else filter(None, [result.law.caveat])),
            "provenance": dict(result.provenance),
            "out": str(options.out) if options.out else None,
            "report": str(options.report) if options.report else None,
        }


def _allocate(options: Arguments) -> None:
    from bayescale.allocation.allocate import allocate

    cluster = cluster_of(options)
    plan = allocate(
        fit_or_constants(options),
        compute=options.compute,
        cost=cost_of(options, cluster),
        limits=limits_of(options, cluster),
        fixed=fixed_of(options),
        cluster=cluster,
    )
    if options.json:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = plan.table(options.prob)
        passed = plan.diagnostics.ok if plan.diagnostics else None
        print_json(
            {
                "passed": passed,
                "headline": plan.headline,
                "caveats": list(plan.caveats),
                "allocation": table_records(table),
            }
        )
        return
    print(plan.headline)
    _print_plan(plan, options.prob)


def _print_plan(plan: "Allocation", prob: float) -> None:
    for sentence in plan.caveats:
        print(sentence)
    print(_heading(plan.source, prob))
    print(table_text(plan.text_table(prob)))


def _heading(source: object, prob: float) -> str:
    """Return what the numbers of a table are."""
    from bayescale.laws.published import Constants

    if isinstance(source, Constants):
        return "Single numbers, as published constants have no uncertainty:"
    return f"Median and {format_share(prob)} equal-tailed interval:"


def _predict(options: Arguments) -> None:
    from bayescale.errors import UnsuitableLawError
    from bayescale.laws.published import Constants, EmpiricalFrontier
    from bayescale.posterior.diagnostics import lead_with_status
    from bayescale.posterior.extrapolation import beyond_runs, say_beyond
    from bayescale.posterior.predict import predict
    from bayescale.posterior.summary import interval_columns

    source = fit_or_constants(options)
    if isinstance(source, EmpiricalFrontier):
        raise UnsuitableLawError(
            f"{source.name} is a frontier that a paper gives, not a law to predict by."
        )
    draws = predict(
        source, n_params=options.n_params, n_tokens=options.n_tokens, inputs=_inputs_of(options)
    )
    table = interval_columns(draws, options.prob, "plan")
    if isinstance(source, Constants):
        # The ends of an interval that is none.
        table, passed, headline = table[list(draws.data_vars)], None, source.description
    else:
        passed = source.diagnostics.ok
        plans = {column: draws[column].to_numpy() for column in source.columns.values()}
        label = say_beyond(beyond_runs(source, plans))
        headline = lead_with_status(f"{source.answering} {label}", source.diagnostics)
        table.insert(0, "beyond", draws["beyond"].to_numpy())
    for place, column in enumerate(source.columns.values()):
        table.insert(place, column, draws[column].to_numpy())
    if options.json:
        print_json(
            {
                "passed": passed,
                "headline": headline,
                "predictions": table_records(table),
            }
        )
        return
    print(headline)
    print(_heading(source, options.prob))
    print(table_text(table))


def _report(options: Arguments) -> None:
    from bayescale.reports import report

    fit, cluster = saved_fit(options), cluster_of(options)
    report(
        fit,
        options.out,
        compute=options.compute,
        inputs=_inputs_of(options) or None,
        prob=options.prob,
        cost=cost_of(options, cluster),
        fixed=fixed_of(options) or None,
        limits=limits_of(options, cluster),
        plans=plans_of(options) or None,
        cluster=cluster,
        full=options.full,
        progress=not (options.quiet or options.json),
    )
    if options.json:
        print_json({"passed": fit.diagnostics.ok, "report": str(options.out)})
        return
    print(fit.headline)
    print(f"report: {options.out}")


def _load(options: Arguments, model: "Model") -> "Runs":
    return runs_of(options, tuple(model.columns.values()), model.law.response)


def _print_listing(table: "pd.DataFrame") -> None:
    """Print texts in columns that wrap to the terminal, or to a fixed width where there is none."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    shown = Table(box=None, pad_edge=False)
    for place, column in enumerate((table.index.name, *table.columns)):
        shown.add_column(str(column), no_wrap=place == 0, overflow="fold")
    for row in table.itertuples(name=None):
        shown.add_row(*map(str, row))
    console.print(shown, markup=False)


if __name__ == "__main__":
    sys.exit(main())
