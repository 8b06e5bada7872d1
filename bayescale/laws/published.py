"""Published constants of scaling laws, under names that include their source.

One paper may have several sets: `hoffmann2022` is the printed one, `hoffmann2022-tex` that of the
paper's LaTeX source; they differ by a third in tokens per parameter at Gopher's budget.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from bayescale.errors import unknown_name
from bayescale.laws.constants import Constants, EmpiricalFrontier
from bayescale.laws.hyperparameters import RULES
from bayescale.units import PF_DAY

if TYPE_CHECKING:
    import pandas as pd

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
            source=f"{_KAPLAN}, {passage}",
            note=note,
            inputs={"x": column},
        )
        for variable, column, scale, exponent, passage, note in (
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
    Constants(
        name="kaplan2020-ns",
        law="kaplan-ns",
        parameters={
            **{"N_c": 6.5e13, "S_c": 2.1e3, "alpha_N": 0.077, "alpha_S": 0.76},
            **{"B_star": 2.1e8, "alpha_B": 0.21},
        },
        source=f"{_KAPLAN}, table 3 and the summary of power laws",
        note="N without embeddings; equation 1.4 has B_star 2e8",
    ),
    Constants(
        name="kaplan2020-ns-min",
        law="kaplan-ns-min",
        parameters={"N_c": 6.5e13, "S_c": 2.1e3, "alpha_N": 0.077, "alpha_S": 0.76},
        source=f"{_KAPLAN}, table 3",
        note="N without embeddings; steps adjusted to a very large batch",
    ),
    *(
        Constants(
            name=f"gadre2024-{corpus}",
            law="over-training",
            parameters={"E": floor, "a": a, "b": b, "eta": eta},
            source="Gadre et al. 2024, arXiv:2403.08540, the law for loss",
            note="loss on C4's validation set; N total; confirmed from the released runs",
        )
        for corpus, floor, a, b, eta in (
            ("c4", 1.51, 141.0, 190.0, 0.121),
            ("redpajama", 1.84, 212.0, 367.0, 0.136),
            ("refinedweb", 1.73, 157.0, 246.0, 0.127),
        )
    ),
    Constants(
        name="gadre2024-refinedweb-error",
        law="error-from-loss",
        parameters={"epsilon": 0.865, "k": 2.21, "gamma": 0.707},
        source="Gadre et al. 2024, arXiv:2403.08540, the law for error",
        note="average top-1 error on 17 tasks; confirmed from the released runs",
    ),
    Constants(
        name="ludziejewski2025",
        law="mixture-of-experts",
        parameters={
            **{"a": 35.91, "alpha": 0.1889, "gamma": 0.0098, "delta": -0.2285},
            **{"b": 35.98, "beta": 0.1775, "zeta": -0.0259, "omega": 0.5529},
            **{"E_start": 2.0732, "E_max": 290.4521, "c": 1.3637},
        },
        source="Ludziejewski et al. 2025, arXiv:2502.05172, table 3",
        note="active parameters with embeddings; up to 32 experts",
    ),
    Constants(
        name="abnar2025",
        law="moe-sparsity",
        parameters={
            **{"a": 16612.50, "alpha": 0.5962, "b": 5455.67, "beta": 0.3954},
            **{"c": 0.4598, "kappa": 0.1666, "d": 17.26, "delta": 0.1603, "gamma": 0.1595},
            "e": 0.94,
        },
        source="Abnar et al. 2025, arXiv:2501.12370, table 3, as quoted by two secondary sources",
        note="total parameters with embeddings; compute-optimal runs of sparsities up to 0.95, "
        "3e19 to 1e21 FLOP",
    ),
    Constants(
        name="krajewski2024",
        law="moe-granularity",
        parameters={
            **{"a": 18.1, "alpha": 0.115, "b": 30.8, "beta": 0.147},
            **{"g": 2.1, "gamma": 0.58, "c": 0.47},
        },
        source="Krajewski et al. 2024, arXiv:2402.07871, table 1",
        note="total parameters without embeddings and routers, 64 times the expert parameters that "
        "are active; rounded, so that the losses of the paper's table 2 are met within 1 %",
    ),
    *(
        Constants(
            name=f"henighan2020-{domain}-n",
            law="power-law-floor" if floor else "power-law",
            parameters={**({"E": floor} if floor else {}), "x_c": scale, "alpha": exponent},
            source="Henighan et al. 2020, arXiv:2010.14701, table 1",
            inputs={"x": "n_params"},
        )
        for domain, floor, scale, exponent in (
            ("language", 0.0, 1.47e14, 0.070),
            ("image-8x8", 3.12, 80.0, 0.24),
            ("image-32x32", 2.20, 63.0, 0.13),
            ("video", 1.01, 3.7e4, 0.24),
        )
    ),
    Constants(
        name="zhai2022",
        law="power-law-saturating",
        parameters={
            "E": 0.09,
            "x_c": float(0.26 ** (1 / 0.35)),
            "x_0": 0.01,
            "alpha": 0.35,
        },
        source="Zhai et al. 2022, arXiv:2106.04560, as quoted by secondary sources",
        note="error rate on ImageNet after fine-tuning; x is compute in TPUv3 core-days",
        inputs={"x": "core_days"},
    ),
    *(
        Constants(
            name=f"hernandez2021-{source}",
            law="effective-data-transferred",
            parameters={"k": k, "alpha": alpha, "beta": 0.38},
            source="Hernandez et al. 2021, arXiv:2102.01293, as quoted by secondary sources",
            note=f"from {pretrained} to Python; both amounts of data in one unit",
        )
        for source, pretrained, k, alpha in (
            ("text", "text", 1.9e4, 0.18),
            ("text-and-code", "text and other code", 2.1e5, 0.096),
        )
    ),
    EmpiricalFrontier(
        name="kaplan2020-frontier",
        source=f"{_KAPLAN}, summary of power laws, in C_min",
        variable="compute_min",
        coefficients={
            "n_params": (1.3e9, 0.73),
            "batch_tokens": (2.0e6, 0.24),
            "n_steps": (5.4e3, 0.03),
            "n_tokens": (2.0e10, 0.27),
        },
        counting="N without embeddings; C_min of 6 N B S far below the critical batch size",
        loss=(3.1e8, 0.050),
    ),
    EmpiricalFrontier(
        name="kaplan2020-fixed-batch",
        source=f"{_KAPLAN}, figure 14: at the batch size of most runs, 2^19 tokens",
        variable="compute",
        coefficients={"n_params": (1.6e9, 0.88)},
        counting="N without embeddings; C = 6 N B S",
    ),
    EmpiricalFrontier(
        name="henighan2020-frontier",
        source="Henighan et al. 2020, arXiv:2010.14701, the trend over all domains",
        variable="compute",
        coefficients={"n_params": (5e-12**-0.7, 0.7)},
        counting="not verified for all of its domains",
    ),
    EmpiricalFrontier(
        name="deepseek2024-frontier",
        source="DeepSeek-AI 2024, arXiv:2401.02954, equation 4, as quoted by several secondary "
        "sources",
        variable="compute",
        coefficients={"flop_per_token": (0.1715, 0.5243), "n_tokens": (5.8316, 0.4757)},
        counting="C = M D, M non-embedding FLOP a token with attention, "
        "72 layers width^2 + 12 layers width length; no N",
        unit=1.0,
    ),
    EmpiricalFrontier(
        name="llama3-frontier",
        source="Grattafiori et al. 2024, arXiv:2407.21783, label of figure 3, as quoted by "
        "secondary sources",
        variable="compute",
        coefficients={"n_tokens": (0.299, 0.537)},
        counting="tokens alone; the paper's text rounds to 0.29 and 0.53, which gives a third "
        "fewer tokens at 3.8e25 FLOP",
        unit=1.0,
    ),
    EmpiricalFrontier(
        name="marin2026-moe-frontier",
        source="Marin 2026, marin-community/marin on GitHub, experiments/grug/moe/README.md and "
        "issue 4447: v16 sweep, 64 experts of which 4 are active, 1e18 to 3e20 FLOP",
        variable="compute",
        coefficients={"n_params": (1.09e-2, 0.535), "n_tokens": (16.0, 0.464)},
        counting="N active; 6 N D agrees with C within 1 % from 1e18 to 3e20 FLOP",
        unit=1.0,
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
        One of the keys of `bayescale.laws.published.PUBLISHED`, such as ``"hoffmann2022"``.

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


def list_published() -> "pd.DataFrame":
    """Return a table of all published constants, frontiers and rules of hyperparameters, by name.

    Columns: ``of`` (the law, or the quantities), ``source``, and ``note`` (how size and compute
    are counted, and disputes).
    """
    import pandas as pd

    rows = {
        entry.name: {"of": entry.subject, "source": entry.source, "note": entry.remarks}
        for entry in (*PUBLISHED.values(), *RULES.values())
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("published")
