"""Scaling laws as equations: metadata and one formula for floats, arrays, draws and graphs.

This package imports only NumPy and pandas. `LAWS` lists all laws.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bayescale.errors import CardError, unknown_name
from bayescale.laws.base import Law, Parameter, Value, Values
from bayescale.laws.broken import BrokenPowerLaw, SignedBrokenPowerLaw
from bayescale.laws.chinchilla import Chinchilla, Coupled
from bayescale.laws.critical_batch import CriticalBatch
from bayescale.laws.data_constrained import DataConstrained, OverFitting
from bayescale.laws.encoder_decoder import EncoderDecoder
from bayescale.laws.experts import MoeGranularity, MoeSparsity
from bayescale.laws.from_loss import (
    AccuracyFromLoss,
    BleuFromLoss,
    ErrorFromLoss,
    LossFromLoss,
)
from bayescale.laws.kaplan import KaplanND, KaplanNDWithFloor
from bayescale.laws.kaplan_ns import KaplanNS, KaplanNSmin
from bayescale.laws.mixing import DOMAINS, DataMixing
from bayescale.laws.mixture_of_experts import MixtureOfExperts
from bayescale.laws.over_training import OverTraining
from bayescale.laws.power import (
    PowerLaw,
    PowerLawWithFloor,
    SaturatingPowerLaw,
    ShiftedPowerLaw,
    SigmoidPowerLaw,
)
from bayescale.laws.transfer import EffectiveDataTransferred
from bayescale.laws.tuning import LearningRateBatch
from bayescale.laws.user import law_of_function

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "LAWS",
    "Law",
    "Parameter",
    "Value",
    "Values",
    "define_law",
    "law",
    "list_laws",
]

type Formula = Callable[..., Any]

LAWS: Mapping[str, Law] = MappingProxyType(
    {
        law.name: law
        for law in (
            Chinchilla(),
            Coupled(),
            KaplanND(),
            KaplanNDWithFloor(),
            KaplanNSmin(),
            KaplanNS(),
            OverTraining(),
            DataConstrained(),
            OverFitting(),
            MixtureOfExperts(),
            MoeSparsity(),
            MoeGranularity(),
            LearningRateBatch(),
            CriticalBatch(),
            PowerLaw(),
            PowerLawWithFloor(),
            ShiftedPowerLaw(),
            SigmoidPowerLaw(),
            SaturatingPowerLaw(),
            *(BrokenPowerLaw(breaks) for breaks in (1, 2, 3, 4)),
            *(SignedBrokenPowerLaw(breaks) for breaks in (1, 2)),
            EncoderDecoder(),
            EffectiveDataTransferred(),
            ErrorFromLoss(),
            AccuracyFromLoss(),
            BleuFromLoss(),
            LossFromLoss(),
            *(DataMixing(domains) for domains in DOMAINS),
        )
    }
)
"""The built-in laws, by name."""

_DEFINED: dict[str, Law] = {}


def law(name: str) -> Law:
    """Return a law by name.

    Raises
    ------
    UnknownNameError
        If there is no such law; the message lists the existing ones.

    Examples
    --------
    >>> law("kaplan-nd").inputs
    ('n_params', 'n_tokens')
    """
    found = LAWS.get(name) or _DEFINED.get(name)
    if found is None:
        raise unknown_name("law", name, (*LAWS, *_DEFINED))
    return found


def define_law(
    name: str, *, source: str = "defined by the user", response: str = "loss"
) -> Callable[[Formula], Formula]:
    """Define a law by a Python function; use as a decorator.

    The function takes its inputs first (column names of the runs), without annotation, then its
    parameters, each annotated with a `Parameter`, and returns the response. It may use operators
    and the NumPy functions that PyTensor and xarray understand (exp, log, log1p, sqrt, abs,
    tanh, power), and it is evaluated on all of them. The name is then valid wherever a law's name
    is: in `Model` and cards, `fit`, `predict`, `allocate` (by a numerical optimum, for a law of
    ``n_params`` and ``n_tokens``) and reports. Check it with `bayescale.testing.check_law`.

    Parameters
    ----------
    name
        Name of the law; defining it again replaces it.
    source
        Its source, for tables and reports.
    response
        The column of the runs that it predicts.

    Raises
    ------
    CardError
        If the name is that of a built-in law, or the signature cannot be read.

    Examples
    --------
    >>> import bayescale as bs
    >>> import numpy as np
    >>> positive = bs.Parameter(meaning="level", symbol="a")
    >>> @bs.define_law("decay")
    ... def decay(n_tokens, a: positive, k: positive):
    ...     return a * np.exp(-k * np.log(n_tokens))
    >>> round(float(bs.law("decay").evaluate(n_tokens=1e9, a=30.0, k=0.1)), 3)
    3.777
    """
    if name in LAWS:
        raise CardError(f"The law {name} ships with bayescale; give yours another name.")

    def define(function: Formula) -> Formula:
        _DEFINED[name] = law_of_function(function, name, source, response)
        return function

    return define


def list_laws() -> "pd.DataFrame":
    """Return a table of the laws: title, formula, response, inputs, parameters, source; by name."""
    import pandas as pd

    rows = [
        {
            "law": entry.name,
            "title": entry.title,
            "formula": entry.latex,
            "response": entry.response,
            "inputs": ", ".join(entry.inputs),
            "parameters": ", ".join(entry.parameters),
            "source": "; ".join(entry.sources),
        }
        for entry in (*LAWS.values(), *_DEFINED.values())
    ]
    return pd.DataFrame(rows).set_index("law")
