"""Do family-specific discrepancies improve predictions of a new family from a few small runs?

    make family-discrepancy TABLES=folder

The discrepancy of the default card is one process, which all families of a table share. Here a
share of its variance is specific to each family. TABLES is a folder with the larger public tables.
Writes docs/family-discrepancy.md.
"""

import argparse
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.linalg import solve_triangular
from scipy.optimize import minimize

import bayescale as bs
from bayescale._seeds import Stream, generator
from bayescale.errors import BayescaleWarning
from bayescale.model.priors import LogNormal, Prior
from benchmarks.public_tables import Tables, load, markdown

type Array = np.ndarray[Any, np.dtype[np.float64]]

PAGE = Path(__file__).parents[1] / "docs" / "family-discrepancy.md"
FEW = (3, 6)
"""Numbers of small runs of the new family that are fitted."""
MOST = 40
"""Largest number of runs of each other family, evenly spaced by compute."""
SEED, DRAWS, OUTCOMES, PROB = 1, 400, 4000, 0.9
FEWEST = 10
ROUNDS, TAIL = 4, 5.0
"""Rounds of adaptive importance sampling, and the degrees of freedom of its proposal."""
LEVEL = bs.HalfNormal(scale=0.35, why="the default of `Model.pool`")
FLOOR = next(p.sd for p in bs.load_model("chinchilla-corpora").pooling if p.of == "E")
DEFAULT, CORPORA = "coupled-discrepancy", "chinchilla-corpora"


@dataclass(frozen=True)
class Arm:
    """What varies between families: the level or the floor, and whether the discrepancy does."""

    name: str
    card: str = DEFAULT
    differs: str = "level"
    specific: bool = False
    alone: bool = False


SPECIFIC = ", family-specific discrepancy"
ARMS = (
    Arm("level"),
    Arm(f"level{SPECIFIC}", specific=True),
    Arm("floor", differs="floor"),
    Arm(f"floor{SPECIFIC}", differs="floor", specific=True),
    Arm("floor, no discrepancy (`chinchilla-corpora`)", CORPORA, "floor"),
    Arm("the new family alone", differs="", alone=True),
)


