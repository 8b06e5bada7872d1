"""Coverage of intervals on held-out larger runs of public tables, and on new families.

    python -m benchmarks.calibration TABLES

Every study writes its results to a Parquet file, and docs/calibration.md is rendered from the files
of all of them. TABLES is a folder with the larger public tables. Every table has the same cuts: the
compute below which half, 65 % and 80 % of its runs lie.
"""

import argparse
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from bayescale.errors import BayescaleWarning, RunsError
from benchmarks.calibration import (
    held_out,
    new_corpora,
    optima,
    priors,
    trade_off,
    well_specified,
)
from benchmarks.calibration.bench import Bench
from benchmarks.calibration.cards import DEFAULT
from benchmarks.calibration.page import render
from benchmarks.calibration.results import STUDIES, read_results

PAGE = Path(__file__).parents[2] / "docs" / "calibration.md"
CARD = Path(__file__).parents[2] / "models" / f"{DEFAULT}.toml"

RUN: dict[str, Callable[[Bench], None]] = {
    "priors": priors.run,
    "held_out": held_out.run,
    "held_out_elsewhere": held_out.run_elsewhere,
    "optima": optima.run,
    "well_specified": well_specified.run,
    "trade_off": trade_off.run,
    "new_corpora": new_corpora.run,
}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.calibration",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("tables", type=Path, nargs="?", help="folder of the larger public tables")
    parser.add_argument(
        "--only", choices=STUDIES, action="append", help="a study to run; all of them by default"
    )
    parser.add_argument(
        "--learn", action="store_true", help="write the default card from all sources, and exit"
    )
    parser.add_argument("--render", action="store_true", help="render the page from stored results")
    parser.add_argument(
        "--results", type=Path, default=Path("build/calibration"), help="folder of the results"
    )
    parser.add_argument("--store", type=Path, help="file of results, from which a study resumes")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to write")
    options = parser.parse_args(argv)
    if not options.render:
        if options.tables is None:
            parser.error("TABLES: found none, expected the folder of the larger public tables.")
        warnings.simplefilter("ignore", BayescaleWarning)
        with ProcessPoolExecutor(2) as executor:
            bench = Bench(options.tables, options.results, executor, options.store)
            if options.learn:
                priors.write_card(bench, CARD)
                return
            for study in options.only or STUDIES:
                RUN[study](bench)
    try:
        results = read_results(options.results)
    except RunsError as error:
        parser.exit(1, f"{error}\n")
    options.page.write_text(render(results), encoding="utf-8")


if __name__ == "__main__":
    main()
