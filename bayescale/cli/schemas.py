"""JSON schemas of what commands print with ``--json``, and of the files that other programs read.

`bayescale schema` prints them, the site lists them, and tests validate outputs against them.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from bayescale.errors import unknown_name

type Schema = Mapping[str, Any]

VERSION = 1
"""Version of the formats; it increases if readers of older outputs would misread newer ones."""

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
"""The dialect of the schemas, identified by its URI."""

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": ["number", "null"]}
CELL: Schema = {"type": ["number", "string", "boolean", "null"]}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}


def _described(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _map(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


def _record(optional: tuple[str, ...] = (), /, **fields: Schema) -> Schema:
    """Return the schema of an object with these fields and no others; some may be optional."""
    return {
        "type": "object",
        "properties": fields,
        "required": [name for name in fields if name not in optional],
        "additionalProperties": False,
    }


def _rows(*columns: str, about: str = "") -> Schema:
    """Return the schema of a table: rows with at least these columns."""
    rows = _list({"type": "object", "required": list(columns), "additionalProperties": CELL})
    return _described(rows, about) if about else rows


PASSED = _described(
    {"type": ["boolean", "null"]}, "whether every gate passed; null of published constants"
)
HEADLINE = _described(TEXT, "what the answer is computed from, with a failed gate first")
CAVEATS = _described(_list(TEXT), "limitations of the answer")
SENTENCES = _described(_list(TEXT), "the answer in words")
STATEMENTS = {"headline": HEADLINE, "caveats": CAVEATS, "sentences": SENTENCES}
RESULT = _record(**STATEMENTS, table=_rows(about="the table of the result, as text"))
BACKTEST: Schema = {"anyOf": [RESULT, {"type": "null"}]}

_COLUMN: Schema = {"type": "object", "required": ["name", "base"]}
READ: Schema = {
    "anyOf": [
        _record(
            columns=_list(_COLUMN),
            rows=COUNT,
            left_out=_list(_record(rows=_list(COUNT), why=TEXT)),
        ),
        {"type": "null"},
    ],
    "description": "how each column was read, and the rows left out; null of included datasets",
}

CHECK = _record(
    name=TEXT, status={"enum": ["passed", "remark", "failed"]}, statistic=NUMBER, sentence=TEXT
)
PLANS = _rows("plan", "n_params", "n_tokens", "regret", about="the recommended plan, then yours")
LISTINGS = ("datasets", "laws", "models", "published")

_REPORT = _record(
    passed=PASSED,
    status=TEXT,
    light={"enum": ["green", "amber", "red"]},
    title=TEXT,
    description=TEXT,
    formula=_described(TEXT, "the law in TeX"),
    answers=_described(_list({"type": "object"}), "one for each budget, or each point"),
    next_steps=_list(TEXT),
    caveats=CAVEATS,
    budgets={"type": ["object", "null"]},
    sections=_map(
        _record(
            title=TEXT,
            sentences=_list(TEXT),
            facts=_list({"type": "array", "items": TEXT, "minItems": 2, "maxItems": 2}),
            tables=_list(_record(caption=TEXT, rows=_list({"type": "object"}))),
        )
    ),
    format=_record(schema=COUNT, bayescale=TEXT),
)

_FORECASTS = _record(
    format={"const": "bayescale forecasts 1"},
    content={
        "type": "object",
        "required": ["date", "response", "unit", "posterior", "versions", "runs"],
        "properties": {
            "date": TEXT,
            "response": TEXT,
            "unit": TEXT_OR_NULL,
            "runs": _map(
                {
                    "type": "object",
                    "required": ["inputs", "levels", "beyond", "draws"],
                    "properties": {"inputs": _map(NUMBER), "draws": _list(NUMBER)},
                }
            ),
        },
    },
    sha256={"type": "string", "pattern": "^[0-9a-f]{64}$"},
)

SCHEMAS: Mapping[str, Schema] = MappingProxyType(
    {
        **{name: _list({"type": "object"}) for name in LISTINGS},
        "plan": _record(
            passed=PASSED,
            read=READ,
            decisions=_list(
                _record(
                    ("hyperparameters", "critical_batch"),
                    **STATEMENTS,
                    plans=PLANS,
                    hyperparameters=_rows(),
                    critical_batch=_rows("n_tokens", "critical_batch"),
                )
            ),
            backtest=BACKTEST,
            report=TEXT,
            save=TEXT_OR_NULL,
        ),
        "check": _record(
            name=TEXT,
            runs=COUNT,
            fingerprint=TEXT,
            read=READ,
            notes=_list({"type": "object", "required": ["text", "kind"]}),
            cautions=_list(TEXT),
            backtest=BACKTEST,
        ),
        "fit": _record(
            passed=PASSED,
            status=TEXT,
            checks=_list(CHECK),
            headline=HEADLINE,
            summary=_rows("median", "lower", "upper", "meaning", about="the posterior"),
            allocation={"anyOf": [_rows("budget", "n_opt", "d_opt"), {"type": "null"}]},
            caveats=CAVEATS,
            backtest=BACKTEST,
            read=READ,
            provenance={"type": "object"},
            out=TEXT_OR_NULL,
            report=TEXT_OR_NULL,
        ),
        "predict": _record(
            ("caveats", "sentences"),
            passed=PASSED,
            **STATEMENTS,
            predictions=_rows(about="inputs, the law's value and that of one run, with intervals"),
        ),
        "forecast": _record(**STATEMENTS, forecasts=_rows("curve", "median"), weights=_rows()),
        "forecast-run": _record(passed=PASSED, **STATEMENTS, forecasts=_rows("step", "median")),
        "allocate": _record(
            passed=PASSED,
            headline=HEADLINE,
            caveats=CAVEATS,
            allocation=_rows("budget", "n_opt", "d_opt", "loss_opt", about="one row per budget"),
        ),
        "requirements": _record(passed=PASSED, **STATEMENTS, requirements=_rows("target")),
        "decide": _record(
            passed=PASSED,
            **STATEMENTS,
            budget=NUMBER,
            unit=TEXT,
            cost=TEXT,
            plans=PLANS,
            bands=_rows("within", "lower", "upper", about="sizes near the best"),
            evpi=_described(_map(NUMBER), "expected value of perfect information"),
        ),
        "speedup": _record(
            ("next_runs",),
            passed=PASSED,
            **STATEMENTS,
            baseline=TEXT,
            paired=FLAG,
            speedup=_rows("recipe", "speedup"),
            next_runs=_described(RESULT, "the runs that best resolve which recipe is better"),
        ),
        "mixture": _record(
            passed=PASSED,
            **STATEMENTS,
            unit=_described(TEXT, "unit of the regret"),
            expected_regret=NUMBER,
            p_better=_described(NUMBER, "probability of a lower loss than that of equal shares"),
            mixture=_rows("domain", "recommended", "share"),
        ),
        "next": _record(
            passed=PASSED,
            **STATEMENTS,
            objective={"enum": ["regret", "size", "loss"]},
            before=NUMBER,
            after=NUMBER,
            reduction=NUMBER,
            mcse=_described(NUMBER, "Monte Carlo standard error of the reduction"),
            saving=NUMBER,
            compute=NUMBER,
            runs=_rows("compute", "after", about="in the order of their use"),
        ),
        "first-sweep": _record(
            **STATEMENTS,
            table=_rows(about="the designs, as text"),
            before=_described(NUMBER, "expected regret without any run"),
            designs=_rows("runs", "compute", "regret", about="the recommended design first"),
            runs=_rows("budget", "n_params", "n_tokens", "compute", about="the runs to launch"),
        ),
        "report": _record(passed=PASSED, report=_described(TEXT, "the file that was written")),
        "score": _record(passed=PASSED, **STATEMENTS, summary=_map(NUMBER), runs=_rows("error")),
        "preregister": _record(
            passed=PASSED,
            file=TEXT,
            sha256=TEXT,
            headline=HEADLINE,
            forecasts=_rows("run", "median"),
        ),
        "score-forecast": _record(
            **STATEMENTS,
            pending=_list(TEXT),
            table=_rows("run", "observed"),
            history=_rows("forecasts"),
        ),
        "calibrate": _described(_map(_rows()), "tables of scores or ranks, by what was checked"),
        "compare": _record(
            ("elasticities", "allocation", "cross_regret"),
            **STATEMENTS,
            table=_rows("model", "status"),
            cuts=_list(NUMBER),
            scales=_rows("model", "cut"),
            weights=_described(_map(NUMBER), "stacking weights"),
            figures=_list(TEXT),
            elasticities=_rows(),
            allocation=_rows("model", "budget"),
            cross_regret=_rows("believed", "holds", "regret"),
        ),
        "reconcile": _record(**STATEMENTS, steps=_rows("ladder", "step", "a")),
        "backtest": RESULT,
        "expanding-window": _record(
            **STATEMENTS, meet=_map({"type": ["boolean", "null"]}), cuts=_rows("cut", "status")
        ),
        "multiverse": _record(
            **STATEMENTS, choices=_rows("question", "choice"), combinations=_rows("status")
        ),
        "forecast-by-floor": _record(**STATEMENTS, plan=_map(NUMBER), floors=_rows("status")),
        "learn-prior": _record(
            id=TEXT, priors=_list(_record(quantity=TEXT, base=TEXT, learnt=TEXT)), out=TEXT
        ),
        "export": _record(passed=PASSED, coefficients=_map(NUMBER), export=TEXT_OR_NULL),
        "doctor": _record(ok=FLAG, checks=_list(_record(check=TEXT, ok=FLAG, found=TEXT))),
        "completion": _record(shell=TEXT, script=TEXT),
        "report.json": _described(_REPORT, "the file of `bayescale report --out report.json`"),
        "forecasts.json": _described(_FORECASTS, "the sealed file of `bayescale preregister`"),
    }
)
"""The schema of each command's ``--json``, and of two files."""


def schema_of(name: str) -> dict[str, Any]:
    """Return the JSON schema of the output of a command, or of a file.

    Raises
    ------
    UnknownNameError
        If there is no output of that name.

    Examples
    --------
    >>> schema_of("export")["required"]
    ['passed', 'coefficients', 'export']
    """
    if name not in SCHEMAS:
        raise unknown_name("schema", name, tuple(SCHEMAS))
    # A URN is a name and not an address, so that nothing is fetched.
    identity = f"urn:bayescale:schema:{name}:{VERSION}"
    return {"$schema": _DRAFT, "$id": identity, "title": f"bayescale {name}", **SCHEMAS[name]}
