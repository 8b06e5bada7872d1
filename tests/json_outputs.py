"""Hold what commands print as JSON, and the files that they write, to the published schemas."""

import json

import jsonschema
import pytest

from bayescale.cli.schemas import schema_of


def check_json(name: str, text: str) -> None:
    """Fail unless a text is strict JSON that the schema of a command, or of a file, allows."""
    content = json.loads(text, parse_constant=pytest.fail)
    if name != "schema":
        jsonschema.Draft202012Validator(schema_of(name)).validate(content)
