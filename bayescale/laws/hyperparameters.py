"""Published rules for the best learning rate and batch size, under names that include their source.

Each holds for the optimizer, schedule, parametrisation and data of its measurements.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from bayescale.errors import unknown_name
from bayescale.laws.base import Value, Values

FLOP_PER_PARAM_TOKEN = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HyperparameterRule:
    """A published power law of the best learning rate and of the best batch size.

    Attributes
    ----------
    name, source
        Its name and source.
    counting
        What size and compute mean in it.
    learning_rate, batch_tokens
        Scale and exponents by input: ``n_params``, ``n_tokens`` or ``compute`` (FLOP).
    note
        Disputes and caveats.
    """

    name: str
    source: str
    counting: str
    learning_rate: tuple[float, Mapping[str, float]]
    batch_tokens: tuple[float, Mapping[str, float]]
    note: str = field(default="")

    @property
    def subject(self) -> str:
        """The quantities of the rule."""
        return "learning_rate and batch_tokens"

    @property
    def remarks(self) -> str:
        """What size and compute mean in it, and its caveats."""
        return "; ".join(filter(None, (self.counting, self.note)))

    @property
    def diagnostics(self) -> None:
        """None: no gate applies to a published rule."""
        return None

    def log_optimum(self, log_inputs: Values) -> dict[str, Value]:
        """Return ln of the best learning rate and batch size, at ln of size and tokens.

        A rule in compute is evaluated at 6 N D.
        """
        log_n, log_d = log_inputs["n_params"], log_inputs["n_tokens"]
        at = {
            "n_params": log_n,
            "n_tokens": log_d,
            "compute": float(np.log(FLOP_PER_PARAM_TOKEN)) + log_n + log_d,
        }
        return {
            name: float(np.log(scale)) + sum(power * at[x] for x, power in powers.items())
            for name, (scale, powers) in (
                ("learning_rate", self.learning_rate),
                ("batch_tokens", self.batch_tokens),
            )
        }

    @property
    def description(self) -> str:
        """One line: the source of the rule, its counting, and its caveats."""
        note = f" Note: {self.note}." if self.note else ""
        return f"{self.name}: {self.source}. {self.counting}.{note}"


RULES: Mapping[str, HyperparameterRule] = MappingProxyType(
    {
        rule.name: rule
        for rule in (
            HyperparameterRule(
                name="steplaw2025",
                source="Li et al. 2025, arXiv:2503.04715",
                counting="N without embeddings",
                learning_rate=(1.79, {"n_params": -0.713, "n_tokens": 0.307}),
                batch_tokens=(0.58, {"n_tokens": 0.571}),
                note="a refit of the released runs with the authors' own code gave other "
                "exponents, steplaw2025-refit; the authors have not answered it",
            ),
            HyperparameterRule(
                name="steplaw2025-refit",
                source="step-law/steplaw on GitHub, issue 10: a user's refit of the released "
                "dense runs with the authors' code",
                counting="N without embeddings",
                learning_rate=(
                    float(np.exp(4.375)),
                    {"n_params": -0.7669, "n_tokens": 0.1967},
                ),
                batch_tokens=(
                    float(np.exp(3.53)),
                    {"n_params": -0.2713, "n_tokens": 0.6238},
                ),
                note="disputes steplaw2025",
            ),
            HyperparameterRule(
                name="deepseek2024",
                source="DeepSeek-AI 2024, arXiv:2401.02954, equation 1",
                counting="C is non-embedding FLOP a token with attention times tokens, for which "
                "6 N D stands here",
                learning_rate=(0.3118, {"compute": -0.125}),
                batch_tokens=(0.2920, {"compute": 0.3271}),
                note="fitted at 1e17 to 2e19 FLOP near the compute-optimal size, so that it does "
                "not tell size from tokens; constants as quoted by several secondary sources",
            ),
        )
    }
)
"""Published rules, by name."""


def hyperparameter_rule(name: str) -> HyperparameterRule:
    """Return a published rule by name.

    Raises
    ------
    UnknownNameError
        If there is no such rule.
    """
    try:
        return RULES[name]
    except KeyError:
        raise unknown_name("hyperparameter rule", name, RULES) from None
