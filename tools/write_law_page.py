"""Write docs/laws.md from the metadata of laws, cards and published constants."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import bayescale as bs
from bayescale.data.catalog import model_cards
from bayescale.laws import LAWS, Law, Parameter
from bayescale.laws.constants import Constants
from bayescale.laws.hyperparameters import RULES
from bayescale.laws.published import PUBLISHED

PAGE = Path(__file__).parents[1] / "docs" / "laws.md"


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    lines = [
        "# Laws",
        "",
        "Made by `make docs` from the metadata of laws, cards and constants; do not "
        "edit. [Every law on real runs](real-data.md) has their scores.",
        "",
        "| law | formula | response | inputs | cards | constants |",
        "| --- | --- | --- | --- | --- | --- |",
        *(summary(law) for law in LAWS.values()),
        "",
    ]
    for law in LAWS.values():
        lines += section(law)
    lines += [
        "## Frontiers",
        "",
        "Published power laws of the optimum in compute, for `bs.published(...)`:",
        "",
        *(
            f"- `{entry.name}`, {names(entry.coefficients)} in `{entry.variable}`: {entry.source}. "
            f"Counting: {entry.counting}."
            for entry in PUBLISHED.values()
            if not isinstance(entry, Constants)
        ),
        "",
        "## Learning rate and batch size",
        "",
        "Published rules for `bs.hyperparameters(...)` and `bayescale plan --hyperparameters`:",
        "",
        *(f"- `{rule.name}`: {rule.description.partition(': ')[2]}" for rule in RULES.values()),
        "",
        "## Not included",
        "",
        "- Precision-effective size (Kumar et al. 2024, arXiv:2411.04330): the published fit has "
        "offsets that the printed formula lacks, and their sign could not be established.",
        "- Fitted constants of the encoder/decoder law and of BLEU from loss: none could be "
        "verified. The forms are included.",
        "",
    ]
    return "\n".join(lines)


def summary(law: Law) -> str:
    cells = (
        f"[`{law.name}`](#{law.name})",
        math(law.latex),
        f"`{law.response}`",
        names(law.inputs),
        names(cards_of(law)),
        names(constants.name for constants in constants_of(law)),
    )
    return "| " + " | ".join(cells) + " |"


def section(law: Law) -> list[str]:
    lines = [f"## {law.name}", "", f"{law.title.capitalize()}.", "", f"$${law.latex}$$", ""]
    lines.append(f"Source: {'; '.join(law.sources)}.")
    if law.caveat:
        lines += ["", law.caveat]
    lines += ["", *parameter_table("parameter", law.parameters)]
    lines += ["", "Priors are stated on:", "", *parameter_table("coordinate", law.coordinates)]
    for constants in constants_of(law):
        values = ", ".join(f"{name} {value:.6g}" for name, value in constants.parameters.items())
        note = f" ({constants.note})" if constants.note else ""
        lines += ["", f"`{constants.name}`: {values}. {constants.source}{note}."]
    return [*lines, ""]


def parameter_table(head: str, parameters: Mapping[str, Parameter]) -> list[str]:
    rows = [
        f"| `{name}` | {math(p.symbol)} | {p.meaning} | {p.unit} | {p.support} |"
        for name, p in parameters.items()
    ]
    return [f"| {head} | symbol | meaning | unit | support |", "| --- " * 5 + "|", *rows]


def cards_of(law: Law) -> list[str]:
    return [card for card in model_cards() if bs.load_model(card).law == law]


def constants_of(law: Law) -> list[Constants]:
    entries = [entry for entry in PUBLISHED.values() if isinstance(entry, Constants)]
    return [entry for entry in entries if entry.law == law.name]


def math(latex: str) -> str:
    # An unescaped bar ends a table cell.
    return f"${latex}$".replace("|", r"\vert ")


def names(found: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in found)


if __name__ == "__main__":
    main()
