"""The structure of the package: uses of isinstance on its own types, and lengths of modules."""

import ast
from pathlib import Path

import bayescale as bs

ROOT = Path(bs.__file__).parent
MODULES = {path.relative_to(ROOT).as_posix(): path for path in ROOT.rglob("*.py")}

MOST_LINES = 450

READERS = {
    # One function each reads what may be given in several forms.
    "allocation/hyperparameters.py": {"HyperparameterRule"},
    "cli/files.py": {"NamesFile"},
    "costs/base.py": {"Cost"},
    "costs/counting.py": {"Counting"},
    "data/load.py": {"Runs"},
    "data/readers.py": {"ArrowTable", "RunLogs"},
    "data/recount.py": {"Shape"},
    "decision/decide.py": {"Serving"},
    "forecasting/curves.py": {"Runs"},
    "inference/learn_prior.py": {"Fit"},
    "laws/user.py": {"Parameter"},
    "model/card.py": {"Law", "Model"},
    "model/pooling.py": {"Prior"},
    "posterior/point.py": {"Constants", "EmpiricalFrontier"},
    "records/score.py": {"Preregistration"},
    "schedules/parse.py": {"Schedule"},
    "sensitivity/floors.py": {"Prior"},
    # These refuse what is of another type, and say what was expected.
    "baselines/isoflop.py": {"Constants"},
    "costs/limits.py": {"Limits"},
    "model/priors.py": {"Prior"},
}
"""The classes of the package that a module may look for, since users give them or something else.

Elsewhere what differs between classes is a method of theirs, such as of the protocols `Posterior`
and `Result`, or a function that `functools.singledispatch` chooses.
"""


def _own_classes(tree: ast.Module) -> set[str]:
    """Return the names of the package's classes that a module defines or imports."""
    defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bayescale")
        for alias in node.names
    }
    return defined | imported


def _looked_for(tree: ast.Module) -> list[str]:
    """Return the names in every `isinstance`, `issubclass` and class pattern of a module."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.MatchClass):
            found.append(node.cls)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
            "isinstance",
            "issubclass",
        ):
            found.append(node.args[1])
    return [name.id for part in found for name in ast.walk(part) if isinstance(name, ast.Name)]


def test_only_readers_of_mixed_input_look_at_the_types_of_the_package() -> None:
    found = {}
    for name, path in MODULES.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if own := _own_classes(tree) & set(_looked_for(tree)):
            found[name] = own
    assert found == READERS, "make it a method, or a reader of mixed input"


def test_no_module_is_long() -> None:
    lengths = {n: len(p.read_text(encoding="utf-8").splitlines()) for n, p in MODULES.items()}
    long = {name: length for name, length in lengths.items() if length > MOST_LINES}
    assert not long, "part it by idea"
