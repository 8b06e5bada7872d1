"""``mixture``: the mixture of domains with the least weighted loss on validation texts."""

import argparse
from functools import partial

from bayescale.cli.files import Reads
from bayescale.cli.options import add_levels, add_prob, by_file_name, fit_at, read_mapping
from bayescale.cli.render import (
    passed,
    print_answer,
    print_json,
    statements,
    table_records,
    without_warnings,
)
from bayescale.cli.verbs import Verbs
from bayescale.units import read_share

type Arguments = argparse.Namespace


def add(verbs: Verbs) -> None:
    """Add the command."""
    mixture = verbs.add(
        "mixture", run, "Print the mixture of domains with the least loss on validation texts."
    )
    mixture.add_argument(
        "fits",
        nargs="+",
        type=Reads(),
        metavar="FIT",
        help="saved fit of a law of mixtures (data-mixing-3), one for each validation text",
    )
    for name, form, what in (
        (
            "--domain",
            "NAME",
            "name of a domain, in the order of the first fit (its column); repeatable",
        ),
        (
            "--weight",
            "TEXT=NUMBER",
            "weight of the loss on a text, by the name of its file; repeatable",
        ),
        ("--most", "DOMAIN=SHARE", "largest share of a domain, such as books=20%%; repeatable"),
    ):
        mixture.add_argument(name, action="append", default=[], metavar=form, help=what)
    add_levels(mixture)
    add_prob(mixture)


def run(options: Arguments) -> None:
    """Print the recommended mixture, and the uncertainty of the best one."""
    from bayescale.allocation.data_mixture import data_mixture

    found = data_mixture(
        by_file_name(options, options.fits, partial(fit_at, options)),
        domains=options.domain or None,
        weights=_numbers(options.weight, "--weight", "TEXT=NUMBER") or None,
        most=_numbers(options.most, "--most", "DOMAIN=SHARE"),
    )
    if options.json:
        with without_warnings():
            table = found.table(options.prob)
        print_json(
            {
                "passed": passed(found.diagnostics),
                **statements(found),
                "unit": found.unit,
                "expected_regret": found.expected_regret,
                "p_better": found.p_better,
                "mixture": table_records(table),
            }
        )
        return
    print_answer(found, found.text_table(options.prob))


def _numbers(entries: list[str], option: str, form: str) -> dict[str, float]:
    numbers = {}
    for name, text in read_mapping(entries, option, form).items():
        share = read_share(text)
        if share is None:
            raise ValueError(
                f"{option}: found {text!r} for {name}, expected a number such as 0.2 or 20%."
            )
        numbers[name] = share
    return numbers
