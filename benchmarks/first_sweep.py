"""Expected regret of the sweep that first_sweep recommends, against other designs of its cost.

    make first-sweep

A project is a law drawn from the prior of the default card, with its discrepancy and noise. The
expected regret of designs of equal cost is compared over all projects, by the Gaussian
approximation of `bayescale.first_sweep`. Some projects are then fitted in full: their runs are
simulated with Student-t noise and fitted by NUTS with all scales unknown, and the size that
minimises expected regret is decided from the posterior. The same is done for projects of the card
`chinchilla`, whose laws have another form and no discrepancy, still fitted with the default card.
Writes docs/first-sweep.md. With a store, a study of more projects fits only the additional ones.
"""

import argparse
import json
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bayescale as bs
from bayescale._seeds import Stream, seed_of
from bayescale.costs import six_nd
from bayescale.decision.decide import least_regret
from bayescale.decision.regret import Regrets
from bayescale.errors import BayescaleWarning
from bayescale.experiment_design.judge import Judge
from bayescale.experiment_design.prior_laws import PriorLaws
from bayescale.experiment_design.sweep_designs import USUAL, IsoFlop
from bayescale.experiment_design.sweep_result import RECOMMENDED, FirstSweep
from bayescale.inference.fit import fit_quietly
from bayescale.inference.parallel import Task, run_tasks
from bayescale.laws.optimum import Split
from bayescale.model.card import DEFAULT_CARD
from bayescale.units import format_compute, format_number
from benchmarks.public_tables import markdown

PAGE = Path(__file__).parents[1] / "docs" / "first-sweep.md"
FACTS = Path(__file__).with_suffix(".json")

BUDGET, TARGETS, RATIO = 1e21, (1e23, 1e24), 20.0
PROJECTS = 450
"""Number of laws drawn; those without an optimum at the target are left out."""

FITTED = 18
"""Number of projects of each card that are fitted by NUTS, with each of two designs."""

OTHER = "chinchilla"
CARDS, DESIGNS = (DEFAULT_CARD, OTHER), (USUAL, RECOMMENDED)
DRAWS, SEED = 250, 3


@cache
def sweep(target: float) -> FirstSweep:
    return bs.first_sweep(budget=BUDGET, target=target, simulations=PROJECTS, seed=SEED)


@cache
def judge(card: str) -> Judge:
    """Return projects drawn from a card, with its priors at the centre of the usual sweep."""
    if card == DEFAULT_CARD:
        return sweep(TARGETS[0]).judge
    model = bs.load_model(card)
    logs = _logs(design(USUAL))
    laws = PriorLaws.about(model, Split.of(model.law), *logs, count=PROJECTS, seed=SEED)
    return Judge.of(laws, six_nd, TARGETS[0], bs.Limits())


@cache
def design(name: str) -> pd.DataFrame:
    if name == RECOMMENDED:
        return sweep(TARGETS[0]).runs
    return IsoFlop().placed.costing(BUDGET, RATIO, six_nd)


