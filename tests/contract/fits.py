"""Fits of every kind of model by the Laplace approximation, for tests of functions of a fit.

`fit_of_card` returns a real `Fit` of runs simulated from known parameters. Its draws are of the
Laplace approximation about them: the package's own curve says how the runs determine each
unknown, and its own functions turn unconstrained draws into a posterior. The draws are
independent, so that the gates pass.
"""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import xarray as xr
from contract.test_laws import TYPICAL
from scipy.special import ndtri
from scipy.stats.qmc import LatinHypercube

import bayescale as bs
from bayescale.backend.build import labelled
from bayescale.backend.observed import Design
from bayescale.backend.unconstrained import coordinates_of, starting_point, steps_of, variables_of
from bayescale.data.catalog import model_cards
from bayescale.data.column_units import BASES
from bayescale.model.discrepancy import SCALES, SLOPES
from bayescale.model.measurement import share_of
from bayescale.model.noise import INEFFICIENCY, CheckpointCorrelation, Heteroscedasticity
from bayescale.posterior.predict import noise_at_runs

SIZES = np.geomspace(2e7, 1e10, 7)
TOKENS = np.geomspace(5e8, 5e11, 8)
AXES = {
    "n_params": SIZES,
    "n_tokens": TOKENS,
    "n_unique_tokens": np.geomspace(5e8, 5e11, 4),
    "n_steps": np.geomspace(2e3, 3e5, 7),
    "n_steps_min": np.geomspace(2e3, 3e5, 9),
    "batch_tokens": 2.0 ** np.array([17, 20, 23]),
    "n_experts": np.array([1.0, 4.0, 16.0, 64.0, 256.0]),
    "activation_ratio": np.array([1.0, 0.25, 0.1, 0.05, 0.02]),
    "granularity": np.array([1.0, 2.0, 4.0, 16.0]),
    "n_encoder_params": SIZES,
    "n_decoder_params": 1.5 * SIZES,
    "n_finetuning_tokens": np.geomspace(1e5, 1e8, 6),
    "loss": np.linspace(2.0, 4.5, 40),
    "x": np.geomspace(1e6, 1e13, 90),
    **{f"domain_{j}": np.array([0.05, 0.5, 2.0]) for j in range(1, 6)},
}
AXES_OF = {
    "learning-rate-batch": {
        "n_params": np.geomspace(2e7, 1e10, 5),
        "n_tokens": np.geomspace(5e8, 5e11, 5),
        "learning_rate": np.geomspace(3e-4, 2e-2, 5),
        "batch_tokens": 2.0 ** np.array([15, 17, 19, 21, 23]),
    },
    "data-mixing-2": {f"domain_{j}": np.linspace(0.1, 1.0, 6) for j in (1, 2)},
    "broken-power-law-1": {"x": np.geomspace(50.0, 5e3, 80)},
    "broken-power-law-2": {"x": np.geomspace(1e4, 1e14, 150)},
    "broken-power-law-3": {"x": np.geomspace(1e2, 1e16, 200)},
    "broken-power-law-4": {"x": np.geomspace(1e2, 1e18, 240)},
}
"""Where to put runs: a grid over all inputs of a law."""

TRUTH = TYPICAL | {
    # Breaks far enough apart to be identified.
    "broken-power-law-2": {
        **{"a": 0.5, "b": 9.0, "c0": 0.05, "c1": 0.3, "c2": -0.25},
        **{"d1": 1e7, "d2": 1e10, "f1": 0.3, "f2": 0.3},
    },
    "broken-power-law-3": {
        **{"a": 0.1, "b": 9.0, "c0": 0.02, "c1": 0.25, "c2": -0.22, "c3": 0.25},
        **{"d1": 1e6, "d2": 1e9, "d3": 1e12, "f1": 0.3, "f2": 0.3, "f3": 0.3},
    },
    "broken-power-law-4": {
        **{"a": 0.001, "b": 9.0, "c0": 0.25, "c1": -0.2, "c2": 0.25, "c3": -0.22, "c4": 0.27},
        **{"d1": 1e5, "d2": 1e8, "d3": 1e11, "d4": 1e15},
        **{"f1": 0.3, "f2": 0.3, "f3": 0.3, "f4": 0.3},
    },
    "two-powers": {"floor": 1.7, "a": 4.0, "alpha": 0.3, "b": 4.0, "beta": 0.3},
}

NOISE = 0.003
"""Standard deviation of the log response about the law."""

LEVELS = {"family": ("c4", "pile", "web"), "recipe": ("one", "two"), "seed": ("0", "1", "2")}
"""Columns by which models group runs, and their levels."""

CHAINS, DRAWS = 4, 250

