"""Run the code of a page or a notebook: sessions, scripts, commands and the files that it shows."""

import ast
import doctest
import json
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
ROUGHLY = doctest.register_optionflag("ROUGHLY")
"""Marks an example whose page has the output of one run, which for any draws holds to `TOLERANCE`.

An example of a session says `# doctest: +ROUGHLY`, and a block of commands has `:class: roughly`."""

TOLERANCE = 0.3
"""Relative tolerance of numbers."""
POINTS, TINY = 0.5, 1e-6
"""Absolute tolerances of percentages, which may be near zero, and of other numbers."""
_FENCE = re.compile(r"^(?P<fence>`{3,})(?P<head>[^\n`]*)\n(?P<body>.*?)^(?P=fence)$", re.M | re.S)
_CAPTION = re.compile(r"\A(?::[^\n]*\n)*?:caption:\s*(?P<name>\S+)\n")
_ROUGHLY = re.compile(r"\A(?::[^\n]*\n)*?:class:\s*roughly\n")
_OPTIONS = re.compile(r"\A(?::[^\n]*\n)+\n?")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, text, file name, first line and options of comparison."""

    language: str
    text: str
    file: str
    line: int
    flags: int


def blocks(page: str) -> Iterator[Block]:
    for match in _FENCE.finditer(page):
        head, body = match["head"].strip(), match["body"]
        caption = _CAPTION.match(body)
        language = head.removeprefix("{code-block}").strip()
        line = page.count("\n", 0, match.start()) + 1
        flags = FLAGS | ROUGHLY if _ROUGHLY.match(body) else FLAGS
        file = caption["name"] if caption else ""
        yield Block(language, _OPTIONS.sub("", body), file, line, flags)


def run_page(path: Path, main: Callable[[list[str]], int], output: Callable[[], str]) -> int:
    """Run every block in order in the working folder, and return how many were run.

    `main` is the command line; `output` returns what was printed since it was last asked.
    """
    names: dict[str, Any] = {"__name__": "page"}
    count = 0
    for block in blocks(path.read_text(encoding="utf-8")):
        where = f"{path.name}, line {block.line}"
        if block.file:
            Path(block.file).parent.mkdir(parents=True, exist_ok=True)
            Path(block.file).write_text(block.text, encoding="utf-8")
        if block.language == "toml":
            tomllib.loads(block.text)
        elif block.language == "python":
            exec(compile(block.text, where, "exec"), names)
        elif block.language == "pycon":
            _session(block, where, names)
        elif block.language == "console":
            _commands(block, where, main, output)
        else:
            continue
        count += 1
    return count


_NUMBER = re.compile(r"(?<![\w.])[+-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")
_SCALES = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
_RECORD = re.compile(r"\d{4}-\d\d-\d\d(?:T[\d:.+]+)?|\b[0-9a-f]{16,}\b")
"""A date or a digest, which differs each time."""

_AMOUNT = re.compile(rf"({_NUMBER.pattern})([KMBT]?)(?!\w)(?=( %)?)")


class _Checker(doctest.OutputChecker):
    """Compares numbers within a tolerance, and all words, where an example is marked so."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        if not optionflags & ROUGHLY:
            return super().check_output(want, got, optionflags)
        want, got = (_RECORD.sub("(record)", text) for text in (want, got))
        words = [_AMOUNT.sub("0", text) for text in (want, got)]
        wanted, found = ([_amount(x) for x in _AMOUNT.finditer(text)] for text in (want, got))
        # Words are the same only if there are as many numbers.
        near = zip(wanted, found, strict=False)
        return super().check_output(words[0], words[1], doctest.NORMALIZE_WHITESPACE) and all(
            abs(one - two) <= max(TOLERANCE * max(abs(one), abs(two)), POINTS if percent else TINY)
            for (one, percent), (two, _) in near
        )


def _amount(match: re.Match[str]) -> tuple[float, bool]:
    """Return the number of a match, and whether it is a percentage."""
    return float(match[1].replace(",", "")) * _SCALES.get(match[2], 1.0), bool(match[3])


def _session(block: Block, where: str, names: dict[str, Any]) -> None:
    test = doctest.DocTestParser().get_doctest(block.text, names, where, where, block.line)
    said: list[str] = []
    # A session keeps its names for the blocks after it.
    runner = doctest.DocTestRunner(checker=_Checker(), optionflags=FLAGS)
    failed = runner.run(test, out=said.append, clear_globs=False).failed
    names |= test.globs
    assert not failed, "".join(said)


def _commands(
    block: Block, where: str, main: Callable[[list[str]], int], output: Callable[[], str]
) -> None:
    for entry in re.split(r"^\$ ", block.text, flags=re.M)[1:]:
        command, _, expected = entry.partition("\n")
        program, *arguments = shlex.split(command)
        assert program == "bayescale", f"{where}: {command}"
        output()
        assert main(arguments) == 0, f"{where}: {command}"
        found = output()
        if expected.strip():
            want, got = (text.rstrip() + "\n" for text in (expected, found))
            assert _Checker().check_output(want, got, block.flags), (
                f"{where}: {command}\nexpected\n{expected}\nfound\n{found}"
            )


def run_notebook(path: Path) -> None:
    """Run the cells of a notebook in order, and display last values and figures as Jupyter does."""
    import matplotlib.pyplot as plt

    names: dict[str, Any] = {"__name__": "notebook"}
    cells = json.loads(path.read_text("utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    for number, source in enumerate(code, 1):
        where, body = f"{path.name}, cell {number}", ast.parse(source).body
        last = body.pop() if isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), where, "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), where, "eval"), names)
            assert getattr(value, "_repr_html_", value.__repr__)() or repr(value)
        for figure in map(plt.figure, plt.get_fignums()):
            figure.canvas.draw()
        plt.close("all")
