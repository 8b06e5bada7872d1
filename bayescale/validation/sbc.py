"""Simulation-based calibration: ranks of prior draws within their posteriors."""

import warnings
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, override

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayescale._progress import Stages
from bayescale._seeds import Stream, generator
from bayescale.backend.build import draw_prior, labelled, parameters_from_draws, position_of
from bayescale.backend.likelihood import NoiseOfRuns
from bayescale.backend.observed import Design, Rows
from bayescale.data.levels import column_of
from bayescale.data.runs import Runs
from bayescale.errors import BayescaleWarning
from bayescale.inference.adaptive import enough_draws
from bayescale.inference.base import Sampler, Settings
from bayescale.inference.parallel import Task, run_tasks, task_key
from bayescale.inference.samplers import compiled_logp, target_of
from bayescale.model.card import Model, load_model
from bayescale.model.identifiability import design_warnings
from bayescale.posterior.curve import Curve
from bayescale.posterior.predict import noise_of_runs
from bayescale.posterior.result import Result
from bayescale.units import format_number
from bayescale.validation.sbc_chain import ReversibleChain

_SETTINGS = Settings(draws=250, tune=300, chains=4, cores=1, seed=0)
_RANKED = 100
"""Number of nearly independent draws among which the truth is ranked."""

_R_HAT = 1.05
"""Limit on R-hat; a posterior above it, or with too few effective draws, is sampled for longer."""

_LONGEST = 2
"""Largest factor of longer sampling; if more is needed, the truth is ranked along a reversible
chain through it instead."""

_BEYOND = 10.0
"""Budget of the derived quantities, relative to the largest compute of the design."""

_NULL_DRAWS = 4000


@dataclass(frozen=True, eq=False, repr=False)
class Sbc(Result):
    """Ranks of the truth among posterior draws, over simulations. Created by `bayescale.sbc`.

    Attributes
    ----------
    ranks
        One row per simulation and one column per quantity: the share of posterior draws below
        the truth. If model, sampler and prior are consistent, each column is uniform.
    sampler
        One row per simulation: the smallest ``effective`` sample size over the scalars,
        ``divergences``, and ``along_chain``, 1 if that was too small and the truth was ranked
        among the states of a reversible chain through it.
    ranked
        Number of draws among which the truth is ranked.
    """

    ranks: pd.DataFrame
    sampler: pd.DataFrame
    ranked: int

    def table(self) -> pd.DataFrame:
        """Return the mean rank of each quantity, and a p-value of uniformity.

        Returns
        -------
        DataFrame
            ``mean_rank`` (0.5 is ideal), ``spread`` (standard deviation relative to that of a
            uniform: intervals are too wide below one, too narrow above), and ``p_value``: the
            probability that the ECDF of uniform ranks has a pointwise tail probability as small
            (Säilynoja, Bürkner and Vehtari 2022, arXiv:2103.10522).
        """
        rows = {
            str(name): {
                "mean_rank": float(column.mean()),
                "spread": float(column.std(ddof=0) * np.sqrt(12.0)),
                "p_value": float(np.mean(self._null <= self._least_tail(column.to_numpy()))),
            }
            for name, column in self.ranks.items()
        }
        found = pd.DataFrame.from_dict(rows, orient="index")
        found.index.name = "quantity"
        return found

    def ok(self, level: float = 0.01) -> bool:
        """Return whether all quantities are uniform, at a familywise (Bonferroni) level."""
        return bool((self.table()["p_value"] > level / self.ranks.shape[1]).all())

    def bands(self, prob: float = 0.95) -> pd.DataFrame:
        """Return the simultaneous band of the ECDF of uniform ranks.

        Returns
        -------
        DataFrame
            Indexed by rank: ``lower`` and ``upper`` limits of the ECDF.

        Notes
        -----
        The band accounts for ranks being discrete. That of arviz-stats 1.3 assumes a continuous
        sample: its 95 % band is left by 10 % of uniform sets of 200 ranks among 99 draws, and by
        44 % of sets of 400 (4,000 sets each); this one by 5 % of sets of 200.
        """
        from scipy import stats

        level = float(np.quantile(self._null, 1.0 - prob))
        count = len(self.ranks)
        at = stats.binom(count, self._places)
        return pd.DataFrame(
            {"lower": at.ppf(level / 2.0) / count, "upper": at.isf(level / 2.0) / count},
            index=pd.Index(self._places, name="rank"),
        )

    @cached_property
    def _places(self) -> NDArray[np.float64]:
        return np.arange(1, self.ranked + 1) / (self.ranked + 1)

    @property
    def _null(self) -> NDArray[np.float64]:
        return _null_tails(len(self.ranks), self.ranked)

    def _least_tail(self, ranks: NDArray[np.float64]) -> float:
        return float(_least_tails(np.rint(ranks * self.ranked)[None, :], self.ranked)[0])

    @property
    @override
    def failed(self) -> bool:
        return not self.ok()

    @property
    @override
    def headline(self) -> str:
        verdict = (
            "" if self.ok() else "NOT UNIFORM: the intervals of this model are not calibrated. "
        )
        return (
            f"{verdict}Ranks of the truth among {self.ranked} posterior draws, over "
            f"{len(self.ranks)} simulations."
        )

    @property
    @override
    def sentences(self) -> tuple[str, ...]:
        p_values = self.table()["p_value"]
        count, limit = len(p_values), format_number(0.01 / len(p_values), 2)
        least = format_number(float(p_values.min()), 2)
        return (
            f"The least p-value of {count} quantities is {least}, of {p_values.idxmin()}; if all "
            f"are uniform, one is below {limit} in 1 % of such checks.",
        )

    @property
    @override
    def caveats(self) -> tuple[str, ...]:
        found = []
        if "along_chain" in self.sampler and (count := int(self.sampler["along_chain"].sum())):
            found.append(
                f"{count} of {len(self.ranks)} posteriors mixed slowly, and were ranked along a "
                "reversible chain: the test has less power there."
            )
        if count := int((self.sampler["divergences"] > 0).sum()):
            found.append(f"{count} of {len(self.ranks)} simulations had divergent draws.")
        return tuple(found)

    @override
    def text_table(self) -> pd.DataFrame:
        found: pd.DataFrame = self.table().map(lambda x: format_number(x, 3))
        return found


