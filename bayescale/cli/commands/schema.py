"""``schema``: the JSON schema of what a command prints with ``--json``."""

import argparse

from bayescale.cli.render import print_json
from bayescale.cli.schemas import SCHEMAS, schema_of
from bayescale.cli.verbs import Verbs

type Arguments = argparse.Namespace


def add(verbs: Verbs) -> None:
    """Add the command."""
    schema = verbs.add("schema", run, "Print the JSON schema of a command's --json, or of a file.")
    schema.add_argument("output", metavar="COMMAND", help=f"one of {', '.join(SCHEMAS)}")


def run(options: Arguments) -> None:
    """Print the schema."""
    print_json(schema_of(options.output))
