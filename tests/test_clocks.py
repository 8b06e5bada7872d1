"""Every use of a clock is listed with its purpose: none affects a draw or a result."""

import ast
from pathlib import Path

import bayescale as bs

PACKAGE = Path(bs.__file__).parent

CLOCKS = {
    *("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"),
    *("process_time", "thread_time", "sleep", "now", "today", "utcnow", "localtime", "gmtime"),
}
USES = {
    "inference/nutpie": {"monotonic"},  # the time of the next checkpoint
    "inference/fit": {"perf_counter"},  # the seconds that a fit took, in its provenance
    "records/preregister": {"now"},  # the date of a preregistered forecast
    "schedules/result": {"now"},  # the same, for the forecast of a run
    "cli/planning": {"today"},  # the day on which training starts, unless --start is given
}
"""The clocks that each module reads."""


def _asked(path: Path) -> set[str]:
    """Return the functions of clocks that a module calls."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    called = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return {
        *(f.attr for f in called if isinstance(f, ast.Attribute) and f.attr in CLOCKS),
        *(f.id for f in called if isinstance(f, ast.Name) and f.id in CLOCKS),
    }


def test_every_clock_is_listed() -> None:
    found = {
        path.relative_to(PACKAGE).with_suffix("").as_posix(): asked
        for path in sorted(PACKAGE.rglob("*.py"))
        if (asked := _asked(path))
    }
    assert found == USES