def sbc(
    model: str | Path | Model,
    design: pd.DataFrame,
    n: int = 200,
    *,
    seed: int = 0,
    executor: Executor | None = None,
    store: str | Path | None = None,
    progress: bool = True,
) -> Sbc:
    """Simulate runs from the prior, fit them, and rank the truth among the draws.

    Parameters
    ----------
    model
        A card id, the path of a card, or a model.
    design
        Design of the runs: one row per run, with a column for each input of the model and for
        what its noise needs. Responses are about one: standard errors and rounding steps are
        relative to them, and runs marked as censored are censored at one.
    n
        Number of simulations.
    seed
        Seed of the simulations and the samplers.
    executor, store, progress
        As in `leave_scale_out`.

    Returns
    -------
    Sbc
        Ranks of the coordinates, natural and noise parameters, the joint log likelihood and, for
        a law of size and tokens, ln N_opt and the loss there at ten times the largest compute.

    Warns
    -----
    BayescaleWarning
        If the design does not identify some parameters. Calibration holds regardless, so designs
        that `fit` refuses only give a warning.

    Notes
    -----
    The level of the loss is drawn relative to one, and the reference point is the centre of the
    design; as in a fit, but independent of the simulated losses.

    Ranks among autocorrelated draws are not uniform even for a correct model. If the draws of a
    posterior remain autocorrelated, as for unidentified parameters, the truth is instead ranked
    among the states of a reversible chain that passes through it at a random time: being itself a
    draw from the posterior, it has a uniform rank. A slowly mixing chain loses power against wrong
    models, but keeps the level of the test.

    Source: Talts et al. 2018, arXiv:1804.06788; Modrák et al. 2023, arXiv:2211.02383, for the
    likelihood as a quantity; Gandy and Scott 2020, arXiv:2001.06465, for ranks along a chain.

    Examples
    --------
    >>> import bayescale as bs
    >>> import pandas as pd
    >>> design = pd.DataFrame({"compute": [1e18, 3e18, 1e19, 3e19, 1e20, 3e20, 1e21]})
    >>> bs.sbc("power-law", design, n=20, progress=False).ranks.shape
    (20, 7)
    """
    model = load_model(model)
    law = model.law
    needs = tuple(model.columns.values())
    kept = [name for name in model.grouped_and_noted if name in design]
    table = design[list(dict.fromkeys((*needs, *kept)))].assign(**{law.response: 1.0})
    runs = Runs(table, "design", observed=needs).for_law(needs, law.response)
    model = model.identified_by(runs)
    for sentence in design_warnings(model, runs, observed=False):
        warnings.warn(sentence, BayescaleWarning, stacklevel=2)
    key = task_key(model, runs, _SETTINGS, _RANKED, _LONGEST, seed)
    tasks = [Task(f"{key}, {i}", (model, runs, seed, i)) for i in range(n)]
    results = run_tasks(
        _rank_once,
        tasks,
        label="simulating",
        executor=executor,
        store=store,
        progress=progress,
    )
    failed = [result["status"] for result in results if "status" in result]
    if failed:
        warnings.warn(
            f"{len(failed)} of {n} simulations could not be fitted and are left out: {failed[0]}",
            BayescaleWarning,
            stacklevel=2,
        )
    found = pd.DataFrame([result for result in results if "status" not in result])
    sampler = ["effective", "divergences", "along_chain"]
    return Sbc(found.drop(columns=sampler), found[sampler], _RANKED)


