"""Constants as papers print them, each under a name that carries its source.

The same paper often has several: `hoffmann2022` is what is printed, `hoffmann2022-tex` what the
paper's source holds, and they differ by a third in tokens per parameter at Gopher's budget.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from bayescale.errors import unknown_name
from bayescale.laws import law
from bayescale.units import PF_DAY, Amount, parse_amounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Constants:
    """One published set of natural parameters of one law.

    `bayescale.allocate` takes it in place of a fit, as a posterior of one draw. `inputs` names
    the variable of a law of one variable.
    """

    name: str
    law: str
    parameters: Mapping[str, float]
    source: str
    note: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        law(self.law).check_parameters(self.parameters)
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))


@dataclass(frozen=True, slots=True, kw_only=True)
class EmpiricalFrontier:
    """Kaplan's empirical power laws in the batch-adjusted compute C_min, one for each quantity.

    These are separate fits, not the optimum of a law, and they are in C_min: the compute that
    the same loss would have taken far below the critical batch size. At the critical batch size
    the compute actually spent is twice C_min.
    """

    name: str
    source: str
    coefficients: Mapping[str, tuple[float, float]]
    loss: tuple[float, float]

    def at(self, *, compute_min: Amount) -> dict[str, float]:
        """Return size, batch, steps, tokens and loss at a batch-adjusted compute.

        Parameters
        ----------
        compute_min
            C_min, in FLOP or as text such as ``"1 PF-days"``.

        Returns
        -------
        dict
            ``n_params``, ``batch_tokens``, ``n_steps`` (S_min), ``n_tokens`` and ``loss``
            (nats/token).

        Examples
        --------
        >>> from bayescale import published
        >>> frontier = published("kaplan2020-frontier")
        >>> f"{frontier.at(compute_min='1 PF-days')['n_params']:.3g}"
        '1.3e+09'
        """
        c = float(parse_amounts(compute_min, "compute", "compute_min")[0]) / PF_DAY
        point = {name: float(k * c**power) for name, (k, power) in self.coefficients.items()}
        scale, exponent = self.loss
        return {**point, "loss": float((scale / c) ** exponent)}


_HOFFMANN = "Hoffmann et al. 2022, arXiv:2203.15556"
_BESIROGLU = "Besiroglu et al. 2024, arXiv:2404.10102"
_KAPLAN = "Kaplan et al. 2020, arXiv:2001.08361"

_ENTRIES: tuple[Constants | EmpiricalFrontier, ...] = (
    Constants(
        name="hoffmann2022",
        law="chinchilla",
        parameters={"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28},
        source=f"{_HOFFMANN}, equation 10, as printed",
        note="two-decimal exponents; see hoffmann2022-tex",
    ),
    Constants(
        name="hoffmann2022-tex",
        law="chinchilla",
        parameters={
            "E": float(np.exp(0.5267228)),
            "A": float(np.exp(6.0073404)),
            "B": float(np.exp(6.0179186)),
            "alpha": 0.33917084,
            "beta": 0.2849083,
        },
        source=f"{_HOFFMANN}, unrounded values in the paper's TeX source",
    ),
    Constants(
        name="besiroglu2024",
        law="chinchilla",
        parameters={
            "E": 1.8172,
            "A": 482.01,
            "B": 2085.43,
            "alpha": 0.3478,
            "beta": 0.3658,
        },
        source=f"{_BESIROGLU}, as printed",
    ),
    Constants(
        name="besiroglu2024-log",
        law="chinchilla",
        parameters={
            "E": float(np.exp(0.59711196)),
            "A": float(np.exp(6.17795598)),
            "B": float(np.exp(7.64273236)),
            "alpha": 0.34781303,
            "beta": 0.36585412,
        },
        source=f"{_BESIROGLU}, unrounded logarithms",
    ),
    Constants(
        name="kaplan2020-nd",
        law="kaplan-nd",
        parameters={"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103},
        source=f"{_KAPLAN}, table 2 (the joint fit of L(N, D))",
        note="N without embeddings; early-stopped runs with 10 % dropout",
    ),
    *(
        Constants(
            name=f"kaplan2020-{variable}",
            law="power-law",
            parameters={"x_c": scale, "alpha": exponent},
            source=f"{_KAPLAN}, {place}",
            note=note,
            inputs={"x": column},
        )
        for variable, column, scale, exponent, place, note in (
            ("n", "n_params", 8.8e13, 0.076, "equation 1.1", "N without embeddings"),
            ("d", "n_tokens", 5.4e13, 0.095, "equation 1.2", "early-stopped"),
            ("c", "compute", 1.6e7 * PF_DAY, 0.057, "the fit to naive compute", "fixed batch size"),
            ("c-min", "compute_min", 3.1e8 * PF_DAY, 0.050, "equation 1.3", "C_min"),
        )
    ),
    Constants(
        name="muennighoff2023",
        law="data-constrained",
        parameters={
            "E": float(np.exp(0.6254804)),
            "A": float(np.exp(6.255414)),
            "B": float(np.exp(7.3049974)),
            "alpha": 0.3526596,
            "beta": 0.3526596,
            "R_D": 15.387756,
            "R_N": 5.309743,
        },
        source="Muennighoff et al. 2023, arXiv:2305.16264, unrounded values of the C4 fit",
    ),
    Constants(
        name="caballero2022-toy",
        law="broken-power-law-1",
        parameters={
            "a": 0.41388453071629455,
            "b": 2.2772722897737556,
            "c0": 0.055077348404973955,
            "c1": 5.662903816010331,
            "d1": 612.5836172918001,
            "f1": 0.059193036393742314,
        },
        source="Caballero et al. 2022, arXiv:2210.14891, the released worked example",
        note="ground truth of four-digit addition; x is the number of training examples",
        inputs={"x": "n_examples"},
    ),
    EmpiricalFrontier(
        name="kaplan2020-frontier",
        source=f"{_KAPLAN}, summary of power laws, in C_min",
        coefficients={
            "n_params": (1.3e9, 0.73),
            "batch_tokens": (2.0e6, 0.24),
            "n_steps": (5.4e3, 0.03),
            "n_tokens": (2.0e10, 0.27),
        },
        loss=(3.1e8, 0.050),
    ),
)

PUBLISHED: Mapping[str, Constants | EmpiricalFrontier] = MappingProxyType(
    {entry.name: entry for entry in _ENTRIES}
)


def published(name: str) -> Constants | EmpiricalFrontier:
    """Return a published set of constants.

    Parameters
    ----------
    name
        One of the keys of `bayescale.constants.PUBLISHED`, such as ``"hoffmann2022"``.

    Returns
    -------
    Constants or EmpiricalFrontier
        The constants, with the law they belong to and their source.

    Raises
    ------
    UnknownNameError
        If there is no such set.
    """
    try:
        return PUBLISHED[name]
    except KeyError:
        raise unknown_name("published set", name, PUBLISHED) from None
