"""``datasets``, ``laws``, ``models`` and ``published``: the catalogues."""

import argparse

from bayescale.cli.render import print_json, print_listing, table_records
from bayescale.cli.verbs import Verbs

type Arguments = argparse.Namespace


def add(verbs: Verbs) -> None:
    """Add the commands."""
    for name, about in (
        ("datasets", "List the datasets that ship with bayescale."),
        ("laws", "List the scaling laws."),
        ("models", "List the model cards."),
        ("published", "List published constants, frontiers and rules of hyperparameters."),
    ):
        verbs.add(name, run, about).set_defaults(listing=name)


def run(options: Arguments) -> None:
    """Print a catalogue."""
    import bayescale as bs

    table = getattr(bs, f"list_{options.listing}")()
    if options.json:
        print_json(table_records(table))
        return
    columns = {
        "datasets": ["title", "licence"],
        "laws": ["response", "inputs", "source"],
        "models": ["law", "title", "references"],
        "published": ["of", "source", "note"],
    }[options.listing]
    print_listing(table[columns])