class Posterior:
    """The posterior of one arm by importance sampling; slopes and effects are integrated out."""

    def __init__(self, arm: Arm, runs: bs.Runs, known: Array) -> None:
        self.arm, self.model, self.law = arm, bs.load_model(arm.card), bs.load_model(arm.card).law
        self.known = known
        inputs = {name: np.log(runs.column(name)) for name in self.law.inputs}
        self.inputs = {name: x - x[known].mean() for name, x in inputs.items()}
        log_loss = np.log(runs.loss)
        distance = sum((x / x[known].std()) ** 2 for x in self.inputs.values())
        nearest = np.argsort(np.where(known, distance, np.inf))[: max(5, known.sum() // 4)]
        self.log_loss = log_loss - np.median(log_loss[nearest])
        family = runs.table["family"].to_numpy()
        self.same = (family[:, None] == family).astype(float)
        priors = dict(self.model.priors) | {"sigma": self.model.noise.all_priors["sigma"]}
        if (process := self.model.discrepancy) is not None:
            effects = process.effects(self.inputs)
            self.rough, self.smooth = (
                effects.T @ effects,
                effects.T @ process.covariance_of_levels() @ effects,
            )
            priors |= {"rough": process.rough, "smooth": process.smooth}
        if arm.differs:
            priors["spread"] = LEVEL if arm.differs == "level" else FLOOR
        self.priors: dict[str, Prior] = priors
        self.names = [*priors, *(["share"] if arm.specific else [])]

    def constrain(self, at: Array) -> tuple[dict[str, float], float]:
        """Return parameters from unconstrained ones, and their log prior density with Jacobian."""
        found, log_density = {}, 0.0
        for name, u in zip(self.names, at, strict=True):
            if name == "share":  # Uniform; sampled as its logit.
                found[name] = 1.0 / (1.0 + np.exp(-u))
                log_density += float(np.log(found[name]) - np.logaddexp(0.0, u))
            elif isinstance(prior := self.priors[name], LogNormal):
                found[name] = prior.median * np.exp(prior.log_sd * u)
                log_density -= 0.5 * u**2
            else:  # Half-normal; sampled as the log of its ratio to the scale.
                found[name] = prior.scale * np.exp(u)
                log_density += float(u - 0.5 * np.exp(2.0 * u))
        return found, log_density

    def moments(self, values: dict[str, float]) -> tuple[Array, Array] | None:
        """Return mean and covariance of the noise-free log losses; None outside the support."""
        law = self.law
        coordinates = {name: values[name] for name in law.coordinates}
        shares = sum(sum(values[e] for e in by) / values[n] for n, by in law.shares.items())
        if shares >= 1.0:
            return None
        natural = law.from_reference(coordinates, law.unit_reference)
        with np.errstate(all="ignore"):
            loss = np.asarray(law.formula(self.inputs, natural))
        covariance = np.zeros((len(loss), len(loss)))
        if "rough" in values:
            covariance = values["rough"] ** 2 * self.rough + values["smooth"] ** 2 * self.smooth
            if "share" in values:
                covariance *= 1.0 - values["share"] * (1.0 - self.same)
        if self.arm.differs:
            effect = values["spread"] * (
                np.ones(len(loss)) if self.arm.differs == "level" else natural[law.floor] / loss
            )
            covariance = covariance + np.outer(effect, effect) * self.same
        return np.log(loss), covariance

    def neg_log_posterior(self, at: Array) -> float:
        """Return minus the log posterior density, up to a constant."""
        if np.abs(at).max() > 12.0:
            return 1e10
        values, log_density = self.constrain(at)
        found = self.moments(values)
        if found is None:
            return 1e10
        mean, covariance = found
        k = self.known
        noisy = covariance[np.ix_(k, k)] + (values["sigma"] ** 2 + 1e-12) * np.eye(k.sum())
        try:
            root = np.linalg.cholesky(noisy)
        except np.linalg.LinAlgError:
            return 1e10
        white = solve_triangular(root, (self.log_loss - mean)[k], lower=True)
        total = 0.5 * white @ white + np.log(np.diag(root)).sum() - log_density
        return float(total) if np.isfinite(total) else 1e10

    def predict(self, held_out: Array, rng: np.random.Generator) -> tuple[Array, float]:
        """Return predictive draws of held-out log losses, and the effective sample size."""
        start = np.zeros(len(self.names))
        options = {"gtol": 1e-2}
        centre = minimize(self.neg_log_posterior, start, method="BFGS", options=options).x
        scale, turn = np.linalg.eigh(_hessian(self.neg_log_posterior, centre))
        root = turn / np.sqrt(np.clip(scale, 0.2, None))
        for _ in range(ROUNDS):
            tried, weight = self.importance_sample(centre, root, rng)
            # The next proposal has the moments of these draws under tempered weights.
            mild = np.sqrt(weight) / np.sqrt(weight).sum()
            centre = mild @ tried
            gap = tried - centre
            root = np.linalg.cholesky((gap.T * mild) @ gap + 1e-6 * np.eye(len(centre)))
        picked = np.bincount(rng.choice(DRAWS, OUTCOMES, p=weight), minlength=DRAWS)
        parts = [
            self.conditional_draws(self.constrain(tried[i])[0], held_out, int(picked[i]), rng)
            for i in np.flatnonzero(picked)
        ]
        return np.concatenate(parts), 1.0 / float((weight**2).sum())

    def importance_sample(
        self, centre: Array, root: Array, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        """Return draws of a Student-t proposal, and their importance weights."""
        steps = rng.standard_normal((DRAWS, len(centre)))
        steps *= np.sqrt(TAIL / rng.chisquare(TAIL, (DRAWS, 1)))
        squares = (steps**2).sum(axis=1)
        log_proposal = -0.5 * (TAIL + len(centre)) * np.log1p(squares / TAIL)
        tried = centre + steps @ root.T
        log_weight = -np.array([self.neg_log_posterior(at) for at in tried]) - log_proposal
        weight = np.exp(log_weight - log_weight.max())
        return tried, weight / weight.sum()

    def conditional_draws(
        self, values: dict[str, float], held_out: Array, count: int, rng: np.random.Generator
    ) -> Array:
        """Return draws of each held-out run given the fitted runs and the parameters."""
        found = self.moments(values)
        assert found is not None
        mean, covariance = found
        k, noise = self.known, values["sigma"] ** 2
        across = covariance[np.ix_(held_out, k)]
        gain = np.linalg.solve(covariance[np.ix_(k, k)] + noise * np.eye(k.sum()), across.T).T
        centre = mean[held_out] + gain @ (self.log_loss - mean)[k]
        spread = np.diag(covariance)[held_out] - (gain * across).sum(axis=1) + noise
        return centre + np.sqrt(np.maximum(spread, 1e-12)) * rng.standard_normal(
            (count, len(centre))
        )


def _hessian(function: Callable[[Array], float], at: Array, step: float = 0.02) -> Array:
    """Return second derivatives by central differences."""
    unit = step * np.eye(len(at))
    found = np.empty((len(at), len(at)))
    for i, a in enumerate(unit):
        for j, b in enumerate(unit[: i + 1]):
            corners = [function(at + s * a + t * b) * s * t for s in (1, -1) for t in (1, -1)]
            found[i, j] = found[j, i] = sum(corners) / (4.0 * step**2)
    return np.clip(np.nan_to_num(found), -1e8, 1e8)


def case(arm: Arm, runs: bs.Runs, family: str, count: int) -> dict[str, float]:
    """Return the scores of an arm on the larger runs of a family, fitted to its smallest ones."""
    rng = generator(SEED, Stream.SIMULATION)
    new = runs.table["family"].to_numpy() == family
    smallest = np.argsort(np.where(new, runs.compute, np.inf), kind="stable")[:count]
    held_out = new & (runs.compute > np.median(runs.compute[new]))
    held_out[smallest] = False
    known = np.zeros(len(runs), dtype=bool) if arm.alone else _thinned(runs, ~new)
    known[smallest] = True
    used = known | held_out
    runs, known, held_out = runs.where(used), known[used], held_out[used]
    posterior = Posterior(arm, runs, known)
    drawn, effective = posterior.predict(held_out, rng)
    observed = posterior.log_loss[held_out]
    low, middle, high = np.quantile(drawn, [0.5 - PROB / 2, 0.5, 0.5 + PROB / 2], axis=0)
    missed = np.maximum(low - observed, 0.0) + np.maximum(observed - high, 0.0)
    return {
        "cover": float((missed == 0.0).mean()),
        "score": float((high - low + 2.0 / (1.0 - PROB) * missed).mean()),
        "width": float((high - low).mean()),
        "mse": float(((observed - middle) ** 2).mean()),
        "effective": effective,
    }


def _thinned(runs: bs.Runs, others: Array) -> Array:
    """Return a mask of the runs of other families that are fitted."""
    kept = np.zeros(len(runs), dtype=bool)
    family = runs.table["family"].to_numpy()
    for name in np.unique(family[others]):
        rows = np.flatnonzero(family == name)
        rows = rows[np.argsort(runs.compute[rows], kind="stable")]
        kept[rows[np.unique(np.linspace(0, len(rows) - 1, MOST).round().astype(int))]] = True
    return kept


def tables_of(folder: Path) -> dict[str, bs.Runs]:
    """Return the tables whose families share a recipe except for the corpus or one setting."""
    tables = Tables(folder)
    settings = ("base-short-chinchilla", "tuned-short-const")
    standard = [f"{corpus}-{setting}" for corpus in ("rw", "owt2") for setting in settings]
    parts = {
        "marin_isoflop": tables.families("marin_isoflop", "outlier == 0"),
        "xlstm_llama_isoflop": tables.families("xlstm_llama_isoflop", "suspect == 0"),
        "porian_isoflop": {name: tables.porian(name) for name in standard},
        "routed_lm_curves": {
            name: tables.routed(name, experts=None if name == "dense" else 8)
            for name in ("dense", "s-base", "hash", "rl-r")
        },
    }
    return {
        "overtraining": bs.load_runs("overtraining"),
        **{name: _joined(found) for name, found in parts.items()},
    }


def _joined(parts: dict[str, bs.Runs]) -> bs.Runs:
    names = ["n_params", "n_tokens", "loss"]
    return load(pd.concat([r.table[names].assign(family=f) for f, r in parts.items()]))


def summary(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Return mean scores, with equal weights of tables and of the families of a table."""
    parts = list(dict.fromkeys([*by, "table"]))
    of_tables = rows.groupby(parts, sort=False)[["cover", "score", "width", "mse"]].mean()
    scores = of_tables.groupby(by, sort=False).mean()
    least = rows.groupby([*by, "family"], sort=False)["cover"].mean().groupby(by, sort=False).min()
    percent = {"interval score": "score", "width": "width"}
    found = {
        "90 % coverage": scores["cover"].map("{:.2f}".format),
        "lowest family": least.map("{:.2f}".format),
        **{name: (100 * scores[of]).map("{:.1f}".format) for name, of in percent.items()},
        "RMSE": (100 * np.sqrt(scores["mse"])).map("{:.1f}".format),
    }
    return pd.DataFrame(found).reset_index()


def gains(rows: pd.DataFrame) -> str:
    """Return in how many tables and families the interval score is lower."""
    texts = []
    for differs in ("level", "floor"):
        counts = []
        for parts, noun in ((["table"], "tables"), (["table", "family"], "families")):
            scores = rows.pivot_table("score", parts, "arm")
            less = scores[f"{differs}{SPECIFIC}"] < scores[differs]
            counts.append(f"{int(less.sum())} of {len(less)} {noun}")
        texts.append(f"with {differs} effects, in {' and '.join(counts)}")
    return "; ".join(texts)


def most_helped(rows: pd.DataFrame) -> str:
    """Return the table whose interval score improves most."""
    scores = rows.pivot_table("score", "table", "arm")
    gain = sum(scores[differs] - scores[f"{differs}{SPECIFIC}"] for differs in ("level", "floor"))
    return str(pd.Series(gain).idxmax())


def study(folder: Path) -> pd.DataFrame:
    """Return the scores of every arm, for each family of every table."""
    tasks = [
        (table, arm, runs, family, count)
        for table, runs in tables_of(folder).items()
        for arm in ARMS
        for family in runs.families
        for count in FEW
    ]
    rows = []
    for table, arm, runs, family, count in tasks:
        about = {"table": table, "arm": arm.name, "family": family, "runs": count}
        rows.append(about | case(arm, runs, family, count))
        print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def page(rows: pd.DataFrame) -> str:
    """Return the page."""
    counts = " or ".join(map(str, FEW))
    helped = most_helped(rows)
    return "\n".join(
        [
            "# Family-specific discrepancies",
            "",
            f"Made by `make family-discrepancy TABLES=folder` (bayescale {bs.__version__}, seed "
            f"{SEED}, {DRAWS} draws); do not edit.",
            "",
            "The discrepancy of the default card is one process, which all families of a table "
            "share. Here a share of its variance, with a uniform prior, is specific to each "
            "family: an independent draw of the same process, so that a table of one family has "
            "the same model as under the card. Cards of bayescale cannot state this.",
            "",
            f"Each family in turn is new: its {counts} smallest runs and up to {MOST} runs of each "
            "other family are fitted, and its runs above its median compute are predicted. Either "
            'the level varies between families too (`Model.pool("family", of=["loss"])`), or the '
            f"floor, as in `{CORPORA}`. Noise is Normal, with the card's prior of its scale; there "
            "are no effects of sizes; slopes and family effects are integrated out, and the other "
            "parameters are sampled by importance sampling. Scores are in per cent of the loss.",
            "",
            "Over all tables, with equal weights:",
            "",
            markdown(summary(rows.sort_values("runs", kind="stable"), ["runs", "arm"])),
            "",
            f"Without `{helped}`, which improves most, over both numbers of runs:",
            "",
            markdown(summary(rows[rows["table"] != helped], ["arm"])),
            "",
            "By table, over both numbers of runs:",
            "",
            markdown(summary(rows, ["table", "arm"])),
            "",
            f"Family-specific discrepancies lower the interval score {gains(rows)}. Of the "
            f"{len(rows)} posteriors, {int((rows['effective'] < FEWEST).sum())} have fewer than "
            f"{FEWEST} "
            f"effective draws; the median is {rows['effective'].median():.0f}.",
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.family_discrepancy")
    parser.add_argument("tables", type=Path, help="folder of the larger public tables")
    options = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)
        rows = study(options.tables)
    PAGE.write_text(page(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