def run_project(card: str, name: str, number: int) -> dict[str, Any]:
    """Simulate the runs of a project, fit them with the default card, and decide on a size."""
    projects, runs = judge(card), design(name)
    loss = projects.laws.simulate(*_logs(runs), seed=seed_of(SEED, Stream.SIMULATION, number))
    table = pd.DataFrame({c: runs[c].to_numpy() for c in ("n_params", "n_tokens")})
    fit = fit_quietly(
        bs.load_runs(table.assign(loss=loss[number]), units={"loss": "nats/token"}),
        bs.load_model(DEFAULT_CARD),
        seed=number,
        draws=DRAWS,
    )
    regrets = Regrets(fit.curve, six_nd, TARGETS[0], {})
    decided = {"least regret": least_regret(regrets), "mean": float(np.nanmean(regrets.log_n_opt))}
    at = np.full((len(projects.log_n_opt), 2), projects.log_n_opt[:, None])
    at[number] = list(decided.values())
    price = projects.price(at)[number]
    return {
        "card": card,
        "design": name,
        "number": number,
        "ok": bool(fit.gates.ok),
        "sd": float(np.nanstd(regrets.log_n_opt)),
        "error": float(decided["mean"] - projects.log_n_opt[number]),
        **dict(zip(decided, map(float, price), strict=True)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fitted", type=int, default=FITTED, help="projects fitted by NUTS")
    parser.add_argument("--store", type=Path, help="file of results, from which a study resumes")
    options = parser.parse_args()
    tasks = [
        Task(key=f"{card}, {name}, {i}", arguments=(card, name, i))
        for i in range(options.fitted)
        for name in DESIGNS
        for card in CARDS
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)
        rows = pd.DataFrame(run_tasks(run_project, tasks, label="projects", store=options.store))
    facts = summarise(rows)
    FACTS.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    PAGE.write_text(page(facts), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))


def summarise(rows: pd.DataFrame) -> dict[str, Any]:
    """Return the expected regrets of designs, and those of the projects that were fitted."""
    simulated = {}
    for target in TARGETS:
        found = sweep(target)
        simulated[f"{target:g}"] = {
            "projects": len(found.judge.log_n_opt),
            "without": found.judge.without,
            "before": _mean(found.judge.before),
            "design": str(found.design),
            "designs": found.designs.reset_index().to_dict("records"),
        }
    fitted = []
    for card in CARDS:
        of_card = {name: rows[(rows.card == card) & (rows.design == name)] for name in DESIGNS}
        for name, group in of_card.items():
            at = group["number"].to_numpy()
            verdict = judge(card).verdict(design(name), count=64, sets=16, seed=SEED)
            fitted.append(
                {
                    "card": card,
                    "design": name,
                    "projects": len(group),
                    "passed": int(group["ok"].sum()),
                    "nuts": _mean(group["least regret"]),
                    "more": _mean(
                        group["least regret"].to_numpy()
                        - of_card[RECOMMENDED]["least regret"].to_numpy()
                    ),
                    "nuts_mean": _mean(group["mean"]),
                    "gaussian": _mean(verdict.regret[at]),
                    "apart": _mean(group["mean"].to_numpy() - verdict.regret[at]),
                    "nuts_sd": float(group["sd"].median()),
                    "gaussian_sd": float(np.median(verdict.sds[at])),
                    "before": _mean(judge(card).before[at]),
                }
            )
    return {"simulated": simulated, "fitted": fitted}


def page(facts: Mapping[str, Any]) -> str:
    usual = IsoFlop()
    lines = [
        "# Expected regret of the first sweep",
        "",
        f"Made by `make first-sweep`; do not edit. A project has {format_compute(BUDGET)} for its "
        "first sweep, and then one large run. Its law is drawn from the prior of the default "
        f"card, `{DEFAULT_CARD}`, with discrepancy and noise. The sweep that "
        "`bayescale.first_sweep` recommends is compared with designs of the same cost: the usual "
        f"isoFLOP sweep ({usual}), an L-shaped grid (all sizes at the fewest tokens, all tokens at "
        "the smallest size), runs along D = 20 N and D = 80 N, and random runs over the range of "
        "the usual sweep. The regret is the share of the target that the decided size wastes under "
        "the project's true law: means over projects ± one standard error, and paired differences "
        "from the recommended sweep. Contraction is the share of the prior variance that the runs "
        "remove, for ln N_opt, and the lowest among the elasticities and exponents of the law.",
    ]
    for target, found in facts["simulated"].items():
        lines += [
            "",
            f"## A target of {format_compute(float(target))}: {found['projects']} projects",
            "",
            f"Without any run the regret is {_percent(found['before'])}. The recommended sweep is "
            f"{found['design']}. {100 * found['without']:.1f} % of the laws drawn have no optimum "
            "at the target and are left out.",
            "",
            markdown(pd.DataFrame([_row(row) for row in found["designs"]])),
        ]
    first = facts["fitted"][0]
    lines += [
        "",
        f"## The same by NUTS, for {first['projects']} projects of each card",
        "",
        "The tables above use a Gaussian approximation. Here the runs of some projects are "
        "simulated with Student-t noise and fitted by NUTS with the default card, all scales "
        f"unknown, {DRAWS} draws in each of four chains; the target is "
        f"{format_compute(TARGETS[0])}. *NUTS* decides on the size that minimises expected regret, "
        "*NUTS, mean* on the posterior mean of ln N_opt, as the approximation (*Gaussian*) does on "
        "the same projects; *difference* is that of the last two, paired. Projects of the card "
        f"`{OTHER}` have laws of another form and prior, without discrepancy. Their sweep is still "
        "recommended and fitted with the default card, except in *Gaussian*, which uses the prior "
        f"`{OTHER}`.",
        "",
        markdown(pd.DataFrame([_fitted_row(row) for row in facts["fitted"]])),
    ]
    return "\n".join(lines) + "\n"


def _row(row: Mapping[str, Any]) -> dict[str, str]:
    of_law = [value for name, value in row.items() if name.startswith("contraction_")]
    same = row["design"] == RECOMMENDED
    more = "" if same else _percent({"mean": row["more"], "se": row["more_mcse"]})
    return {
        "sweep": row["design"],
        "runs": str(row["runs"]),
        "largest run": format_compute(row["largest"]),
        "expected regret": _percent({"mean": row["regret"], "se": row["mcse"]}),
        "more than recommended": more,
        "N_opt within": f"a factor of {format_number(row['factor'], 2)}",
        "contraction": f"{100 * row['contraction']:.0f} %",
        "lowest of the law": f"{100 * min(of_law):.0f} %",
    }


def _fitted_row(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "projects of": row["card"],
        "sweep": row["design"],
        "without runs": _percent(row["before"]),
        "NUTS": _percent(row["nuts"]),
        "more than recommended": "" if row["design"] == RECOMMENDED else _percent(row["more"]),
        "NUTS, mean": _percent(row["nuts_mean"]),
        "Gaussian": _percent(row["gaussian"]),
        "difference": _percent(row["apart"]),
        "sd of ln N_opt: NUTS, Gaussian": f"{row['nuts_sd']:.2f}, {row['gaussian_sd']:.2f}",
        "passed": f"{row['passed']} of {row['projects']}",
    }


def _logs(runs: pd.DataFrame) -> tuple[Any, ...]:
    return tuple(np.log(runs[name].to_numpy(dtype=float)) for name in ("n_params", "n_tokens"))


def _mean(values: Any) -> dict[str, float]:
    values = np.asarray(values, dtype=float)
    return {"mean": float(values.mean()), "se": float(values.std(ddof=1) / np.sqrt(len(values)))}


def _percent(found: Mapping[str, float]) -> str:
    return f"{100 * found['mean']:.1f} % ± {100 * found['se']:.1f}"


if __name__ == "__main__":
    main()
