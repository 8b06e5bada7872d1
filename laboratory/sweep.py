"""A sweep: the runs that a file of designs lists, each trained once, cheapest first.

A design is a product of lists: corpora, shapes, numbers of tokens or budgets, batch sizes,
multiples of the rule's learning rate, schedules, numbers of epochs and seeds. Runs that several
designs list are trained once. Cheapest first, so that an unfinished table has runs of every design.
"""

import itertools
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from laboratory.training import Setting
from laboratory.transformer import Shape

FILE = Path(__file__).with_name("sweep.toml")

FACTORS = {
    "corpora": ("prose",),
    "batch_tokens": (256,),
    "rate_factors": (1.0,),
    "schedules": ("cosine",),
    "epochs": (1,),
    "seeds": (1,),
}
"""The factors of a design besides shapes and tokens, with their default values."""

STANDARD = {name: values[0] for name, values in FACTORS.items() if name not in ("corpora", "seeds")}
"""Standard values: runs with others are flagged, and left out of fits by default."""


@dataclass(frozen=True)
class Rule:
    """The learning rate of a size, a power law measured by the design `learning-rate`."""

    rate: float
    n_params: float
    exponent: float

    def __call__(self, shape: Shape, factor: float = 1.0) -> float:
        rate = self.rate * (shape.n_params / self.n_params) ** -self.exponent * factor
        return float(f"{rate:.4g}")


@dataclass(frozen=True)
class Sweep:
    """The runs to be trained, cheapest first, and the names of the designs that list each."""

    designs: Mapping[Setting, tuple[str, ...]]
    rule: Rule

    @property
    def settings(self) -> list[Setting]:
        return sorted(self.designs, key=lambda setting: (setting.training_flop, setting))

    def is_standard(self, setting: Setting) -> bool:
        """Return whether batch size, learning rate, schedule and epochs are standard."""
        return (
            setting.batch_tokens == STANDARD["batch_tokens"]
            and setting.schedule == STANDARD["schedules"]
            and setting.epochs == STANDARD["epochs"]
            and setting.learning_rate == self.rule(setting.shape)
        )

    @classmethod
    def read(cls, path: Path = FILE) -> "Sweep":
        """Read a file of designs."""
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        rule = Rule(**content["rule"])
        found: dict[Setting, list[str]] = {}
        for design in content["design"]:
            for setting in _settings(design, rule):
                found.setdefault(setting, []).append(design["name"])
        return cls({setting: tuple(names) for setting, names in found.items()}, rule)


def _settings(design: Mapping[str, Any], rule: Rule) -> Iterator[Setting]:
    known = {"name", "why", "shapes", "n_tokens", "compute", "learning_rates", *FACTORS}
    if unknown := set(design) - known:
        raise ValueError(
            f"design {design.get('name')!r}: found {sorted(unknown)}, expected {sorted(known)}."
        )
    if ("n_tokens" in design) == ("compute" in design):
        raise ValueError(f"design {design['name']!r}: expected either n_tokens or compute.")
    stated = design.get("learning_rates")
    if stated and "rate_factors" in design:
        raise ValueError(f"design {design['name']!r}: expected learning_rates or rate_factors.")
    varied: list[Sequence[Any]] = [design.get(name, given) for name, given in FACTORS.items()]
    for (width, layers), *chosen in itertools.product(design["shapes"], *varied):
        corpus, batch, factor, schedule, epochs, seed = chosen
        shape = Shape(width, layers)
        learning_rates = stated or [rule(shape, factor)]
        amounts = design.get("n_tokens") or [c / (6 * shape.n_params) for c in design["compute"]]
        for amount, learning_rate in itertools.product(amounts, learning_rates):
            yield Setting(
                corpus=corpus,
                width=width,
                layers=layers,
                n_tokens=max(1, round(amount / batch)) * batch,
                batch_tokens=batch,
                learning_rate=learning_rate,
                schedule=schedule,
                epochs=epochs,
                seed=seed,
            )
