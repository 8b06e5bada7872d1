"""Parameter recovery on the laboratory's designs, by simulation-based calibration."""

import time
import warnings
from typing import Any

import numpy as np

import bayescale as bs
from bayescale.errors import BayescaleWarning
from benchmarks.laboratory.tables import CASES, SEED

PROB = 0.9
SIMULATIONS = 20


def recovered(card: str, store: str, simulations: int = SIMULATIONS) -> dict[str, Any]:
    """Return how many 90 % intervals contain the truth, for group and other parameters.

    Parameters are drawn from the prior, runs of the same sizes, tokens and corpora are simulated
    from them, and each true value is ranked among the draws of the fit to these runs.
    """
    case = next(case for case in CASES if case.card == card)
    warnings.simplefilter("ignore", BayescaleWarning)
    used = time.process_time()
    found = bs.sbc(
        case.pooled, case.runs().table, simulations, seed=SEED, store=store, progress=False
    )
    used = time.process_time() - used
    inside = np.abs(found.ranks - 0.5) <= PROB / 2
    groups = [name for name in inside if name.startswith("sd_")]
    others = [name for name in case.plain.law.parameters if name in inside]
    return {
        "simulations": len(inside),
        "groups": [int(inside[groups].to_numpy().sum()), int(inside[groups].size)],
        "others": [int(inside[others].to_numpy().sum()), int(inside[others].size)],
        "least_p": float(found.table()["p_value"].min()),
        "effective": float(found.sampler["effective"].median()),
        "along_chain": int(found.sampler["along_chain"].sum()),
        "seconds": used / max(len(inside), 1),
    }
