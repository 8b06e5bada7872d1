"""The commands on why answers differ: between studies, windows of runs, and analyses."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bayescale._outputs import FIGURE, RESULTS
from bayescale.cli.files import Reads, Writes
from bayescale.cli.numbers import seed_number, whole_number
from bayescale.cli.render import print_json, runs_of, table_records, table_text

if TYPE_CHECKING:
    from concurrent.futures import Executor


type Arguments = argparse.Namespace
type Verb = Callable[[str, Callable[[Arguments], None], str], argparse.ArgumentParser]
type Adder = Callable[..., None]


def add_disagreement_verbs(verb: Verb, add_runs: Adder, add_prob: Adder) -> None:
    """Add the commands ``explain``, ``cuts`` and ``multiverse``."""
    explain = verb(
        "explain", _explain, "Walk from Kaplan's exponent to Chinchilla's, a step at a time."
    )
    add_runs(explain)
    explain.add_argument(
        "--where", metavar="CONDITION", help="runs to use, such as \"family == 'c4'\""
    )
    explain.add_argument("--by", metavar="COLUMN", help="column whose levels are walked apart")
    explain.add_argument("--curve", default="run", help="column that tells curves apart (run)")
    explain.add_argument(
        "--way",
        choices=("parabolas", "curves", "law"),
        help="how the exponent is measured; the first that the runs allow unless given",
    )
    explain.add_argument("--counted", default="total", help="how the runs count N (total)")
    explain.add_argument(
        "--seed", type=seed_number, default=0, help="makes the answer reproducible (0)"
    )
    add_prob(explain)
    _add_figure(explain)

    cuts = verb("cuts", _cuts, "Refit a card below rising cuts: does the answer move?")
    cuts.add_argument("model", type=Reads(), help="id of a model card, or the path of one")
    add_runs(cuts)
    cuts.add_argument(
        "--cut",
        action="append",
        required=True,
        metavar="AMOUNT",
        help="fit the runs below this; may be repeated",
    )
    cuts.add_argument("--by", default="compute", help="column that is cut (compute)")
    _add_refits(cuts)
    add_prob(cuts)
    _add_figure(cuts)

    multiverse = verb(
        "multiverse", _multiverse, "Fit every combination of choices: which of them matter?"
    )
    multiverse.add_argument(
        "model", type=Reads(), help="card that the first choices leave as it is"
    )
    # What flagged runs do is one of the questions, so that they are read in any case.
    add_runs(multiverse, outliers=False)
    multiverse.add_argument(
        "--question",
        action="append",
        default=[],
        help="one of likelihood, window, outliers, counting and law; may be repeated; all of "
        "them unless given",
    )
    _add_refits(multiverse)
    add_prob(multiverse)
    _add_figure(multiverse)


def _add_refits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--compute", required=True, metavar="FLOP", help="budget that N_opt is asked at"
    )
    parser.add_argument(
        "--seed", type=seed_number, default=0, help="makes the fits reproducible (0)"
    )
    parser.add_argument("--draws", type=whole_number, default=500, help="kept draws a chain (500)")
    parser.add_argument(
        "--store", type=Writes(RESULTS), help="file of finished fits, to go on from"
    )
    parser.add_argument("--workers", type=whole_number, default=1, help="fits at the same time (1)")


def _add_figure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--figure", type=Writes(FIGURE), help="file to draw in, such as figure.png")


def _explain(options: Arguments) -> None:
    from bayescale.sensitivity.reconcile import reconcile_exponents

    runs = runs_of(options)
    if options.where:
        runs = runs.where(options.where)
    found = reconcile_exponents(
        runs,
        by=options.by,
        way=options.way,
        given=options.counted,
        curve=options.curve,
        prob=options.prob,
        seed=options.seed,
    )
    _draw(
        options, "ladder", found, 1.6 + 0.6 * found.table.index.get_level_values("step").nunique()
    )
    if options.json:
        print_json(
            {
                "headline": found.headline,
                "sentences": list(found.sentences),
                "caveats": list(found.caveats),
                "steps": table_records(found.table),
            }
        )
        return
    _say(found, found.text_table())
    for step, rows in found.table.groupby("step", sort=False):
        print(f"  {step}: {rows['why'].iloc[0]}.")


def _cuts(options: Arguments) -> None:
    from bayescale.model.card import load_model
    from bayescale.sensitivity.expanding_window import expanding_window

    model = load_model(options.model)
    needs = tuple(model.columns.values())
    runs = runs_of(options, needs, model.law.response)
    with _pool(options.workers) as executor:
        found = expanding_window(
            model,
            runs,
            options.cut,
            compute=options.compute,
            scale=options.by,
            prob=options.prob,
            seed=options.seed,
            draws=options.draws,
            executor=executor,
            store=options.store,
            progress=not (options.quiet or options.json),
        )
    _draw(options, "expanding_window", found, 4.2)
    if options.json:
        print_json(
            {
                "headline": found.headline,
                "caveats": list(found.caveats),
                "meet": {name: found.meet(name) for name in ("a", "n_opt")},
                "cuts": table_records(found.table),
            }
        )
        return
    _say(found, found.text_table())


def _multiverse(options: Arguments) -> None:
    from bayescale.errors import unknown_name
    from bayescale.model.card import load_model
    from bayescale.sensitivity.choices import CHOICES
    from bayescale.sensitivity.multiverse import multiverse

    for name in options.question:
        if name not in CHOICES:
            raise unknown_name("question", name, CHOICES)
    model = load_model(options.model)
    options.keep_outliers = True
    needs = tuple(model.columns.values())
    runs = runs_of(options, needs, model.law.response)
    with _pool(options.workers) as executor:
        found = multiverse(
            model,
            runs,
            compute=options.compute,
            choices={name: CHOICES[name] for name in options.question or CHOICES},
            prob=options.prob,
            seed=options.seed,
            draws=options.draws,
            executor=executor,
            store=options.store,
            progress=not (options.quiet or options.json),
        )
    _draw(options, "multiverse", found, 1.4 + 0.34 * len(found.by_choice()))
    if options.json:
        print_json(
            {
                "headline": found.headline,
                "sentences": list(found.sentences),
                "choices": table_records(found.by_choice()),
                "combinations": table_records(found.table),
            }
        )
        return
    _say(found, found.text_table())


@contextmanager
def _pool(workers: int) -> "Iterator[Executor | None]":
    """Give so many processes, or none where this one is enough."""
    if workers < 1:
        raise ValueError(f"--workers: found {workers}, expected at least 1.")
    if workers == 1:
        yield None
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    # Threads of the sampler do not survive a fork.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as executor:
        yield executor


def _draw(options: Arguments, name: str, answer: object, height: float) -> None:
    """Draw a figure of `bayescale.plots` in the file that was asked for, if one was."""
    if options.figure is None:
        return
    from matplotlib.figure import Figure

    from bayescale import plots
    from bayescale._io import whole_file

    canvas = Figure(figsize=(6.8, height), layout="constrained")
    getattr(plots, name)(answer, ax=canvas.subplots())
    with whole_file(options.figure) as part:
        canvas.savefig(part, dpi=150)


def _say(answer: Any, table: Any) -> None:
    print(answer.headline)
    for sentence in (*getattr(answer, "sentences", ()), *getattr(answer, "caveats", ())):
        print(f"- {sentence}")
    print(table_text(table))
