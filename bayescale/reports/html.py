"""The report as one self-contained page, with its figures, style, script and numbers."""

import base64
import hashlib
import io
import itertools
import json
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from bayescale._io import plain
from bayescale.reports.blocks import Block, Facts, Picture

_RASTER_DPI = 160

_LONG = 32
"""Length, in characters, above which the text of a cell wraps; intervals are shorter."""


def page_of(facts: Facts) -> str:
    """Return the report as one page that loads nothing from a server."""
    from jinja2 import Environment, PackageLoader
    from markupsafe import Markup

    # Everything is escaped, including names from users' files.
    environment = Environment(
        loader=PackageLoader("bayescale", "reports"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_without_breaks,
    )
    environment.tests["long"] = lambda cell: len(cell) > _LONG
    script = _asset("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("report.html.jinja").render(
        facts=facts,
        formula=_formula(facts.formula),
        lamp={"green": "✔", "amber": "▲", "red": "✖"}[facts.light],
        style=Markup(_asset("report.css")),
        script=Markup(script),
        script_digest=digest,
        budgets=Markup(_embedded(plain(facts.budgets.record))) if facts.budgets else "",
        source=_source,
        grouped=_grouped,
    )


def _without_breaks(value: object) -> object:
    """Return text without line breaks between a number and its per cent sign."""
    return value.replace(" %", "\N{NO-BREAK SPACE}%") if type(value) is str else value


def _grouped(blocks: Iterable[Block]) -> list[tuple[bool, list[Block]]]:
    """Return blocks in order, with consecutive figures grouped."""
    groups = itertools.groupby(blocks, lambda block: block.kind == "picture")
    return [(are_pictures, list(group)) for are_pictures, group in groups]


@cache
def _asset(name: str) -> str:
    return files("bayescale.reports").joinpath(name).read_text(encoding="utf-8")


def _embedded(record: object) -> str:
    """Return JSON that is safe inside a script element: it cannot close it or open another."""
    text = json.dumps(record, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _source(picture: Picture) -> str:
    """Return a figure as a data URI."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=picture.size, layout="constrained")
    picture.draw(figure)
    return _inline(figure, "png" if picture.raster else "svg")


def _formula(latex: str) -> str:
    """Return a formula as an inline picture; empty if it cannot be typeset."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 1.0))
    figure.text(0.0, 0.5, f"${latex}$", fontsize=15, parse_math=True)
    try:
        return _inline(figure, "svg", bbox_inches="tight", pad_inches=0.08)
    except ValueError:
        # A symbol of a user's law may be invalid TeX; the page has the formula as text too.
        return ""


def _inline(figure: object, form: str, **options: object) -> str:
    from matplotlib import rc_context

    content = io.BytesIO()
    # A fixed salt, no date and no creator, so that the same fit gives the same bytes.
    metadata = {"Date": None} if form == "svg" else {"Software": None}
    with rc_context({"svg.hashsalt": "bayescale"}):
        figure.savefig(content, format=form, dpi=_RASTER_DPI, metadata=metadata, **options)  # type: ignore[attr-defined]
    kind = {"svg": "image/svg+xml", "png": "image/png"}[form]
    return f"data:{kind};base64," + base64.b64encode(content.getvalue()).decode("ascii")
