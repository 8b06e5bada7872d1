"""Write the packages, as the import contract lists them, into docs/architecture.md."""

import ast
import re
import textwrap
import tomllib
from itertools import zip_longest
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
COLUMNS = 88
"""Columns of monospaced text on the site."""

BEGIN, END = "<!-- packages: made by `make docs` -->\n", "<!-- end -->"


def main() -> None:
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def page(text: str) -> str:
    """Return the text of the page with the current picture."""
    before, marker, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not marker or not end:
        raise SystemExit(f"{PAGE.name}: the markers of the picture of packages are missing.")
    return before + BEGIN + picture() + END + after


def picture() -> str:
    """Return a line for each package, from the top down, and the packages with forbidden imports.

    Layers and forbidden imports are read from the contracts in pyproject.toml, and the purpose of a
    package from the first sentence of its docstring.
    """
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    linter = settings["tool"]["importlinter"]
    contracts = {contract["type"]: contract for contract in linter["contracts"]}
    layers = [re.split(r"\s*[|:]\s*", layer) for layer in contracts["layers"]["layers"]]
    forbidden = contracts["forbidden"]
    restricted = {name.split(".")[1] for name in forbidden["source_modules"]}
    width = max(len(name) for layer in layers for name in layer) + 2
    lines = ["```text"]
    for layer in layers:
        for name in layer:
            mark = "*" if name in restricted else ""
            job = textwrap.wrap(
                job_of(linter["root_package"], name), COLUMNS - width, break_on_hyphens=False
            )
            lines += [
                f"{head:{width}}│ {line}"
                for head, line in zip_longest([name + mark], job, fillvalue="")
            ]
    lines += [f"{'':{width}}▼ imports", "```", ""]
    lines.append(
        f"\\* imports none of {', '.join(forbidden['forbidden_modules'])}"
        + (f" ({exceptions(forbidden)})" if forbidden.get("ignore_imports") else "")
        + "."
    )
    return "\n".join(lines) + "\n"


def job_of(package: str, name: str) -> str:
    """Return the first sentence of the docstring of a package or module, without importing it."""
    folder = ROOT / package / name
    path = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    if not docstring:
        raise SystemExit(f"{path}: found no docstring, expected one that states its purpose.")
    first = " ".join(docstring.split("\n\n")[0].split()).replace("`", "")
    return re.split(r"(?<=\.) ", first)[0].removesuffix(".")


def exceptions(contract: dict[str, list[str]]) -> str:
    """Return the imports that the contract ignores."""
    found = (entry.split(" -> ") for entry in contract["ignore_imports"])
    return "except " + ", ".join(f"{target} in `{source}`" for source, target in found)


if __name__ == "__main__":
    main()
