"""Validate the JSON output of commands, and files, against the published schemas."""

import json

import jsonschema
import pytest

from bayescale.cli.schemas import schema_of


def check_json(name: str, text: str) -> None:
    """Fail unless a text is strict JSON that satisfies the schema of a command or file."""
    content = json.loads(text, parse_constant=pytest.fail)
    if name != "schema":
        jsonschema.Draft202012Validator(schema_of(name)).validate(content)
