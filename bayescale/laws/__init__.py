"""Scaling laws as equations: facts and one formula each, on floats, arrays, draws and graphs.

This package imports NumPy and pandas only. `LAWS` is the whole list.
"""

import sys
from collections.abc import Mapping
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING

from bayescale.errors import unknown_name
from bayescale.laws.base import Law, Parameter, Value, Values
from bayescale.laws.chinchilla import Chinchilla, Coupled
from bayescale.laws.kaplan import KaplanND

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "LAWS",
    "Law",
    "Parameter",
    "Value",
    "Values",
    "law",
    "laws",
]

LAWS: Mapping[str, Law] = MappingProxyType(
    {law.name: law for law in (Chinchilla(), Coupled(), KaplanND())}
)


def law(name: str) -> Law:
    """Return a law by name.

    Raises
    ------
    UnknownNameError
        If there is no such law; the message lists those there are.

    Examples
    --------
    >>> law("kaplan-nd").inputs
    ('n_params', 'n_tokens')
    """
    try:
        return LAWS[name]
    except KeyError:
        raise unknown_name("law", name, LAWS) from None


def laws() -> "pd.DataFrame":
    """Return a table of the laws: formula, inputs, parameters and source, indexed by name."""
    import pandas as pd

    rows = [
        {
            "law": entry.name,
            "formula": entry.latex,
            "inputs": ", ".join(entry.inputs),
            "parameters": ", ".join(entry.parameters),
            "source": "; ".join(entry.sources),
        }
        for entry in LAWS.values()
    ]
    return pd.DataFrame(rows).set_index("law")


class _CallablePackage(ModuleType):
    """`bayescale.laws` is this package and, as the other catalogues, a call that lists it."""

    def __call__(self) -> "pd.DataFrame":
        return laws()


sys.modules[__name__].__class__ = _CallablePackage
