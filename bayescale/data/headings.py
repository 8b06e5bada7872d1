"""Parse the heading of a column: the quantity, its unit, and how it was counted.

Common forms are recognised: ``Model size (M)``, ``tokens_B``, ``non_emb_params``, ``C (PF-days)``,
``val/loss``, ``acc (%)``. A heading with an unknown word is not: ``model_size_mb`` is not a number
of parameters, and ``cd_val_loss`` may be any loss.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bayescale.data.wandb import key_of

OPEN_UNITS: Mapping[str, str] = {
    "log": "a logarithm without its base; state log10, ln or log2",
    "bits": "bits, of a token or of a byte; state bits/token or bits/byte",
}
"""Ambiguous units of headings, with what to state instead."""

ACTIVE = "active for a token"
"""How sizes of sparse models are counted if not all parameters are."""


@dataclass(frozen=True)
class Heading:
    """A parsed heading.

    Attributes
    ----------
    quantity
        The standard name of the quantity, or an empty text.
    unit
        The unit as `bayescale.data.column_units.column_unit` reads it, or a key of `OPEN_UNITS`;
        empty if the heading names none.
    rank
        Of several columns of one quantity, those of the lowest rank are preferred.
    counted
        How the quantity was counted or measured, as text, if not as usual.
    """

    quantity: str = ""
    unit: str = ""
    rank: int = 0
    counted: str = ""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_NEUTRAL = _set("n num no nr number of count total all the")
_SPLITS = _set(
    "val valid validation eval evaluation test dev heldout train training final last best min "
    "max mean avg average averaged smoothed"
)
_TRAINED = _set("train training trained pretrain pretraining")
_PLANNED = _set("budget target planned")

_WORDS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "n_params": (
        _set("params param parameters parameter"),
        _NEUTRAL | _set("model trainable size network active activated nonemb"),
    ),
    "n_tokens": (
        _set("tokens token toks"),
        _NEUTRAL | _TRAINED | _PLANNED | _set("seen processed consumed input used"),
    ),
    "compute": (
        _set("flops flos compute pfdays"),
        _NEUTRAL | _TRAINED | _PLANNED | _set("achieved actual used model c"),
    ),
    "loss": (
        _set("loss nll ce xent ppl wordppl byteppl bpb bpc bpt bpd nats natsperbyte"),
        _NEUTRAL | _SPLITS | _set("lm language modeling token global"),
    ),
    "error": (
        _set("error err acc"),
        _NEUTRAL | _SPLITS | _set("rate top1"),
    ),
    "n_steps": (
        _set("steps iters"),
        _NEUTRAL | _TRAINED | _set("global optimizer update gradient trainer max"),
    ),
}
"""For each quantity, words of which a heading has at least one, and others that it may have."""

_PHRASES = {
    r"non_?emb(ed(ding)?s?)?|(no|without|wo|w_o|excl|excluding)_emb(ed(ding)?s?)?": "nonemb",
    r"cross_?entropy(_?loss)?": "xent",
    r"(word_(perplexity|ppl)|(perplexity|ppl)_per_word)": "wordppl",
    r"(byte_(perplexity|ppl)|(perplexity|ppl)_per_byte)": "byteppl",
    r"perplexity": "ppl",
    r"bits_(per_)?byte": "bpb",
    r"bits_(per_)?char(acter)?": "bpc",
    r"bits_(per_)?token": "bpt",
    r"bits_(per_)?dim": "bpd",
    r"nats_(per_)?byte": "natsperbyte",
    r"nats_(per_)?token": "nats",
    r"(p|peta)_?(f|flops?)_?(s_)?days?": "pfdays",
    r"(?P<p>[kmgtpezy]|kilo|mega|giga|tera|peta|exa|zetta|yotta)?_?flops?": r"\g<p>flops",
    r"held_out": "heldout",
    r"top_1": "top1",
    r"accuracy|accuracies": "acc",
    r"step": "steps",
    r"iter|iterations?": "iters",
    r"optimi[sz]er": "optimizer",
    r"updates": "update",
    r"percent(age)?|pct|per_cent": "%",
    r"0_100": "%",
    r"n(?P<of>params?|parameters|tokens?|steps)": r"\g<of>",
    r"thousands?": "K",
    r"millions?|mio|mln|mil": "M",
    r"billions?|bn|bil|mrd": "B",
    r"trillions?": "T",
}
_PHRASE = [(re.compile(rf"(?<![^_])(?:{old})(?![^_])"), new) for old, new in _PHRASES.items()]

_SI = {
    **{"k": "K", "m": "M", "g": "G", "t": "T", "p": "P", "e": "E", "z": "Z", "y": "Y"},
    **{"kilo": "K", "mega": "M", "giga": "G", "tera": "T"},
    **{"peta": "P", "exa": "E", "zetta": "Z", "yotta": "Y"},
}
_FLOPS = re.compile("(" + "|".join(sorted(_SI, key=len, reverse=True)) + ")?flops")
_POWER = re.compile(r"[x\u00d7*]?_?(?:1e(\d+)|10\^?\{?(\d+)\}?)(?:_?(?:flops|tokens|params))?")
# Footnote marks, LaTeX and Markdown delimiters, and arrows for the better direction.
_ORNAMENTS = re.compile(
    r"[$\u2020\u2021\u00a7\u2191\u2193]|\*+\s*$|(?<=[^\W\d])[\u00b9\u00b2\u00b3\u2074-\u2079]\s*$|^\*+|`"
)
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")

_SCALES = {"k": "K", "m": "M", "b": "B", "g": "B", "t": "T", "mm": "M"}
_OF_LOSS = {
    "ppl": "perplexity",
    "wordppl": "perplexity/word",
    "byteppl": "perplexity/byte",
    "bpb": "bits/byte",
    "bpc": "bits/character",
    "bpt": "bits/token",
    "bpd": "bits/dim",
    "nats": "nats/token",
    "natsperbyte": "nats/byte",
    "bits": "bits",
    "bit": "bits",
}
_BRACKETED = re.compile(r"(?P<stem>.*?)[\s_]*[(\[](?P<inside>[^()\[\]]*)[)\]](?P<after>.*)")
_LOGARITHM = re.compile(r"(?P<base>log_?10|log_?2|ln|log)(?P<of>(?=[\s_(\[]).+)")


def read_heading(column: str, aliases: Mapping[str, frozenset[str]]) -> Heading:
    """Parse the heading of a column.

    Parameters
    ----------
    column
        The heading.
    aliases
        Complete headings of each quantity, as `bayescale.data.wandb.key_of` normalises them.

    Examples
    --------
    >>> read_heading("Model size (M)", {"n_params": frozenset({"model_size"})})
    Heading(quantity='n_params', unit='M', rank=0, counted='')
    >>> read_heading("eval/perplexity", {}).unit, read_heading("val_bpb", {}).unit
    ('perplexity', 'bits/byte')
    >>> read_heading("model_size_mb", {"n_params": frozenset({"model_size"})}).quantity
    ''
    """
    if len(column) > 200:
        return Heading()
    text = _ORNAMENTS.sub("", column).strip().lstrip("#").strip().translate(_SUPERSCRIPTS)
    for stem, stated in _readings(text):
        for words in dict.fromkeys((key_of(stem), _normalised_words(stem))):
            found = _heading_of(words, aliases)
            if found.quantity and not stated:
                return found
            unit = _unit_of(found, _normalised_words(stated)) if found.quantity else ""
            if unit:
                rank = found.rank + (unit in OPEN_UNITS)
                return Heading(found.quantity, unit, rank, found.counted)
    return Heading(unit=_unit_alone(text))


def _readings(text: str) -> Iterator[tuple[str, str]]:
    """Yield the ways to split a heading into the name of a quantity and its unit."""
    if logarithm := _LOGARITHM.fullmatch(text.lower()):
        yield text[logarithm.start("of") :].strip(" _()[]"), logarithm["base"].replace("_", "")
    if bracketed := _BRACKETED.fullmatch(text):
        stem = f"{bracketed['stem']} {bracketed['after']}".strip()
        yield stem, bracketed["inside"]
        yield f"{stem} {bracketed['inside']}", ""
        return
    yield text, ""
    if "," in text:
        stem, _, stated = text.rpartition(",")
        yield stem, stated
    if "/" in text:
        stem, _, stated = text.rpartition("/")
        yield stem, stated
    words = _normalised_words(text).split("_")
    if len(words) > 2 and words[-2] == "in":
        yield "_".join(words[:-2]), words[-1]
    stem = "_".join(words[:-1])
    if len(stem) > 1 or _POWER.fullmatch(words[-1]):  # n_b and d_m may abbreviate anything
        yield stem, words[-1]


def _normalised_words(text: str) -> str:
    """Return a text in lower case, with underscores between words and one word for each phrase."""
    separated = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text.strip())
    key = key_of(separated).strip("_")
    for old, new in _PHRASE:
        key = old.sub(new, key)
    return key


def _heading_of(key: str, aliases: Mapping[str, frozenset[str]]) -> Heading:
    """Return the quantity that the words of a heading name, and the unit that they imply."""
    words = key.split("_")
    exact = next((name for name, known in aliases.items() if key in known), "")
    flops = [match for word in words if (match := _FLOPS.fullmatch(word))]
    plain = ["flops" if _FLOPS.fullmatch(word) else word for word in words]
    candidates = [
        name
        for name, (core, others) in _WORDS.items()
        if set(plain) & core and set(plain) <= core | others
    ]
    name = exact or (candidates[0] if candidates else "")
    if name == "loss":
        measured = next((_OF_LOSS[word] for word in words if word in _OF_LOSS), "")
        trained = bool(set(words) & _TRAINED)
        rank = (measured not in ("", "nats/token")) + 2 * trained
        return Heading(name, measured, rank, "a training loss" if trained else "")
    if name == "error":
        accuracy = "acc" in words
        return Heading(name, "accuracy" if accuracy else "", int(accuracy))
    if name == "compute" and flops and (prefix := flops[0][1]):
        # Giga- and teraFLOP(s) are usually of a forward pass, or per second.
        if len(words) == 1 and _SI[prefix] in "KMGTP":
            return Heading()
        return Heading(name, f"{_SI[prefix]}FLOP", int(bool(set(words) & _PLANNED)))
    if name == "compute" and "pfdays" in words:
        return Heading(name, "PF-days")
    if name == "n_params" and "nonemb" in words:
        return Heading(name, "", 1, "without embeddings")
    if name == "n_params" and set(words) & {"active", "activated"}:
        return Heading(name, "", 0, ACTIVE)
    return Heading(name, "", int(bool(set(words) & _PLANNED)))


def _unit_of(of: Heading, stated: str) -> str:
    """Return the unit that a heading states with its quantity, or an empty text."""
    name, stated = of.quantity, stated.removeprefix("in_")
    if name == "loss":
        # log_loss is a name of the cross-entropy, and log10_loss is not.
        return stated if stated in ("log10", "log2", "ln") else _OF_LOSS.get(stated, "")
    if name == "error":
        if stated == "%":
            return "accuracy %" if of.unit else "%"
        return (of.unit or "fraction") if stated in ("fraction", "0_1") else ""
    if name not in ("n_params", "n_tokens", "compute", "n_steps"):
        return ""
    if stated in ("log10", "log2", "ln", "log"):
        return stated
    if power := _POWER.fullmatch(stated):
        return f"1e{power[1] or power[2]}"
    if name == "compute":
        match = _FLOPS.fullmatch(stated)
        if match:
            return f"{_SI[match[1]]}FLOP" if match[1] else "FLOP"
        return "PF-days" if stated == "pfdays" else ""
    if stated in _WORDS[name][0]:
        return {"n_params": "parameters", "n_tokens": "tokens", "n_steps": "steps"}[name]
    scale = stated.split("_")[0]
    rest = set(stated.split("_")[1:]) - {"of"} - _WORDS[name][0]
    return "" if rest else _SCALES.get(scale.lower(), "")


def _unit_alone(text: str) -> str:
    """Return the unit in brackets of a heading whose quantity is not recognised."""
    bracketed = _BRACKETED.fullmatch(text)
    stated = _normalised_words(bracketed["inside"]) if bracketed else ""
    for name in _WORDS:
        if stated and (unit := _unit_of(Heading(name), stated)):
            return unit
    words = set(_normalised_words(text).split("_"))
    return next((unit for word, unit in _OF_LOSS.items() if word in words and word != "nats"), "")
