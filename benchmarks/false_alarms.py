"""False alarm rate of the checks of a fit: how often they fail although the model is true.

    python -m benchmarks.false_alarms CARD [DATASET] [N]

N times, parameters are drawn from the priors of a card, responses are simulated from them at the
inputs of the runs of a dataset, and the card is fitted to these. Printed is how often each check
fails or remarks. The check `learning` is counted separately: where the simulated runs carry little
information on an exponent, its remark is correct.
"""

import sys
import warnings
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd

import bayescale as bs
from bayescale.backend.build import draw_prior, labelled
from bayescale.backend.observed import Design
from bayescale.errors import BayescaleError
from bayescale.inference.fit import fit_quietly
from bayescale.validation.sbc import _at_runs


def simulated(model: bs.Model, runs: bs.Runs, rng: np.random.Generator) -> bs.Runs:
    """Return the runs with responses drawn from the prior predictive distribution of the model."""
    design, law = Design.of(model, runs), model.law
    prior = draw_prior(model, rng, 1, design.sizes, design.scale.response)
    drawn = {name: values[None, :1] for name, values in prior.items()}
    coordinates = {name: drawn[name] for name in law.coordinates}
    natural = law.from_reference(coordinates, design.scale.reference)
    truth = labelled(model, design, {**natural, **drawn}, rng)
    mean, noise = _at_runs(model, design, truth, runs)
    response = (mean + noise.draw(rng, mean.shape))[0, 0]
    return replace(runs, _table=runs.table.assign(**{law.response: np.exp(response)}))


def main(card: str, dataset: str = "chinchilla", count: str = "200") -> None:
    model, runs = bs.load_model(card), bs.load_runs(dataset)
    found: Counter[tuple[str, str]] = Counter()
    any_of: Counter[str] = Counter()
    fitted = 0
    for i in range(int(count)):
        try:
            fit = fit_quietly(
                simulated(model, runs, np.random.default_rng([7, i])), model, seed=i, draws=250
            )
        except BayescaleError as error:
            found["refused: " + str(error)[:80], "failed"] += 1
            continue
        fitted += 1
        alarms = {(c.name, c.status) for c in fit.criticism if c.status != "passed"}
        found.update(alarms)
        any_of.update({status for name, status in alarms if name != "learning"})
    table = pd.Series(found, dtype=float).sort_index() / max(fitted, 1)
    print(f"{card} on the inputs of {dataset}: {fitted} of {count} simulations fitted")
    print((100 * table).round(1).to_string())
    rates = {status: f"{100 * n / fitted:.1f} %" for status, n in any_of.items()}
    print("any check but learning:", rates)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(*sys.argv[1:])
