"""The published schemas: one for each command, each refusing invalid outputs."""

import json

import jsonschema
import pytest

from bayescale.cli.parser import COMMANDS, make_parser
from bayescale.cli.schemas import SCHEMAS, schema_of

FILES = {"report.json", "forecasts.json"}


def test_every_command_has_a_schema():
    # These print no result: `explore` shows a page, and `schema` prints JSON itself.
    assert set(make_parser().verbs) - {"explore", "schema"} == set(SCHEMAS) - FILES
    assert len(COMMANDS) <= len(SCHEMAS)


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_are_valid_and_refuse_other_content(name, run):
    code, out, _ = run("schema", name)
    assert code == 0 and json.loads(out) == schema_of(name)
    schema = schema_of(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:bayescale:schema:{name}:1", "no address"
    judge = jsonschema.Draft202012Validator(schema)
    assert not judge.is_valid("text")
    if schema["type"] == "object":
        known = set(schema.get("properties", {}))
        assert not known or not judge.is_valid({"passed": "yes", "other": 1})


def test_an_unknown_output_is_answered_with_the_names(run):
    code, out, err = run("schema", "alocate")
    assert code == 2 and not out and "Did you mean 'allocate'?" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("laws",),
        ("models",),
        ("datasets",),
        ("published",),
        ("check", "chinchilla"),
        ("completion", "bash"),
    ],
)
def test_outputs_of_quick_commands_follow_their_schemas(arguments, run):
    code, out, _ = run(*arguments, "--json")
    assert code == 0 and out