_HALF_NORMAL = bs.HalfNormal(scale=0.2, why="for tests")
_SHARE = bs.Beta(a=2.0, b=2.0, why="for tests")
_LENGTH = bs.LogNormal(median=1.0, log_sd=0.5, why="for tests")


def _user_law() -> bs.Model:
    """Return a model of a law that a user defines: of size and tokens, without a closed form."""
    level = bs.Parameter(meaning="irreducible loss", symbol="E")
    term = bs.Parameter(meaning="a term where a run is of a billion", symbol="a")
    exponent = bs.Parameter(meaning="an exponent", symbol="k")

    @bs.define_law("two-powers")
    def two_powers(
        n_params, n_tokens, floor: level, a: term, alpha: exponent, b: term, beta: exponent
    ):
        """Return two power laws and a floor, defined by a user."""
        return (
            floor
            + a * np.exp(-alpha * np.log(n_params / 1e8))
            + b * np.exp(-beta * np.log(n_tokens / 1e9))
        )

    wide = {
        name: bs.LogNormal(median=value, log_sd=0.5, why="for tests")
        for name, value in TRUTH["two-powers"].items()
    }
    return bs.Model(law="two-powers", priors=wide, noise=_base().noise, id="two-powers")


def _base() -> bs.Model:
    return bs.load_model("chinchilla")


def _partial(of: str, by: str, **options: object) -> bs.Pooling:
    return bs.Pooling(of=of, over=by, sd=_HALF_NORMAL, **options)  # type: ignore[arg-type]


def _of_sizes() -> bs.Model:
    """Return the default card, with effects of sizes in tables of any number of them."""
    model = bs.load_model()
    every = tuple(replace(pooling, min_levels=0) for pooling in model.pooling)
    return replace(model, id="of-sizes", pooling=every)


def _with_pooling(name: str, *pooling: bs.Pooling) -> bs.Model:
    return replace(_base(), id=name, pooling=pooling)


def _with_noise(name: str, **changes: object) -> bs.Model:
    model = _base()
    return replace(model, id=name, noise=replace(model.noise, **changes))  # type: ignore[arg-type]


def _normal(name: str, **changes: object) -> bs.Model:
    sigma = {"sigma": _base().noise.priors["sigma"]}
    return _with_noise(name, kind="normal", priors=sigma, **changes)


@cache
def models() -> Mapping[str, bs.Model]:
    """Return every kind of model by name: each card, and features that no card has."""
    slope = bs.Normal(mean=0.0, sd=0.3, why="for tests")
    floor = bs.LogNormal(median=TRUTH["chinchilla"]["E"], log_sd=0.05, why="for tests")
    others = (
        replace(_base(), id="floor-stated", floor=floor),
        _with_pooling("nested", _partial("E", "family"), _partial("E", "family+recipe")),
        _with_pooling(
            "correlated",
            _partial("alpha", "family"),
            _partial("beta", "family", with_="alpha", correlation=_SHARE),
        ),
        _with_pooling("of-settings", _partial("loss", "n_params+n_tokens")),
        _with_pooling("tilted", _partial("n_params", "family")),
        _of_sizes(),
        _user_law(),
        _normal("normal"),
        _normal("inefficiency", inefficiency=_HALF_NORMAL),
        _with_noise("growth-compute", growth=Heteroscedasticity(along="compute", exponent=slope)),
        _with_noise(
            "growth-reducible", growth=Heteroscedasticity(along="reducible", exponent=slope)
        ),
        _with_noise(
            "checkpoints",
            checkpoints=CheckpointCorrelation(run="run", along="n_tokens", length=_LENGTH),
        ),
        _with_noise("standard-error", standard_error="loss_se"),
        _with_noise("rounding", rounding=0.01),
        _with_noise("rounding-share", rounding="0.4 %"),
        _with_noise("rounding-column", rounding="step"),
        _with_noise("censored", censored="diverged"),
    )
    return {card: bs.load_model(card) for card in sorted(model_cards())} | {
        model.id: model for model in others
    }


