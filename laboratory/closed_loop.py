"""The closed loop: small runs, a decision for a larger budget, and training the chosen plans.

For each corpus a first sweep is trained and fitted with the default card. Three strategies spend
the same compute on further small runs: those that `bayescale.next_runs` chooses, an isoFLOP sweep
around the posterior optimum, and runs drawn at random. Their runs are trained, all runs are
refitted, and the plan that minimises expected regret is chosen for a budget of 20 times the largest
run so far. The chosen plans and the sizes next to them are then trained.

Runs and decisions are written one by one, so that an interrupted command resumes. A stored decision
is never repeated, so that it precedes the runs that test it.
"""

import json
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bayescale as bs
from bayescale._io import whole_file
from bayescale.errors import BayescaleWarning
from bayescale.posterior.summary import tail_quantiles
from laboratory.sweep import Rule, Sweep
from laboratory.table import Table
from laboratory.texts import CORPORA, corpus
from laboratory.training import Setting, train
from laboratory.transformer import Shape

FOLDER = Path(__file__).parent / "loop"

FIRST_SHAPES = ((8, 1), (16, 1), (16, 2), (24, 2), (32, 2))
FIRST_BUDGETS = (1e10, 2e10)

SHAPES = (*FIRST_SHAPES, (32, 3), (32, 4), (48, 3), (48, 4), (64, 3), (64, 4), (96, 4))
"""The shapes that can be trained; a plan is trained at the nearest size."""

LARGEST = 5e10
"""FLOP of the largest small run."""

CANDIDATES = (1e10, 2e10, LARGEST)
FURTHER = 3 * LARGEST
"""FLOP that each strategy spends on further runs."""

TARGET = 20 * LARGEST
"""FLOP of the target budget."""

FEWEST_TOKENS = 65_536
BATCH = 256

STRATEGIES = ("nothing", "next_runs", "isoFLOP sweep", "random")
PROB = 0.9
SEED = 1