@lru_cache(maxsize=16)
def _null_tails(count: int, ranked: int) -> NDArray[np.float64]:
    """Return the smallest tail probabilities of simulated sets of `count` uniform ranks."""
    rng = generator(0, Stream.UNIFORM_RANKS)
    return _least_tails(rng.integers(0, ranked + 1, (_NULL_DRAWS, count)), ranked)


def _least_tails(below: NDArray[Any], ranked: int) -> NDArray[np.float64]:
    """Return the smallest binomial tail probability of the ECDF of each row of ranks."""
    from scipy import stats

    rows = np.arange(len(below))[:, None]
    counts = np.zeros((len(below), ranked + 1))
    np.add.at(counts, (rows, below.astype(int)), 1.0)
    # Under uniformity a rank is at most k with probability (k + 1) / (ranked + 1).
    at_most = counts.cumsum(axis=1)[:, :-1]
    at = stats.binom(below.shape[1], np.arange(1, ranked + 1) / (ranked + 1))
    tails = 2.0 * np.minimum(at.cdf(at_most), at.sf(at_most - 1))
    return np.asarray(tails.min(axis=1))


def _rank_once(model: Model, runs: Runs, seed: int, i: int) -> dict[str, float]:
    rng = generator(seed, Stream.SIMULATION, i)
    law, design = model.law, Design.of(model, runs)
    prior = draw_prior(model, rng, 1, design.sizes, design.scale.response)
    drawn = {name: values[None, :1] for name, values in prior.items()}
    coordinates = {name: drawn[name] for name in law.coordinates}
    natural = law.from_reference(coordinates, design.scale.reference)
    truth = labelled(model, design, {**natural, **drawn}, rng)
    mean, noise = _at_runs(model, design, truth, runs)
    response, noted = noise.recorded((mean + noise.draw(rng, mean.shape))[0, 0])
    design = design.observing(model, response, noted)
    settings = replace(_SETTINGS, seed=int(rng.integers(2**32)), target_accept=target_of(model))
    compiled = compiled_logp(model, design.sizes)
    sampled = enough_draws(
        model, compiled, design, settings, Stages(), _RANKED, _R_HAT, longest=_LONGEST
    )
    effective = float(sampled.table["ess_bulk"].min())
    along_chain = effective < _RANKED
    if along_chain:
        among = _passing(model, compiled, design, drawn, sampled.positions, rng)
    else:
        thin = settings.chains * settings.draws // _RANKED
        among = {name: values[:, ::thin] for name, values in sampled.positions.items()}
    posterior = labelled(model, design, parameters_from_draws(model, design, among), rng)
    found = _quantities(model, design, posterior, runs, response)
    ranked = {name: values.to_numpy().ravel() for name, values in found.items()}
    if along_chain:
        # Computed in the same way as the states, so that ties from rejections are exact.
        below = {name: _rank(values[1:], values[0], rng) for name, values in ranked.items()}
    else:
        true = _quantities(model, design, truth, runs, response)
        below = {name: _rank(values, true[name].item(), rng) for name, values in ranked.items()}
    return {
        **below,
        "effective": effective,
        "divergences": int(sampled.stats["diverging"].sum()),
        "along_chain": int(along_chain),
    }


