"""Write the generated pages of the site: notebooks, model cards, command line, JSON schemas."""

import argparse
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bayescale as bs
from bayescale.cli.parser import make_parser
from bayescale.cli.schemas import SCHEMAS, schema_of
from bayescale.data.catalog import model_cards

ROOT = Path(__file__).parents[1]


def write_pages(folder: Path) -> None:
    """Write every generated page below a folder; unchanged files keep their modification time."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook_page(path, folder / "notebooks")
    _write(folder / "cards.md", cards_page())
    _write(folder / "command-line.md", command_page())
    _write(folder / "schemas.md", schemas_page())


def notebook_page(path: Path, folder: Path) -> None:
    """Write a notebook as a page, with its committed outputs."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    parts = []
    for number, cell in enumerate(cells):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            # Links are relative to notebooks/ in the repository, and to _generated/notebooks/ here.
            parts.append(source.replace("](../docs/", "](../../"))
            continue
        parts.append(_fenced("python", source))
        for place, output in enumerate(cell["outputs"]):
            parts += _output(output, folder, f"{path.stem}-{number}-{place}.png")
    _write(folder / f"{path.stem}.md", "\n\n".join(parts) + "\n")


def _output(output: dict[str, Any], folder: Path, image: str) -> Iterator[str]:
    data = output.get("data", {})
    if "image/png" in data:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / image).write_bytes(base64.b64decode("".join(data["image/png"])))
        yield f"![Figure drawn by the code above]({image})"
    elif "text/html" in data:
        yield _fenced("{raw} html", '<div class="output">' + "".join(data["text/html"]) + "</div>")
    else:
        yield _fenced("text", "".join(output.get("text", data.get("text/plain", ""))))


def _fenced(language: str, text: str) -> str:
    return f"`````{language}\n{text.rstrip()}\n`````"


def cards_page() -> str:
    """Return the page of model cards, with their priors and reasons."""
    lines = [
        "# Model cards",
        "",
        "Generated from the cards. Each names a law, a prior with its reason for every "
        "coordinate of the law, and the noise. `bs.load_model(id)` loads it, and "
        "[](../how-to/write-priors.md) describes how to write one.",
        "",
    ]
    for name in model_cards():
        card = bs.load_model(name)
        lines += [f"## {name}", "", f"{card.title}. Law: `{card.law.name}`.", ""]
        lines += [f"- {reference}" for reference in card.references]
        lines += ["", "| quantity | prior | why |", "| --- | --- | --- |"]
        lines += [f"| `{of}` | {prior} | {prior.why} |" for of, prior in card.stated_priors.items()]
        lines.append("")
    return "\n".join(lines)


def command_page() -> str:
    """Return the page of the command line, from the help of the parser."""
    parser = make_parser()
    (verbs,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    lines = [
        "# The command line",
        "",
        "Every command prints a table and takes `--json`; exit code 0 is success, 1 an "
        "installation in which `doctor` finds a fault, 2 bad input, with one sentence, and 130 an "
        "interruption. Amounts may be written as `70B`, `1.4T`, `5.76e23` or `100 PF-days`. "
        "`--quiet` hides progress bars and warnings, never errors.",
        "",
        'Completion in the shell: `eval "$(bayescale completion bash)"`, '
        "`source <(bayescale completion zsh)` or `bayescale completion fish | source`.",
        "",
    ]
    for name, verb in verbs.choices.items():
        verb.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=90)
        lines += [f"## {name}", "", _fenced("text", verb.format_help()), ""]
    return "\n".join(lines)


def schemas_page() -> str:
    """Return the page of the JSON schemas of outputs and files."""
    lines = [
        "# JSON schemas",
        "",
        "JSON schemas of the output of each command with `--json`, and of two kinds of files; "
        "`bayescale schema NAME` prints one. Tables are lists of rows, and a number that is not "
        "finite is null. The number at the end of `$id` increases if readers of older outputs "
        "would misread newer ones.",
        "",
    ]
    for name in SCHEMAS:
        lines += [f"## {name}", "", _fenced("json", json.dumps(schema_of(name), indent=1)), ""]
    return "\n".join(lines)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