class Loop:
    """Runs and decisions of the loop in a folder.

    Parameters
    ----------
    folder
        Folder of runs, curves and decisions.
    shipped
        A table whose runs are reused instead of being trained.
    """

    def __init__(self, folder: Path = FOLDER, shipped: Table | None = None) -> None:
        self.table = Table(folder)
        self.shipped = shipped or Table()
        self.rule: Rule = Sweep.read().rule
        self.file = folder / "decisions.json"
        self.decisions: dict[str, Any] = (
            json.loads(self.file.read_text(encoding="utf-8")) if self.file.exists() else {}
        )

    def run(self) -> None:
        """Train the missing runs, and make the missing decisions."""
        with self.table.locked():
            for name in CORPORA:
                self.decide(name)
            for name in CORPORA:
                self.trained(self.test_settings(name))

    def decide(self, name: str) -> None:
        """Decide for a corpus with each strategy, from the runs that it chooses."""
        first = [
            self.setting(name, shape, budget) for budget in FIRST_BUDGETS for shape in FIRST_SHAPES
        ]
        if all(f"{name}/{strategy}" in self.decisions for strategy in STRATEGIES):
            return
        fit = fitted(self.trained(first))
        for strategy, further in self.further_runs(name, fit).items():
            key = f"{name}/{strategy}"
            if key not in self.decisions:
                after = fitted(self.trained([*first, *further])) if further else fit
                self.decisions[key] = {
                    "runs": [setting.run for setting in further],
                    "compute": float(sum(compute_of(setting) for setting in further)),
                    **self.decided(name, after),
                }
                with whole_file(self.file) as part:
                    part.write_text(json.dumps(self.decisions, indent=1) + "\n", encoding="utf-8")
                print(f"{key}: {self.decisions[key]['shape']}", flush=True)

    def further_runs(self, name: str, fit: bs.Fit) -> dict[str, list[Setting]]:
        """Return the further runs of each strategy, which cost at most `FURTHER`."""
        pool = [
            setting
            for budget in CANDIDATES
            for shape in SHAPES
            if (setting := self.setting(name, shape, budget)).n_tokens >= FEWEST_TOKENS
        ]
        advice = bs.next_runs(
            fit,
            target=TARGET,
            budget=FURTHER * 1.001,
            candidates=[(setting.shape.n_params, setting.n_tokens) for setting in pool],
            seed=SEED,
        )
        by_amounts = {(float(s.shape.n_params), float(s.n_tokens)): s for s in pool}
        rows = advice.runs[["n_params", "n_tokens"]].itertuples(index=False)
        best = bs.allocate(fit, budget=LARGEST).recommended["n_params"].iloc[0]
        about = sorted(SHAPES, key=lambda shape: abs(np.log(Shape(*shape).n_params / best)))
        drawn, left = [], FURTHER * 1.001
        # A random stream of its own, so that other strategies do not change these draws.
        for index in np.random.default_rng([SEED, *name.encode()]).permutation(len(pool)):
            if compute_of(pool[index]) <= left:
                drawn.append(pool[index])
                left -= compute_of(pool[index])
        return {
            "nothing": [],
            "next_runs": [by_amounts[n, d] for n, d in rows],
            "isoFLOP sweep": [self.setting(name, shape, LARGEST) for shape in about[:3]],
            "random": drawn,
        }

    def decided(self, name: str, fit: bs.Fit) -> dict[str, Any]:
        """Return the plan for the target, its expected regret, and predicted losses by size."""
        made = bs.decide(fit, budget=TARGET)
        plans = [self.setting(name, shape, TARGET) for shape in SHAPES]
        loss = bs.predict(
            fit,
            n_params=[float(plan.shape.n_params) for plan in plans],
            n_tokens=[float(plan.n_tokens) for plan in plans],
        )["loss_run"]
        ends = loss.quantile(tail_quantiles(PROB), dim=("chain", "draw"))
        optimum = bs.allocate(fit, budget=TARGET).draws["n_opt"].to_numpy().ravel()
        optimum = optimum[np.isfinite(optimum)]
        plan = float(made.plan["n_params"])
        return {
            "n_params": plan,
            "shape": list(nearest(plan)),
            "expected_regret": float(made.plan["regret"]),
            "n_opt": np.quantile(optimum, tail_quantiles(PROB)).tolist(),
            "loss": {
                setting.run: [round(float(x), 5) for x in column]
                for setting, column in zip(plans, ends.to_numpy().T, strict=True)
            },
            "gates": bool(fit.gates.ok),
            "status": "" if fit.diagnostics.ok else fit.diagnostics.status,
        }

    def test_settings(self, name: str) -> list[Setting]:
        """Return the chosen plans of a corpus at the target budget, and the sizes next to them."""
        chosen: set[int] = set()
        for strategy in STRATEGIES:
            at = SHAPES.index(tuple(self.decisions[f"{name}/{strategy}"]["shape"]))
            chosen |= {at - 1, at, at + 1}
        inside = [SHAPES[at] for at in sorted(chosen) if 0 <= at < len(SHAPES)]
        wanted = [self.setting(name, shape, TARGET) for shape in inside]
        others = [self.setting(name, shape, TARGET) for shape in SHAPES if shape not in inside]
        return wanted + [setting for setting in others if setting.run in self.shipped.finished]

    def setting(self, name: str, shape: tuple[int, int], budget: float) -> Setting:
        """Return the run of a shape at a budget, with the learning rate of the sweep's rule."""
        of = Shape(*shape)
        tokens = max(1, round(budget / (6 * of.n_params) / BATCH)) * BATCH
        return Setting(name, *shape, tokens, BATCH, self.rule(of))

    def trained(self, settings: Iterable[Setting]) -> pd.DataFrame:
        """Return the rows of runs; those in neither table are trained."""
        wanted = {setting.run: setting for setting in settings}
        for run, setting in wanted.items():
            if run in self.table.finished:
                continue
            text = corpus(setting.corpus)
            self.table.accept(setting.corpus, text.origin)
            if run in self.shipped.finished:
                row, curve = _copied(self.shipped, run)
            else:
                row, curve = train(setting, text)
                row["design"], row["off_standard"] = "closed-loop", 0
                print(f"{run}: {row['loss']:.4f}", flush=True)
            self.table.add(row, curve)
        rows = self.table.runs[self.table.runs["run"].isin(wanted)]
        columns = ["n_params", "n_tokens", "loss"]
        return rows.assign(**{name: rows[name].astype(float) for name in columns})


def fitted(rows: pd.DataFrame) -> bs.Fit:
    """Return the fit of the default card to runs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)
        return bs.fit(
            rows[["run", "n_params", "n_tokens", "loss"]].reset_index(drop=True),
            seed=SEED,
            cores=1,
            progress=False,
        )


def compute_of(setting: Setting) -> float:
    """Return 6ND of a run."""
    return 6.0 * setting.shape.n_params * setting.n_tokens


def nearest(size: float) -> tuple[int, int]:
    """Return the shape whose size is nearest, in log size."""
    return min(SHAPES, key=lambda shape: abs(np.log(Shape(*shape).n_params / size)))


def _copied(table: Table, run: str) -> tuple[Mapping[str, Any], list[Any]]:
    """Return the row and the curve of a run of another table."""
    row = table.runs[table.runs["run"] == run].iloc[0].to_dict()
    return row, table.curves[table.curves["run"] == run].to_dict("records")