def _passing(
    model: Model,
    compiled: Sampler,
    design: Design,
    drawn: Mapping[str, NDArray[np.float64]],
    draws: Mapping[str, NDArray[np.float64]],
    rng: np.random.Generator,
) -> dict[str, NDArray[np.float64]]:
    """Return the truth, and states of a chain through it, with a metric adapted to the draws."""
    flat = compiled.pack(draws).reshape(-1, len(compiled.start))
    chain = ReversibleChain.learnt(compiled.log_density_given(design.matrix), flat, rng)
    truth = compiled.pack(position_of(model, design, drawn))
    return compiled.unpack(np.vstack([truth, chain.path(truth, _RANKED, rng)])[None])


def _rank(draws: NDArray[np.float64], truth: float, rng: np.random.Generator) -> float:
    """Return the share of draws below the truth, with ties broken at random."""
    equal = int((draws == truth).sum())
    return float(((draws < truth).sum() + rng.integers(0, equal + 1)) / draws.size)


def _at_runs(
    model: Model, design: Design, draws: xr.Dataset, runs: Runs
) -> tuple[NDArray[np.float64], NoiseOfRuns]:
    """Return the mean of the log response of each run, and its noise."""
    log_inputs = {
        name: xr.DataArray(np.log(runs.column(column)), dims="run")
        for name, column in model.columns.items()
    }
    groups = {column: column_of(runs, column) for column in model.groupings}
    curve = Curve.of(model, design.scale, draws, groups, dim="run")
    mean = curve.response(log_inputs).transpose("chain", "draw", "run")
    facts = {name: design.matrix[row] for name, row in Rows(model).noise.items()}
    noise = noise_of_runs(model, draws, curve, mean, log_inputs, facts)
    return np.log(mean.to_numpy()), noise


def _quantities(
    model: Model,
    design: Design,
    draws: xr.Dataset,
    runs: Runs,
    log_response: NDArray[np.float64],
) -> Mapping[str, xr.DataArray]:
    """Return the ranked quantities: all scalars, the likelihood and the optimum."""
    law = model.law
    found: dict[str, Any] = {
        str(name): values for name, values in draws.data_vars.items() if values.ndim == 2
    }
    mean, noise = _at_runs(model, design, draws, runs)
    density = noise.log_density(log_response - mean)
    found["log likelihood"] = draws["sigma"].copy(data=density.sum(axis=-1))
    if law.takes_size_and_tokens:
        size, tokens = (runs.column(model.columns[name]) for name in ("n_params", "n_tokens"))
        log_product = np.log(size * tokens).max() + np.log(_BEYOND)
        first = {column: levels.labels[0] for column, levels in design.levels.items()}
        curve = Curve.of(model, design.scale, draws, first)
        log_ratio = np.log(tokens / size)
        found |= _optimum(curve, log_product, (log_ratio.min(), log_ratio.max()))
    return found


def _optimum(
    curve: Curve, log_product: float, ratios: tuple[float, float]
) -> dict[str, xr.DataArray]:
    """Return ln N_opt and the minimal loss under ``N D = exp(log_product)``.

    With a discrepancy the loss may have several minima or none; the minimum is then taken over
    ratios of tokens to parameters near those of the runs, the same for all draws.
    """
    if curve.discrepancy is None:
        product = xr.DataArray([log_product], dims="budget")
        log_n = curve.optimal_log_params(product).isel(budget=0)
        loss = curve.response({"n_params": log_n, "n_tokens": log_product - log_n})
        return {"ln n_opt": log_n, "loss_opt": loss}
    ratio = np.linspace(ratios[0] - 1.0, ratios[1] + 1.0, 81)
    sizes = xr.DataArray(0.5 * (log_product - ratio), dims="ratio")
    along = curve.response({"n_params": sizes, "n_tokens": log_product - sizes})
    return {"ln n_opt": sizes[along.argmin("ratio")], "loss_opt": along.min("ratio")}