def table_for(model: bs.Model) -> pd.DataFrame:
    """Return a grid over the inputs of a model, with the law's response at the true parameters.

    It has every column that the model needs.
    """
    law, truth = model.law, TRUTH[model.law.name]
    axes = [AXES_OF.get(law.name, AXES)[name] for name in law.inputs]
    grid = np.array(list(itertools.product(*axes))).T
    inputs = dict(zip(law.inputs, grid, strict=True))
    if "n_unique_tokens" in inputs:
        inputs["n_unique_tokens"] = np.minimum(inputs["n_unique_tokens"], inputs["n_tokens"])
    table = pd.DataFrame({model.columns[name]: values for name, values in inputs.items()})
    table[law.response] = law.evaluate(**inputs, **truth)
    table = table.drop_duplicates().reset_index(drop=True)
    row = np.arange(len(table))
    for column in model.grouped_and_noted:
        if column in LEVELS:
            levels = LEVELS[column]
            # Crossed with the levels of the preceding column.
            table[column] = np.array(levels)[row // (1 if column == "family" else 3) % len(levels)]
    noise = model.noise
    if noise.standard_error:
        table[noise.standard_error] = NOISE * table[law.response]
    if noise.rounding == "step":
        table["step"] = 0.01
    if noise.censored:
        table[noise.censored] = (row % 20 == 7).astype(int)
    if noise.checkpoints and noise.checkpoints.run == "run":
        table["run"] = [f"size {x:.3g}" for x in table["n_params"]]
    return table


def simulated_runs(model: bs.Model, table: pd.DataFrame) -> bs.Runs:
    """Return a table as the runs of a model, with units stated, since amounts may be implausible."""
    law, needs = model.law, tuple(model.columns.values())
    units = {name: BASES[name] for name in (*needs, law.response) if name in BASES}
    runs = bs.load_runs(table, needs=needs, response=law.response, units=units)
    return runs.for_law(needs, law.response)


def laplace_fit(model: bs.Model, table: pd.DataFrame, seed: int = 1) -> bs.Fit:
    """Return a fit of runs simulated from a model at the places of a table, without a sampler.

    Parameters
    ----------
    model
        A model whose law has a `TRUTH`.
    table
        Runs as `table_for` returns them; responses are replaced by simulated ones.
    """
    rng, law = np.random.default_rng(seed), model.law
    runs = simulated_runs(model, table)
    model = model.identified_by(runs)
    draft = _Draft(model, runs)
    truth = draft.truth(rng)
    log_mean = draft.log_mean(truth[None])[0]
    observed = np.exp(log_mean + NOISE * rng.standard_normal(len(log_mean)))
    step = share_of(str(model.noise.rounding))
    if step:
        observed = np.exp(step * np.round(np.log(observed) / step))
    observed_table = table.assign(**{law.response: observed})
    return laplace_posterior(model, simulated_runs(model, observed_table), seed)


def laplace_posterior(model: bs.Model, runs: bs.Runs, seed: int = 1) -> bs.Fit:
    """Return a fit of given runs, simulated from a law's `TRUTH`, without a sampler."""
    rng, model = np.random.default_rng(seed), model.identified_by(runs)
    draft = _Draft(model, runs.for_law(tuple(model.columns.values()), model.law.response))
    return draft.fit(draft.drawn(draft.truth(np.random.default_rng(seed)), rng), seed)


class _Draft:
    """Conversion between parameters of a model and one unconstrained vector."""

    def __init__(self, model: bs.Model, runs: bs.Runs) -> None:
        self.model, self.runs = model, runs
        self.design = Design.of(model, runs)
        self.scalars = [*variables_of(model), *model.other_priors]
        # For existing levels, without padding.
        self.counts = {
            name: len(self.design.levels[e.over]) if (e := self._effect(name)) else shape[0]
            for name, shape in steps_of(model, self.design.sizes).items()
        }

    def _effect(self, name: str) -> bs.Pooling | None:
        return next((e for e in self.model.effects if e.effect == name), None)

    def _spread(self, effect: bs.Pooling) -> float:
        """Return the standard deviation between levels: large for parameters of the law, small for misfit."""
        return 0.05 if effect.of in self.model.law.parameters else 0.002

    @property
    def size(self) -> int:
        return len(self.scalars) + sum(self.counts.values())

    def truth(self, rng: np.random.Generator) -> np.ndarray:
        """Return the parameters from which runs are simulated."""
        model, law, scale = self.model, self.model.law, self.design.scale
        at = law.to_reference(TRUTH[model.law.name], scale.reference)
        for name, prior in model.priors.items():
            at[name] = at[name] / scale.response if prior.relative_to else at[name]
        others = {name: prior.typical for name, prior in model.other_priors.items()}
        others["sigma"] = max(NOISE, 1.1 * model.other_priors["sigma"].lower)
        others |= {e.spread: self._spread(e) for e in model.effects if e.spread in others}
        if INEFFICIENCY in others:
            others[INEFFICIENCY] = NOISE / 10.0
        others |= {name: 5e-4 for name in SCALES if name in others}
        start = starting_point(model, {**at, **others}, self.design.sizes)
        steps = [
            rng.standard_normal(count)
            * (0.4 * self._spread(e) if (e := self._effect(name)) else 1.0)
            for name, count in self.counts.items()
        ]
        return np.concatenate([[start[name] for name in self.scalars], *steps])

    def found(self, points: np.ndarray) -> dict[str, np.ndarray]:
        """Return the result of `parameters_from_draws` at points of shape (chain, draw, parameter)."""
        model, law, design = self.model, self.model.law, self.design
        named = {name: points[..., i] for i, name in enumerate(self.scalars)}
        coordinates, _ = coordinates_of(model, named)
        others = {n: prior.constrain(named[n]) for n, prior in model.other_priors.items()}
        place = len(self.scalars)
        for name, (room,) in steps_of(model, design.sizes).items():
            others[name] = np.zeros((*points.shape[:-1], room))
            others[name][..., : self.counts[name]] = points[..., place : place + self.counts[name]]
            place += self.counts[name]
        in_units = {
            name: value * design.scale.response if model.priors[name].relative_to else value
            for name, value in coordinates.items()
        }
        natural = law.from_reference(in_units, design.scale.reference)
        found = {**natural, **others, **in_units}
        return {name: np.asarray(values) for name, values in found.items()}

    def fit(self, points: np.ndarray, seed: int = 0, *, unseen: bool = True) -> bs.Fit:
        """Return the fit of which points are the draws; without what the runs do not see, if said.

        Their noise, small as it is, would hide the differences of points that lie close together.
        """
        chains, draws, _ = points.shape
        rng = np.random.default_rng(seed)
        of_unseen = rng if unseen else _Still()
        posterior = labelled(self.model, self.design, self.found(points), of_unseen)
        dims = ("chain", "draw")
        stats = {
            "diverging": (dims, np.zeros((chains, draws), dtype=bool)),
            "maxdepth_reached": (dims, np.zeros((chains, draws), dtype=bool)),
            "energy": (dims, rng.standard_normal((chains, draws))),
            "n_steps": (dims, np.full((chains, draws), 7)),
        }
        sampler = {"name": "laplace", "draws": draws, "chains": chains, "seed": seed}
        return bs.Fit(
            model=self.model,
            runs=self.runs,
            scale=self.design.scale,
            _posterior=posterior,
            _sample_stats=xr.Dataset(stats),
            provenance={
                "fingerprint": self.runs.fingerprint,
                "sampler": sampler,
                "versions": {"bayescale": bs.__version__},
                "seconds": {"compile": 0.0, "sample": 0.0},
            },
        )

    def log_mean(self, points: np.ndarray) -> np.ndarray:
        """Return the log of the response at the runs, a row a point."""
        return noise_at_runs(self.fit(points[None], unseen=False), self.runs)[1][0]

    def drawn(self, centre: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return draws of the Laplace approximation of the posterior, about its mode."""
        scale = self._prior_scale()
        observed = np.log(self.runs.column(self.model.law.response))
        step, prior_mean = 1e-5 * scale, centre
        for _ in range(3):
            nudged = np.concatenate([centre[None], centre + np.diag(step), centre - np.diag(step)])
            values = self.log_mean(nudged)
            count = self.size
            slopes = ((values[1 : count + 1] - values[count + 1 :]).T / (2.0 * step)) / NOISE
            # In units of the prior, where the precision is the identity plus the information of the runs.
            design = slopes * scale
            precision = np.eye(count) + design.T @ design
            pull = design.T @ ((observed - values[0]) / NOISE) - (centre - prior_mean) / scale
            centre = centre + scale * np.linalg.solve(precision, pull)
        factor = np.linalg.cholesky(precision)
        # A Latin hypercube for each half of a chain, so that chains agree on every quantity.
        halves = [
            LatinHypercube(count, rng=rng).random(DRAWS // 2).reshape(-1, count)
            for _ in range(2 * CHAINS)
        ]
        normal = ndtri(np.concatenate(halves)).T
        draws = centre + scale * np.linalg.solve(factor.T, normal).T
        return draws.reshape(CHAINS, DRAWS, count)

    def _prior_scale(self) -> np.ndarray:
        """Return the prior standard deviation of each parameter."""
        own = {"sigma": 1.0 / np.sqrt(2.0 * len(self.runs))}
        scalars = [own.get(name, 0.3) for name in self.scalars]
        steps = [
            np.full(count, 1.0 if name == SLOPES else 0.05) for name, count in self.counts.items()
        ]
        return np.concatenate([scalars, *steps])


class _Still:
    """A random number generator that returns zeros."""

    def standard_normal(self, size: tuple[int, ...]) -> np.ndarray:
        return np.zeros(size)


@cache
def fit_of_card(name: str) -> bs.Fit:
    """Return a fit of one of `models`, by its name."""
    model = models()[name]
    return laplace_fit(model, table_for(model))


@cache
def few_draws(fit: bs.Fit, count: int = 40) -> bs.Fit:
    """Return the fit of the first draws of each chain, which are quick but too few to pass gates.

    Each call returns the same object, so that its diagnostics are computed once.
    """
    some = {"draw": slice(count)}
    return replace(
        fit,
        _posterior=fit.posterior.isel(some),
        _sample_stats=fit.sample_stats.isel(some),
    )
