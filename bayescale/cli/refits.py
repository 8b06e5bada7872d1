"""Options of commands that fit many times, and the processes that fit."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bayescale._outputs import RESULTS
from bayescale.cli.files import Writes
from bayescale.cli.numbers import positive_integer
from bayescale.cli.options import add_seed, shows_progress

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from bayescale.data.runs import Runs
    from bayescale.inference.refits import RefitOptions
    from bayescale.model.card import Model
    from bayescale.validation.backtest import Backtest

type Arguments = argparse.Namespace


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add the option for parallel processes; `pool_of_workers` starts them."""
    parser.add_argument(
        "--workers", type=positive_integer, default=1, help="number of parallel processes (1)"
    )


def add_backtest(parser: argparse.ArgumentParser) -> None:
    """Add the option to predict larger budgets from smaller ones."""
    parser.add_argument(
        "--backtest",
        action="store_true",
        help="also predict each budget of the runs from the smaller ones, and count those "
        "inside their intervals; one fit for each",
    )


def backtest_of(
    options: Arguments, runs: "Runs", model: "Model", *, prob: float = 0.9, seed: int = 0
) -> "Backtest | None":
    """Return the backtest if ``--backtest`` is given."""
    if not options.backtest:
        return None
    from bayescale.validation.backtest import backtest

    return backtest(
        runs,
        model,
        prob=prob,
        seed=seed,
        progress=shows_progress(options),
    )


def add_refits(parser: argparse.ArgumentParser) -> None:
    """Add the options of commands that refit many times."""
    add_seed(parser)
    parser.add_argument(
        "--draws", type=positive_integer, default=500, help="posterior draws per chain (500)"
    )
    parser.add_argument(
        "--store",
        type=Writes(RESULTS),
        help="file that stores finished fits, so that an interrupted command can continue",
    )
    add_workers(parser)


@contextmanager
def refits_of(options: Arguments) -> "Iterator[RefitOptions]":
    """Yield the options of `add_refits` as keyword arguments, with the processes that fit."""
    with pool_of_workers(options.workers) as executor:
        yield {
            "seed": options.seed,
            "draws": options.draws,
            "executor": executor,
            "store": options.store,
            "progress": shows_progress(options),
        }


@contextmanager
def pool_of_workers(workers: int) -> "Iterator[Executor | None]":
    """Yield a pool of processes; None for one worker, which needs no other process."""
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
